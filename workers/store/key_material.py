"""Reading keys that operators hand in as PEM."""

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from contracts.x509_reading import UNREADABLE

LONGEST_PEM = 8192


def thumbprint_of(pem: str) -> str | None:
    """SHA-256 (hexadecimal) of the DER of a certificate or public key; None when it is neither.

    A private key is neither: it has no business here, and is not kept.
    """
    if len(pem) > LONGEST_PEM or "PRIVATE" in pem:
        return None
    try:
        data = pem.encode("ascii")
        if b"BEGIN CERTIFICATE" in data:
            der = x509.load_pem_x509_certificate(data).public_bytes(Encoding.DER)
        else:
            der = load_pem_public_key(data).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UNREADABLE:
        return None
    return hashlib.sha256(der).hexdigest()
