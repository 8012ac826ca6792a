"""A charge point's certificates: its own key and chain, and the roots that it was given."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from contracts.x509_reading import UNREADABLE, is_issued_by

MANUFACTURER = "ManufacturerRootCertificate"
_MOST = 20


@dataclass(slots=True)
class CertificateStore:
    """What is installed, and the key that a certificate was requested for; a new key for each request (A02.FR.06)."""

    common_name: str
    organization: str | None = None
    chain: str | None = None
    """The own certificate with what is behind it; None: there is none yet."""
    _key: ec.EllipticCurvePrivateKey | None = None
    _requested: ec.EllipticCurvePrivateKey | None = None
    _roots: list[tuple[str, x509.Certificate]] = field(default_factory=list)

    @property
    def key_pem(self) -> bytes | None:
        """The key of the own certificate."""
        return None if self._key is None else self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def request(self) -> str:
        """A signing request for a new key."""
        self._requested = ec.generate_private_key(ec.SECP256R1())
        names = [x509.NameAttribute(NameOID.COMMON_NAME, self.common_name)]
        if self.organization is not None:
            names.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, self.organization))
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
        return builder.sign(self._requested, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def signed(self, chain: str) -> str:
        """Take the chain that was requested: Accepted, or Rejected when it is for no key of ours."""
        certificates = _read(chain)
        if not certificates or not _is_sound(certificates):
            return "Rejected"
        for key in (self._requested, self._key):  # the same again, when our answer was lost
            if key is not None and certificates[0].public_key() == key.public_key():
                self._key, self.chain, self._requested = key, chain, None
                return "Accepted"
        return "Rejected"

    def install(self, kind: str, pem: str) -> str:
        """Install a root: Accepted, Rejected (not readable) or Failed (no room)."""
        certificates = _read(pem)
        if len(certificates) != 1:
            return "Rejected"
        if len(self._roots) >= _MOST:
            return "Failed"
        if (kind, certificates[0]) not in self._roots:
            self._roots.append((kind, certificates[0]))
        return "Accepted"

    def roots(self, kind: str) -> list[x509.Certificate]:
        """The roots of one type."""
        return [root for root_kind, root in self._roots if root_kind == kind]

    def signer_of(self, chain: str) -> x509.Certificate | None:
        """The first certificate of a chain that leads to an installed root of the manufacturer, and is valid now."""
        return trusted(chain, self.roots(MANUFACTURER), datetime.now(UTC))

    def installed(self, kinds: Collection[str] | None = None) -> list[tuple[str, dict[str, Any]]]:
        """Type and hash data of the roots of these types, or of all."""
        return [(kind, hash_data(root)) for kind, root in self._roots if not kinds or kind in kinds]

    def delete(self, wanted: dict[str, Any]) -> str:
        """Delete a root by its hash data: Accepted or NotFound."""
        names = ("issuerNameHash", "issuerKeyHash", "serialNumber")
        left = [
            (kind, root)
            for kind, root in self._roots
            if any(str(wanted[name]).casefold() != str(hash_data(root)[name]).casefold() for name in names)
        ]
        found = len(left) < len(self._roots)
        self._roots = left
        return "Accepted" if found else "NotFound"


def hash_data(root: x509.Certificate) -> dict[str, Any]:
    """What OCPP knows a root by; it is its own issuer (RFC 6960, CertID)."""
    key = root.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        bits = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    else:
        bits = key.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": hashlib.sha256(root.issuer.public_bytes()).hexdigest(),
        "issuerKeyHash": hashlib.sha256(bits).hexdigest(),
        "serialNumber": f"{root.serial_number:x}",
    }


def trusted(chain: str, roots: Collection[x509.Certificate], now: datetime) -> x509.Certificate | None:
    """The first certificate of a chain that leads to one of these roots and is valid now; else None."""
    certificates = _read(chain)
    if not certificates or not _is_sound(certificates):
        return None
    if any(not one.not_valid_before_utc <= now <= one.not_valid_after_utc for one in certificates):
        return None
    return certificates[0] if any(is_issued_by(certificates[-1], root) for root in roots) else None


def _is_sound(certificates: list[x509.Certificate]) -> bool:
    return all(is_issued_by(lower, upper) for lower, upper in pairwise(certificates))


def _read(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except UNREADABLE:
        return []
