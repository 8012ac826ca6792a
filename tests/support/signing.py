"""Signing requests of charge points, and the workers' own authority for tests."""

from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.support.certificates import ORGANIZATION, Authority, ec_key


def csr(
    common_name: str | None = "CP-1",
    *more: x509.NameAttribute[Any],
    organization: str | None = ORGANIZATION,
    key: Any = None,
    algorithm: Any = None,
    alternative: str | None = None,
) -> str:
    """A signing request in PEM."""
    parts = [] if common_name is None else [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization is not None:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([*parts, *more]))
    if alternative is not None:
        names = x509.SubjectAlternativeName([x509.DNSName(alternative)])
        builder = builder.add_extension(names, critical=False)
    signed = builder.sign(key or ec_key(), algorithm or hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def private_pem(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def authority_files(folder: Path, authority: Authority | None = None, *behind: Authority) -> dict[str, Any]:
    """Settings of workers with this authority, its files written."""
    authority = authority or Authority("Test CA")
    certificate, key = folder / "authority.pem", folder / "authority.key"
    certificate.write_bytes(authority.pem + b"".join(upper.pem for upper in behind))
    key.write_bytes(private_pem(authority.key))
    return {"ca_certificate_file": certificate, "ca_key_file": key}
