"""A charging station's keys, and the signed messages that it makes with them (2.x part 4, chapter 7)."""

import datetime as dt
import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384()}


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True)
class Signer:
    """A key, its certificate, and the algorithm that it signs with."""

    algorithm: str
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

    @property
    def public_pem(self) -> str:
        return (
            self.key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    @property
    def certificate(self) -> x509.Certificate:
        return _certificate(self)

    @property
    def certificate_pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def thumbprint(self) -> str:
        return b64(hashlib.sha256(self.certificate.public_bytes(serialization.Encoding.DER)).digest())

    def jws(self, message_type: int, action: str, payload: Any, **header: Any) -> dict[str, str]:
        """A flattened JWS; a header that is None is left out."""
        fields = {
            "alg": self.algorithm,
            "OCPPAction": action,
            "OCPPMessageTypedId": message_type,
            "x5t#S256": self.thumbprint,
            **header,
        }
        kept = {name: value for name, value in fields.items() if value is not None}
        protected = b64(orjson.dumps(kept))
        body = b64(payload if isinstance(payload, bytes) else orjson.dumps(payload))
        return {
            "protected": protected,
            "payload": body,
            "signature": b64(self.sign(f"{protected}.{body}".encode())),
        }

    def sign(self, data: bytes) -> bytes:
        digest = _HASHES[self.algorithm[2:]]
        if isinstance(self.key, rsa.RSAPrivateKey):
            if self.algorithm.startswith("PS"):
                return self.key.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
            return self.key.sign(data, padding.PKCS1v15(), digest)
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(digest)))
        size = (self.key.key_size + 7) // 8
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


@cache
def signer(algorithm: str = "ES256", name: str = "CS-1") -> Signer:
    """The same key whenever it is asked for again."""
    del name
    if algorithm[0] in "RP":
        return Signer(algorithm, rsa.generate_private_key(65537, 2048))
    return Signer(algorithm, ec.generate_private_key(ec.SECP256R1() if algorithm == "ES256" else ec.SECP384R1()))


@cache
def _certificate(of: Signer) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CS-1")])
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(of.key.public_key())
    builder = builder.serial_number(7).not_valid_before(now).not_valid_after(now + dt.timedelta(days=3650))
    return builder.sign(of.key, hashes.SHA256())
