"""Targets for what is signed: certificates, requests for them, meter records, messages."""

from base64 import b64encode, urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import ModuleType
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

_NOW = datetime(2026, 5, 1, tzinfo=UTC)


def _pem(label: str, der: bytes) -> bytes:
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (label.encode(), b64encode(der), label.encode())


def _name() -> x509.Name:
    parts = ((NameOID.COMMON_NAME, "CP-1"), (NameOID.ORGANIZATION_NAME, "O"))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _certificate(*, authority: bool) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(_name()).issuer_name(_name()).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(_NOW - timedelta(1)).not_valid_after(_NOW + timedelta(9))
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


def records() -> list[bytes]:
    reading = {"TM": "2026-05-01T12:00:00,000+0200 S", "TX": "B", "RV": 1.5, "RI": "1-b:1.8.0", "RU": "kWh", "ST": "G"}
    payload = {
        "FV": "1.0", "GI": "G", "GS": "1", "PG": "T1", "MV": "M", "MS": "1", "IS": True,
        "IL": "VERIFIED", "RD": [reading],
    }  # fmt: skip
    signed = {"SA": "ECDSA-secp256r1-SHA256", "SD": "3045" + "00" * 69}
    record = b"OCMF|" + orjson.dumps(payload) + b"|" + orjson.dumps(signed)
    return [record, b64encode(record), record.replace(b"|{", b"||{"), b"<signedData>" + record + b"</signedData>"]


def request_seeds() -> list[bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(_name()).sign(key, SHA256())
    return [b"\x00" + request.public_bytes(Encoding.DER), b"\x01" + request.public_bytes(Encoding.PEM)]


def message_seeds() -> list[bytes]:
    def part(content: object) -> str:
        return urlsafe_b64encode(orjson.dumps(content)).rstrip(b"=").decode()

    header = {"alg": "ES256", "OCPPAction": "Heartbeat", "OCPPMessageTypeId": 2, "OCPPMessageId": "a"}
    signature = urlsafe_b64encode(bytes(64)).decode()
    return [
        orjson.dumps({"protected": part(header), "payload": part({}), "signature": signature}),
        orjson.dumps({"protected": part({"alg": "none"}), "payload": "", "signature": ""}),
    ]


def certificate_seeds() -> list[bytes]:
    return [
        b"\x00" + _certificate(authority=True),
        b"\x01" + _pem("CERTIFICATE", _certificate(authority=True)),
        b"\x02" + _certificate(authority=False),
    ]


def ocmf(module: ModuleType) -> Any:
    meter_key = import_module("workers.store.meter_keys").MeterKey
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    keys = [meter_key(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex())]

    def attempt(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        found = module.read_record(text)
        assert isinstance(found, module.Record | module.Signature)
        given: Any = text
        with suppress(orjson.JSONDecodeError):
            given = orjson.loads(data)
        for value, signed_value in ((given, None), (None, given), (text, {"signedMeterData": given})):
            assert isinstance(module.judge(value, signed_value, keys), module.Signature)

    return attempt


def requests(module: ModuleType) -> Any:
    rules = module.SubjectRules("CP-1", "O")

    def attempt(data: bytes) -> None:
        content = data[1:]
        text = content if data[:1] == b"\x01" else _pem("CERTIFICATE REQUEST", content)
        found = module.read_request(text.decode("utf-8", "replace"), rules)
        assert isinstance(found, module.SigningRequest | module.Flaw)

    return attempt


def messages(module: ModuleType) -> Any:
    pem = ec.generate_private_key(ec.SECP256R1()).public_key()
    pems = [pem.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()]

    def attempt(data: bytes) -> None:
        signatures = module.Signatures.of("require", [*pems, data.decode("utf-8", "replace")])
        assert signatures is not None
        with suppress(orjson.JSONDecodeError):
            found = signatures.open(2, "a", "Heartbeat", orjson.loads(data))
            assert isinstance(found, module.SignedResult), "nobody has signed this"

    return attempt


def certificates(module: ModuleType) -> Any:
    unusable = import_module("gateway.errors").CertificateFileError
    trust = module.load_trust(_pem("CERTIFICATE", _certificate(authority=True)))

    def attempt(data: bytes) -> None:
        content = data[1:]
        if data[:1] == b"\x02":
            assert isinstance(trust.examine([content], _NOW), module.Problem), "nobody has signed this"
            return
        pem = content if data[:1] == b"\x01" else _pem("CERTIFICATE", content)
        with suppress(unusable):
            module.load_trust(pem, content).examine([content], _NOW)

    return attempt
