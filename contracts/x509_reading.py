"""X.509 of others: what the cryptography package raises for it, and who has issued what."""

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
)
"""Two of them are no ValueError, though the bytes are at fault: whoever reads PEM or DER of others catches all."""


def is_issued_by(issued: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether this issuer's name and key stand behind it; whether the issuer may, and when, is not looked at."""
    try:
        issued.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True
