"""The files of the certificate authority that is built in: read and checked, at start and before use."""

from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from contracts.x509_reading import UNREADABLE, is_issued_by
from workers.errors import AuthorityError

LONGEST_CHAIN = 10_000
"""Characters of `certificateChain` in every OCPP version."""

ROOM_FOR_LEAF = 4_000
"""What a certificate of the longest subject and key takes of them."""

LEAST_RSA_BITS, MOST_RSA_BITS, LEAST_EC_BITS = 2048, 8192, 224

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey


def key_is_strong(key: object) -> bool | None:
    """Whether a public key is as strong as OCPP wants (A00.FR.301ff); None for a kind that it does not know."""
    if isinstance(key, RSAPublicKey):
        return LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS and key.public_numbers().e >= 3
    if isinstance(key, EllipticCurvePublicKey):
        return key.key_size >= LEAST_EC_BITS
    return None


def read_certificates(file: Path, now: datetime) -> list[x509.Certificate]:
    """The authority's certificate and those behind it; raises AuthorityError with every problem of it."""
    try:
        certificates = x509.load_pem_x509_certificates(_read(file))
        issuer, behind = certificates[0], "".join(pem_of(item) for item in certificates if item.subject != item.issuer)
        strong = key_is_strong(issuer.public_key())
        signs = _may_sign(issuer)
    except UNREADABLE:
        raise AuthorityError(["it holds no PEM certificate that can be read"]) from None
    problems = []
    if not signs:
        problems.append("its first certificate is not one of a certificate authority")
    if not strong:
        problems.append("its key must be RSA with 2048 to 8192 bits, or on a curve of 224 bits or more")
    if issuer.not_valid_after_utc <= now:
        problems.append(f"it expired on {issuer.not_valid_after_utc:%Y-%m-%d}")
    if issuer.not_valid_before_utc > now:
        problems.append(f"it is not valid before {issuer.not_valid_before_utc:%Y-%m-%d}")
    if len(behind) > LONGEST_CHAIN - ROOM_FOR_LEAF:
        problems.append(f"its chain has {len(behind)} characters: no charge point takes more than {LONGEST_CHAIN}")
    problems += [
        f"certificate {number + 1} did not sign certificate {number}"
        for number, (lower, upper) in enumerate(pairwise(certificates), start=1)
        if not is_issued_by(lower, upper)
    ]
    if problems:
        raise AuthorityError(problems)
    return certificates


def read_key(file: Path, certificate: x509.Certificate) -> PrivateKey:
    """The private key of that certificate; raises AuthorityError, which holds nothing of it."""
    try:
        key = serialization.load_pem_private_key(_read(file), password=None)
    except TypeError:
        raise AuthorityError(["the key is encrypted: keep it in a file that only this service can read"]) from None
    except (ValueError, UnsupportedAlgorithm):
        raise AuthorityError(["it holds no PEM private key that can be read"]) from None
    if not isinstance(key, (RSAPrivateKey, EllipticCurvePrivateKey)):
        raise AuthorityError(["the key is neither RSA nor one on an elliptic curve"])
    if key.public_key() != certificate.public_key():
        raise AuthorityError(["the key does not fit the certificate"])
    return key


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise AuthorityError([f"cannot be read: {error.strerror}"]) from None


def pem_of(certificate: x509.Certificate) -> str:
    """A certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        usage = True
    return constraints.ca and usage
