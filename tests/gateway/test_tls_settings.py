"""Settings of TLS and proxies: what cannot work is said at start, a line each, by its variable."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from contracts.process.settings import check
from gateway.settings import GatewaySettings
from tests.support.certificates import Authority, ec_key, rsa_key
from tests.support.tls_files import TlsFolder, tls_folder

PORT, CERTS, KEYS = "OCPP_GATEWAY_TLS_LISTEN_PORT", "OCPP_GATEWAY_TLS_CERT_FILES", "OCPP_GATEWAY_TLS_KEY_FILES"
CA, CRL, PLAIN = "OCPP_GATEWAY_TLS_CLIENT_CA_FILE", "OCPP_GATEWAY_TLS_CRL_FILE", "OCPP_GATEWAY_PLAIN_LISTEN"
PROXIES, PROTOCOL = "OCPP_GATEWAY_PROXIES", "OCPP_GATEWAY_PROXY_PROTOCOL"
HEADER = "OCPP_GATEWAY_CLIENT_CERT_HEADER"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> TlsFolder:
    path: Path = tmp_path_factory.mktemp("tls")
    folder = tls_folder(path)
    folder.serve(folder.authority.server(key=rsa_key(1024)), "weak-rsa")
    folder.serve(folder.authority.server(key=ec_key(ec.SECP192R1())), "weak-ec")
    folder.serve(folder.authority.server(), "other")
    secret = BestAvailableEncryption(b"secret")
    (path / "locked.key").write_bytes(ec_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
    (path / "garbage").write_text("garbage")
    (path / "foreign-crl.pem").write_bytes(Authority("Other").revocations())
    return folder


@pytest.fixture
def problems(monkeypatch: pytest.MonkeyPatch, folder: TlsFolder):
    """Check settings in which `@` stands for the folder."""
    for name in list(os.environ):
        if name.startswith(("OCPP_", "AMQP_")):
            monkeypatch.delenv(name)

    def problems_of(values: dict[str, str]) -> list[str]:
        for name, value in values.items():
            monkeypatch.setenv(name, value.replace("@", f"{folder.path}/"))
        return check(GatewaySettings)[1]

    return problems_of


GOOD = {PORT: "9443", CERTS: "@ec.pem, @rsa.pem", KEYS: "@ec.key,@rsa.key"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {PORT: "", CERTS: "", KEYS: "", CA: "", CRL: "", HEADER: "", PROXIES: ""},
        GOOD,
        {**GOOD, PLAIN: "off", CA: "@ca.pem", CRL: "@crl.pem", "OCPP_GATEWAY_TLS_MIN_VERSION": "1.3"},
        {PROXIES: "10.0.0.0/8, 2001:db8::/32,192.0.2.1"},
        {PROXIES: "10.0.0.0/8", PROTOCOL: "v2"},
        {PROXIES: "10.0.0.0/8", CA: "@ca.pem", HEADER: "Client-Cert"},
    ],
)
def test_what_can_work_is_taken(problems, values) -> None:
    assert problems(values) == []


@pytest.mark.parametrize(
    ("values", "variable", "text"),
    [
        ({PORT: "9443"}, PORT, "needs OCPP_GATEWAY_TLS_CERT_FILES"),
        ({CERTS: "@ec.pem", KEYS: "@ec.key"}, PORT, "is not set"),
        ({PORT: "0", CERTS: "@ec.pem"}, KEYS, "0 keys for the 1"),
        ({PORT: "0", CERTS: "@ec.pem", KEYS: "@other.key"}, KEYS, "other.key: not the key of"),
        ({PORT: "0", CERTS: "@ec.pem", KEYS: "@nowhere"}, KEYS, "nowhere: No such file"),
        ({PORT: "0", CERTS: "@ec.pem", KEYS: "@garbage"}, KEYS, "no readable PEM private key"),
        ({PORT: "0", CERTS: "@ec.pem", KEYS: "@locked.key"}, KEYS, "encrypted"),
        ({PORT: "0", CERTS: "@ec.pem,@other.pem", KEYS: "@ec.key,@other.key"}, KEYS, "same kind of key"),
        ({PORT: "0", CERTS: "@weak-rsa.pem", KEYS: "@weak-rsa.key"}, CERTS, "too short"),
        ({PORT: "0", CERTS: "@weak-ec.pem", KEYS: "@weak-ec.key"}, CERTS, "too short"),
        ({PORT: "0", CERTS: "@garbage", KEYS: "@ec.key"}, CERTS, "no readable PEM certificate"),
        ({PORT: "0", CERTS: "@", KEYS: "@ec.key"}, CERTS, "Is a directory"),
        ({CA: "@garbage"}, CA, "no readable PEM certificates"),
        ({CA: "@ec.pem"}, CA, "no certificate of an authority"),
        ({CRL: "@crl.pem"}, CRL, "needs OCPP_GATEWAY_TLS_CLIENT_CA_FILE"),
        ({CA: "@ca.pem", CRL: "@foreign-crl.pem"}, CRL, "signed by none"),
        ({CA: "@ca.pem", CRL: "@garbage"}, CRL, "no readable revocation lists"),
        ({PLAIN: "off"}, PLAIN, "nobody could connect"),
        ({PROXIES: "10.0.0.1/8"}, PROXIES, "host bits set"),
        ({PROXIES: "proxy"}, PROXIES, "IPv4 or IPv6"),
        ({PROTOCOL: "v2"}, PROTOCOL, "needs OCPP_GATEWAY_PROXIES"),
        ({CA: "@ca.pem", HEADER: "Client-Cert"}, HEADER, "needs OCPP_GATEWAY_PROXIES"),
        ({PROXIES: "10.0.0.0/8", HEADER: "Client-Cert"}, HEADER, "needs OCPP_GATEWAY_TLS_CLIENT_CA_FILE"),
        ({PROXIES: "10.0.0.0/8", PROTOCOL: "v2", CA: "@ca.pem", HEADER: "C"}, HEADER, "PROXY protocol"),
        ({PROXIES: "10.0.0.0/8", CA: "@ca.pem", HEADER: "a b"}, HEADER, "no name of a header"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_one_line_by_its_variable(problems, values, variable, text) -> None:
    (problem,) = problems(values)
    assert problem.startswith(f"{variable}: ")
    assert text in problem
