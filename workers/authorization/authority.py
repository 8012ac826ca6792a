"""Certificate authorities: what the workers ask of one, and the one that is built in, whose key is in a file."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID

from workers.authority_files import LONGEST_CHAIN, PrivateKey, pem_of, read_certificates, read_key
from workers.authorization.signing_request import Flaw, SubjectRules, read_request

CLOCK_LAG = timedelta(hours=1)
"""A certificate is valid from a little earlier: charge points' clocks may be behind."""

_LEAST_LEFT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """A signed certificate: the chain as PEM, the charge point's first, without the root."""

    chain: str
    pem: str
    serial: str
    """Hexadecimal, lower case, without leading zeros: as OCPP writes serial numbers."""
    subject: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there is no certificate, in one word; whether the same request may be signed later."""

    reason: str
    again: bool = False


class Authority(Protocol):
    """Whoever signs."""

    async def sign(self, csr: str, rules: SubjectRules, now: datetime) -> Issued | Refused:
        """A certificate for this request, whose subject must be within the rules; raises nothing."""


class FileAuthority:
    """The authority that is built in. Its certificates serve TLS clients, and nothing that a request wishes for."""

    def __init__(self, certificates: Sequence[x509.Certificate], key: PrivateKey, lifetime: timedelta) -> None:
        self._issuer = certificates[0]
        self._key = key
        self._lifetime = lifetime
        self._behind = "".join(pem_of(item) for item in certificates if item.subject != item.issuer)

    @classmethod
    def load(cls, certificate_file: Path, key_file: Path, lifetime: timedelta, now: datetime) -> "FileAuthority":
        """Read both files; raises AuthorityError, whose problems name what must be mended."""
        certificates = read_certificates(certificate_file, now)
        return cls(certificates, read_key(key_file, certificates[0]), lifetime)

    async def sign(self, csr: str, rules: SubjectRules, now: datetime) -> Issued | Refused:
        # A signature takes milliseconds, which the loop has other uses for when a whole fleet asks.
        return await asyncio.to_thread(self.sign_now, csr, rules, now)

    def sign_now(self, csr: str, rules: SubjectRules, now: datetime) -> Issued | Refused:
        """The same at once. Its certificates never outlive the authority's own."""
        request = read_request(csr, rules)
        if isinstance(request, Flaw):
            return Refused(request.value)
        until = min(now + self._lifetime, self._issuer.not_valid_after_utc)
        if until < now + _LEAST_LEFT:
            return Refused("authority_expired", again=True)
        since = max(now - CLOCK_LAG, self._issuer.not_valid_before_utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(self._issuer.subject)
            .public_key(request.public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_DIGITAL_SIGNATURE, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key), critical=False)
            .add_extension(_issuer_key(self._issuer), critical=False)
        )
        certificate = builder.sign(self._key, _hash_for(self._key))
        pem = pem_of(certificate)
        if len(pem) + len(self._behind) > LONGEST_CHAIN:
            return Refused("chain_too_long")
        return Issued(
            chain=pem + self._behind,
            pem=pem,
            serial=f"{certificate.serial_number:x}",
            subject=certificate.subject.rfc4514_string(),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
        )


def authority_of(
    certificate_file: Path | None, key_file: Path | None, lifetime: timedelta, now: datetime
) -> FileAuthority | None:
    """The authority that the settings name, or None where they name none; raises AuthorityError."""
    if certificate_file is None or key_file is None:
        return None
    return FileAuthority.load(certificate_file, key_file, lifetime, now)


_DIGITAL_SIGNATURE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _issuer_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _hash_for(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    if isinstance(key, EllipticCurvePrivateKey) and key.key_size > 256:
        return hashes.SHA384() if key.key_size <= 384 else hashes.SHA512()
    return hashes.SHA256()
