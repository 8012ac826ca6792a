"""A meter that signs what it has measured, as OCMF."""

import json
from base64 import b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_DER = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Meter:
    """Signs records; `public_key` is what its maker prints on it."""

    def __init__(self, curve: ec.EllipticCurve | None = None, *, serial: str = "M-1") -> None:
        self.serial = serial
        self._key = ec.generate_private_key(curve or ec.SECP256R1())
        self.public_key = self._key.public_key().public_bytes(*_DER).hex()
        self.point = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint).hex()
        self.pem = self._key.public_key().public_bytes(Encoding.PEM, _DER[1]).decode()

    def payload(self, wh: float = 1000) -> str:
        reading = {"TM": "2026-05-01T12:00:00,000+0000 S", "TX": "B", "RV": wh, "RU": "Wh", "ST": "G"}
        return json.dumps({"FV": "1.0", "PG": "T1", "MS": self.serial, "RD": [reading]})

    def record(self, payload: str | None = None, *, base64: bool = False, **section: Any) -> str:
        """`OCMF|payload|signature`; more fields of the signature section by name."""
        payload = self.payload() if payload is None else payload
        signature = self._key.sign(payload.encode(), ec.ECDSA(SHA256()))
        data = b64encode(signature).decode() if base64 else signature.hex().upper()
        return f"OCMF|{payload}|{json.dumps({'SD': data, **section})}"
