"""The authority that is built in: its files, and what it signs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from contracts.process.settings import check
from tests.support.certificates import Authority, ec_key, rsa_key
from tests.support.signing import authority_files, csr, private_pem
from workers.authorization import authority as authorities
from workers.authorization.authority import FileAuthority, Issued, Refused
from workers.authorization.signing_request import SubjectRules
from workers.settings import WorkerSettings

YEAR = timedelta(days=365)
NOW = datetime.now(UTC).replace(microsecond=0)
RULES = SubjectRules("CP-1")


def loaded(folder, *chain: Authority) -> FileAuthority:
    files = authority_files(folder, *chain)
    return FileAuthority.load(files["ca_certificate_file"], files["ca_key_file"], YEAR, NOW)


async def test_a_certificate_serves_a_tls_client_and_holds_nothing_that_the_request_wishes(tmp_path):
    root = Authority("Test CA")
    issued = await loaded(tmp_path, root).sign(csr(alternative="CP-2", key=rsa_key()), RULES, NOW)
    assert isinstance(issued, Issued)
    certificate = x509.load_pem_x509_certificate(issued.pem.encode())
    certificate.verify_directly_issued_by(root.certificate)
    assert certificate.public_key() == rsa_key().public_key()
    assert issued.subject == "O=Example CPO,CN=CP-1"
    assert (issued.not_before, issued.not_after) == (NOW - timedelta(hours=1), NOW + YEAR)
    assert issued.serial == f"{certificate.serial_number:x}"
    extensions = certificate.extensions
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    with pytest.raises(x509.ExtensionNotFound):
        extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_the_chain_leads_to_the_root_and_leaves_it_out(tmp_path):
    root = Authority("Root")
    middle = root.intermediate("Middle")
    low = middle.intermediate("Low")
    issued = loaded(tmp_path, low, middle, root).sign_now(csr(), RULES, NOW)
    assert isinstance(issued, Issued)
    chain = x509.load_pem_x509_certificates(issued.chain.encode())
    names = [one.issuer.rfc4514_string() for one in chain]
    assert [name.partition("CN=")[2] for name in names] == ["Low", "Middle", "Root"]
    assert issued.chain.startswith(issued.pem)


def test_what_is_wrong_with_a_request_is_the_refusal(tmp_path):
    signer = loaded(tmp_path)
    assert signer.sign_now(csr("CP-2"), RULES, NOW) == Refused("other_name")
    assert signer.sign_now("nothing", RULES, NOW) == Refused("unreadable")


def test_no_certificate_outlives_its_authority(tmp_path):
    signer = loaded(tmp_path)
    end = signer._issuer.not_valid_after_utc
    late = signer.sign_now(csr(), RULES, end - timedelta(days=30))
    assert isinstance(late, Issued)
    assert late.not_after == end
    assert signer.sign_now(csr(), RULES, end - timedelta(hours=1)) == Refused("authority_expired", again=True)


def test_a_chain_that_no_charge_point_takes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(authorities, "LONGEST_CHAIN", 500)
    assert loaded(tmp_path).sign_now(csr(), RULES, NOW) == Refused("chain_too_long")


def problems(monkeypatch, **variables: Any) -> list[str]:
    for name, value in variables.items():
        monkeypatch.setenv(f"OCPP_WORKER_{name}", str(value))
    return check(WorkerSettings)[1]


def test_an_authority_in_good_order_is_taken_from_the_environment(monkeypatch, tmp_path):
    files = authority_files(tmp_path)
    given = {"CA_CERTIFICATE_FILE": files["ca_certificate_file"], "CA_KEY_FILE": files["ca_key_file"]}
    assert problems(monkeypatch, **given, CERTIFICATE_ORGANIZATION="") == []
    assert problems(monkeypatch, CA_CERTIFICATE_FILE="", CA_KEY_FILE="") == []


def test_each_mistake_in_the_settings_is_a_line(monkeypatch, tmp_path):
    leaf = Authority().client().write(tmp_path, "leaf")
    good = authority_files(tmp_path)
    certificate, key = "OCPP_WORKER_CA_CERTIFICATE_FILE", "OCPP_WORKER_CA_KEY_FILE"
    lines = problems(monkeypatch, CA_CERTIFICATE_FILE=leaf[0], CA_KEY_FILE=leaf[1], CERTIFICATE_DAYS=10)
    assert len(lines) == 2
    assert lines[0].startswith(f"{certificate}: ")
    assert "not one of a certificate authority" in lines[0]
    assert "less than OCPP_WORKER_CERTIFICATE_DAYS" in lines[1]
    lines = problems(monkeypatch, CA_CERTIFICATE_FILE=good["ca_certificate_file"], CERTIFICATE_DAYS=365)
    assert [line.partition(": ")[0] for line in lines] == [key]
    assert "does not fit" in lines[0]
    monkeypatch.delenv(key)
    assert "are set together" in problems(monkeypatch)[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no PEM private key"),
        (b"-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n", "no PEM private key"),
        (private_pem(ec_key()), "does not fit"),
        (
            ec_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
            "encrypted",
        ),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_key_that_cannot_be_used_is_told_without_a_word_of_it(monkeypatch, tmp_path, content, words):
    files = authority_files(tmp_path)
    files["ca_key_file"].unlink()
    if content is not None:
        files["ca_key_file"].write_bytes(content)
    given = {"CA_CERTIFICATE_FILE": files["ca_certificate_file"], "CA_KEY_FILE": files["ca_key_file"]}
    (line,) = problems(monkeypatch, **given)
    assert words in line
    assert "QUJD" not in line


def test_a_chain_out_of_order_is_told(monkeypatch, tmp_path):
    root = Authority("Root")
    files = authority_files(tmp_path, root.intermediate(), Authority("Stranger"))
    (line,) = problems(monkeypatch, CA_CERTIFICATE_FILE=files["ca_certificate_file"], CA_KEY_FILE=files["ca_key_file"])
    assert "certificate 2 did not sign certificate 1" in line
