"""What the cryptography package raises for certificates, requests and keys that are not what they claim to be."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
)
"""Two of them are no ValueError, though the bytes are at fault: whoever reads PEM or DER of others catches all."""
