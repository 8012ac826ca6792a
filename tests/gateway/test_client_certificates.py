"""What client certificates are worth: paths, validity, revocation, strength, and files that cannot be used."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from gateway.client_certificates import Problem, Trust, load_trust
from gateway.errors import CertificateFileError
from gateway.peer import ClientCertificate
from tests.support.certificates import DAY, Authority, Issued, ec_key, rsa_key

ROOT = Authority()
MIDDLE = ROOT.intermediate()
NOW = datetime.now(UTC)


def examine(issued: Issued, trust: Trust | None = None, *, chain: bool = True) -> ClientCertificate | Problem:
    shown = [issued.der]
    if chain:
        shown.extend(one.public_bytes(Encoding.DER) for one in issued.intermediates)
    return (trust or load_trust(ROOT.pem)).examine(shown, NOW)


def test_a_good_certificate_is_told_by_its_names() -> None:
    issued = ROOT.client("SN-1", names=["cp-1.example", "cp-2.example"])
    found = examine(issued)
    assert isinstance(found, ClientCertificate)
    assert (found.common_name, found.names, found.organization) == (
        "SN-1",
        ("cp-1.example", "cp-2.example"),
        "Example CPO",
    )
    assert (found.serial, len(found.fingerprint)) == (issued.serial, 64)
    assert found.not_after == issued.certificate.not_valid_after_utc


@pytest.mark.parametrize(
    ("issued", "problem"),
    [
        (ROOT.client(starts=-2 * DAY, ends=-DAY), Problem.EXPIRED),
        (ROOT.client(starts=DAY, ends=2 * DAY), Problem.NOT_YET_VALID),
        (Authority().client(), Problem.UNTRUSTED),  # the name of ours, another key
        (Authority("Other").client(), Problem.UNTRUSTED),
        (ROOT.client(usages=[ExtendedKeyUsageOID.SERVER_AUTH]), Problem.UNTRUSTED),
        (ROOT.client(key=rsa_key(1024)), Problem.WEAK_KEY),
        (ROOT.client(key=ec_key(ec.SECP192R1())), Problem.WEAK_KEY),
        (Authority("Late", issuer=ROOT.intermediate("Between")).client(), None),
        (MIDDLE.client(usages=[]), None),
        (ROOT.client(key=rsa_key()), None),
        (ROOT.client(key=ec_key(ec.SECP224R1())), None),
    ],
)
def test_a_certificate_counts_or_has_a_problem(issued: Issued, problem: Problem | None) -> None:
    found = examine(issued)
    assert found == problem if problem else isinstance(found, ClientCertificate)


def test_intermediates_come_from_the_peer_or_from_the_file() -> None:
    issued = MIDDLE.client()
    assert examine(issued, chain=False) == Problem.UNTRUSTED
    assert isinstance(examine(issued), ClientCertificate)
    assert isinstance(examine(issued, load_trust(ROOT.pem + MIDDLE.pem), chain=False), ClientCertificate)
    assert isinstance(examine(issued, load_trust(MIDDLE.pem), chain=False), ClientCertificate)


def test_a_client_certificate_issues_nothing() -> None:
    client = ROOT.client("CP-1")
    fake = Authority("CP-1")
    fake.key, fake.certificate = client.key, client.certificate  # type: ignore[assignment]
    forged = fake.client("CP-2")
    found = load_trust(ROOT.pem).examine([forged.der, client.der], NOW)
    assert found == Problem.UNTRUSTED


def test_what_was_revoked_counts_no_more_itself_or_above() -> None:
    good, bad = ROOT.client(), ROOT.client()
    trust = load_trust(ROOT.pem + MIDDLE.pem, ROOT.revocations(bad) + MIDDLE.revocations())
    assert examine(bad, trust) == Problem.REVOKED
    assert isinstance(examine(good, trust), ClientCertificate)
    through = MIDDLE.client()
    assert isinstance(examine(through, trust), ClientCertificate)
    middle = Issued(MIDDLE.certificate, MIDDLE.key)
    assert examine(through, load_trust(ROOT.pem, ROOT.revocations(middle))) == Problem.REVOKED


def test_an_outdated_list_still_counts_and_says_since_when() -> None:
    bad = ROOT.client()
    trust = load_trust(ROOT.pem, ROOT.revocations(bad, starts=-3 * DAY, ends=-2 * DAY))
    assert examine(bad, trust) == Problem.REVOKED
    assert trust.next_update is not None
    assert NOW - trust.next_update > timedelta(days=1)


def test_a_list_in_der_form_is_read_too() -> None:
    bad = ROOT.client()
    der = x509.load_pem_x509_crl(ROOT.revocations(bad)).public_bytes(Encoding.DER)
    assert examine(bad, load_trust(ROOT.pem, der)) == Problem.REVOKED


@pytest.mark.parametrize(
    ("authorities", "revocations"),
    [
        (b"", b""),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b""),
        (ROOT.client().pem, b""),
        (ROOT.pem, b"nothing"),
        (ROOT.pem, b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"),
        (ROOT.pem, Authority().revocations()),
        (ROOT.pem, Authority("Other").revocations()),
    ],
)
def test_files_that_cannot_be_used_are_refused(authorities: bytes, revocations: bytes) -> None:
    with pytest.raises(CertificateFileError):
        load_trust(authorities, revocations)


def test_a_crowd_of_intermediates_costs_a_bounded_number_of_checks() -> None:
    twins = [Authority("Twin", issuer=Authority("Twin")) for _ in range(8)]
    leaf = twins[0].client()
    shown = [leaf.der, *(twin.certificate.public_bytes(Encoding.DER) for twin in twins)]
    assert load_trust(ROOT.pem).examine(shown, NOW) == Problem.UNTRUSTED


_DER = ROOT.client().der
_TRUST = load_trust(ROOT.pem)


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=3))
def test_any_bytes_are_unreadable(shown: list[bytes]) -> None:
    assert _TRUST.examine(shown, NOW) == Problem.UNREADABLE


@given(st.integers(0, len(_DER) - 1), st.integers(1, 255))
def test_a_changed_byte_never_makes_a_good_certificate(at: int, change: int) -> None:
    changed = bytearray(_DER)
    changed[at] ^= change
    assert isinstance(_TRUST.examine([bytes(changed)], NOW), Problem)
