"""Which signing requests are signed, and why the others are not."""

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from tests.support.certificates import ORGANIZATION, ec_key, rsa_key
from tests.support.signing import csr
from workers.authorization.signing_request import Flaw, SigningRequest, SubjectRules, read_request

RULES = SubjectRules("CP-1", ORGANIZATION)
GOOD = csr()


def attribute(oid, text) -> Any:
    return x509.NameAttribute(oid, text)


@pytest.mark.parametrize(
    "request_",
    [GOOD, csr("cp-1"), csr(key=rsa_key()), csr(key=ec_key(ec.SECP384R1())), csr(algorithm=hashes.SHA512())],
    ids=["P-256", "other case", "RSA 2048", "P-384", "SHA-512"],
)
def test_a_request_in_the_own_name_with_a_strong_key_is_signed(request_):
    found = read_request(request_, RULES)
    assert isinstance(found, SigningRequest)
    (name,) = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert str(name.value).casefold() == "cp-1"


def test_windows_line_ends_blank_lines_and_the_older_label_are_read():
    older = GOOD.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
    for text in (GOOD.replace("\n", "\r\n"), f"\n{GOOD}\n\n", older):
        assert isinstance(read_request(text, RULES), SigningRequest)


def test_a_request_of_another_version_cannot_be_read():
    der = x509.load_pem_x509_csr(GOOD.encode()).public_bytes(Encoding.DER)
    version = der.index(b"\x02\x01\x00")
    other = base64.encodebytes(der[: version + 2] + b"\x07" + der[version + 3 :]).decode()
    text = f"-----BEGIN CERTIFICATE REQUEST-----\n{other}-----END CERTIFICATE REQUEST-----\n"
    assert read_request(text, RULES) is Flaw.UNREADABLE


def test_the_serial_number_on_record_is_the_name_that_counts():
    rules = SubjectRules("SN-0815", ORGANIZATION)
    assert read_request(GOOD, rules) is Flaw.OTHER_NAME
    assert isinstance(read_request(csr("SN-0815"), rules), SigningRequest)


def test_any_organization_will_do_unless_one_is_set():
    assert isinstance(read_request(csr(organization=None), SubjectRules("CP-1")), SigningRequest)
    assert isinstance(read_request(csr(organization="Anybody"), SubjectRules("CP-1")), SigningRequest)
    for other in (None, "Anybody", ORGANIZATION.upper()):
        assert read_request(csr(organization=other), RULES) is Flaw.OTHER_ORGANIZATION


@pytest.mark.parametrize(
    ("request_", "flaw"),
    [
        (csr("CP-2"), Flaw.OTHER_NAME),
        (csr("CP-1 "), Flaw.OTHER_NAME),
        (csr(None), Flaw.SUBJECT),
        (csr("CP-2", attribute(NameOID.COMMON_NAME, "CP-1")), Flaw.SUBJECT),
        (csr("CP-1", attribute(NameOID.ORGANIZATION_NAME, "Another")), Flaw.SUBJECT),
        (csr("CP-1", attribute(NameOID.USER_ID, "root")), Flaw.SUBJECT),
        (csr("CP-1", *[attribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"unit {n}") for n in range(20)]), Flaw.SUBJECT),
        (csr(key=ec_key(ec.SECP192R1())), Flaw.WEAK_KEY),
        (csr(key=rsa.generate_private_key(65537, 1024)), Flaw.WEAK_KEY),  # noqa: S505 - meant to be
        ("", Flaw.UNREADABLE),
        ("-----BEGIN CERTIFICATE REQUEST-----\n!\n-----END CERTIFICATE REQUEST-----\n", Flaw.UNREADABLE),
        (GOOD + GOOD, Flaw.UNREADABLE),
        (GOOD + " " * 5500, Flaw.TOO_LONG),
    ],
)
def test_other_requests_are_refused_with_the_reason(request_, flaw):
    assert read_request(request_, RULES) is flaw


def test_a_key_that_ocpp_does_not_know_is_refused():
    subject = x509.Name([attribute(NameOID.COMMON_NAME, "CP-1")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    signed = builder.sign(ed25519.Ed25519PrivateKey.generate(), None)
    assert read_request(signed.public_bytes(Encoding.PEM).decode(), RULES) is Flaw.KEY_KIND


def changed(pem: str, position: int, value: int) -> str:
    lines = pem.strip().splitlines()
    der = bytearray(base64.b64decode("".join(lines[1:-1])))
    der[position % len(der)] = value
    return "\n".join((lines[0], base64.b64encode(der).decode(), lines[-1]))


def test_a_request_that_another_has_changed_is_refused():
    der_length = len(base64.b64decode("".join(GOOD.strip().splitlines()[1:-1])))
    assert read_request(changed(GOOD, der_length - 1, 0x55), RULES) in {Flaw.BAD_SIGNATURE, Flaw.UNREADABLE}


@given(st.integers(0, 1000), st.integers(0, 255))
def test_no_changed_byte_makes_it_say_anything_that_is_not_documented(position, value):
    found = read_request(changed(GOOD, position, value), RULES)
    text = changed(GOOD, position, value)
    assert isinstance(found, Flaw) or "".join(text.split()) == "".join(GOOD.split())


@given(st.one_of(st.text(), st.binary().map(lambda raw: pem_of(raw)), st.text().map(lambda text: GOOD + text)))
def test_any_text_is_a_request_or_a_flaw(text):
    assert isinstance(read_request(text, RULES), (Flaw, SigningRequest))


def pem_of(der: bytes) -> str:
    begin, end = "-----BEGIN CERTIFICATE REQUEST-----", "-----END CERTIFICATE REQUEST-----"
    return f"{begin}\n{base64.b64encode(der).decode()}\n{end}\n"
