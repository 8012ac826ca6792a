"""A simulated charge point's certificates."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

from loadtest.certificates import MANUFACTURER, CertificateStore, hash_data, trusted
from tests.support.certificates import Authority, rsa_key

ROOT = Authority("Root")
NOW = datetime.now(UTC)


def signed(request: str, authority: Authority = ROOT) -> str:
    key = x509.load_pem_x509_csr(request.encode()).public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.load_pem_x509_csr(request.encode()).subject)
        .public_key(key)
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    from cryptography.hazmat.primitives.serialization import Encoding

    return authority.sign(builder).public_bytes(Encoding.PEM).decode()


def test_only_a_certificate_for_the_key_that_was_requested_is_taken_and_the_same_again():
    store = CertificateStore("CP-1", "Example CPO")
    assert store.signed(ROOT.client().pem.decode()) == "Rejected"
    first = signed(store.request())
    assert store.signed("nonsense") == "Rejected"
    assert store.signed(first) == "Accepted"
    key = store.key_pem
    second = signed(store.request())
    assert store.signed(second) == "Accepted"
    assert store.signed(second) == "Accepted"
    assert store.key_pem != key
    assert store.chain == second


def test_roots_are_installed_listed_and_deleted_by_their_hashes():
    store, root = CertificateStore("CP-1"), ROOT.pem.decode()
    assert store.install(MANUFACTURER, "nonsense") == "Rejected"
    assert store.install(MANUFACTURER, root) == store.install(MANUFACTURER, root) == "Accepted"
    assert store.installed(("CentralSystemRootCertificate",)) == []
    ((kind, hashes_),) = store.installed()
    assert kind == MANUFACTURER
    assert store.delete({**hashes_, "serialNumber": "0"}) == "NotFound"
    assert store.delete({**hashes_, "issuerKeyHash": hashes_["issuerKeyHash"].upper()}) == "Accepted"
    assert store.installed() == []


def test_the_hashes_are_those_of_a_certid():
    for root in (ROOT, ROOT.intermediate()):
        request = ocsp.OCSPRequestBuilder().add_certificate(root.certificate, root.certificate, hashes.SHA256()).build()
        found = hash_data(root.certificate)
        assert found["issuerKeyHash"] == request.issuer_key_hash.hex()
    assert (
        hash_data(ROOT.certificate)["issuerNameHash"]
        == ocsp.OCSPRequestBuilder()
        .add_certificate(ROOT.certificate, ROOT.certificate, hashes.SHA256())
        .build()
        .issuer_name_hash.hex()
    )


def test_a_signer_is_trusted_when_its_chain_leads_to_a_root_and_is_valid_now():
    middle = ROOT.intermediate()
    roots = [ROOT.certificate]
    assert trusted(ROOT.client(key=rsa_key()).pem.decode(), roots, NOW) is not None
    assert trusted(middle.client().pem.decode(), roots, NOW) is not None
    assert trusted(Authority("Stranger").client().pem.decode(), roots, NOW) is None
    assert trusted(ROOT.client().pem.decode(), roots, NOW + timedelta(days=9)) is None
    assert trusted("", roots, NOW) is None
