"""Signatures of firmware images, as charge points check them (security whitepaper L01.FR.11; OCPP 2.x L01.FR.11)."""

import base64
import hashlib
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from contracts.x509_reading import UNREADABLE
from workers.errors import SigningError

LONGEST_SIGNATURE, LONGEST_CERTIFICATE = 800, 5500
"""Characters of `signature` and `signingCertificate` in every OCPP version."""


def sign_image(image: Path, key_file: Path, certificate_file: Path) -> dict[str, str]:
    """What goes into `firmware` of an update's payload: the certificate, and the signature of the whole image.

    RSA-PSS (salt as long as the hash) or ECDSA, with SHA-256, in base64. Raises SigningError, which holds no key.
    """
    certificate_pem, key = _certificate(certificate_file), _key(key_file)
    certificate = x509.load_pem_x509_certificates(certificate_pem.encode())[0]
    if key.public_key() != certificate.public_key():
        raise SigningError(f"{key_file}: the key does not fit the certificate")
    digest, algorithm = _digest(image), Prehashed(hashes.SHA256())
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
        raw = key.sign(digest, pss, algorithm)
    else:
        raw = key.sign(digest, ec.ECDSA(algorithm))
    signature = base64.b64encode(raw).decode("ascii")
    if len(signature) > LONGEST_SIGNATURE:
        raise SigningError(
            f"{key_file}: its signature has {len(signature)} characters, {LONGEST_SIGNATURE} are allowed"
        )
    return {"signingCertificate": certificate_pem, "signature": signature}


def _digest(image: Path) -> bytes:
    try:
        with image.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise SigningError(f"{image}: {error.strerror}") from None


def _certificate(file: Path) -> str:
    try:
        text = file.read_text("ascii").strip() + "\n"
        x509.load_pem_x509_certificates(text.encode())
    except OSError as error:
        raise SigningError(f"{file}: {error.strerror}") from None
    except UNREADABLE:
        raise SigningError(f"{file}: it holds no PEM certificate that can be read") from None
    if len(text) > LONGEST_CERTIFICATE:
        raise SigningError(f"{file}: {len(text)} characters, {LONGEST_CERTIFICATE} are allowed")
    return text


def _key(file: Path) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise SigningError(f"{file}: {error.strerror}") from None
    except TypeError:
        raise SigningError(f"{file}: the key is encrypted") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SigningError(f"{file}: it holds no PEM private key that can be read") from None
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise SigningError(f"{file}: the key is neither RSA nor one on an elliptic curve")
    return key
