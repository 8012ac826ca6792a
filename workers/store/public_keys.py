"""Public keys of meters, in the forms that makers hand them out, read into one. Pure."""

import base64
import binascii
import hashlib
import re
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

CURVES: tuple[type[ec.EllipticCurve], ...] = (
    ec.SECP256R1,
    ec.SECP256K1,
    ec.BrainpoolP256R1,
    ec.SECP384R1,
    ec.BrainpoolP384R1,
    ec.SECP192R1,
)
"""Those of OCMF 1.2, table 23, that the cryptography package has: all but secp192k1."""

LONGEST_KEY = 2000
_SPACE = re.compile(r"[\s:]+")
_POINT_BYTES = {2 * 24, 2 * 32, 2 * 48}


def read_public_key(text: str) -> bytes | str:
    """The key as DER (SubjectPublicKeyInfo), or what is wrong with it, without a word of it.

    Takes PEM, that DER as hexadecimal or base64, and a bare uncompressed point as hexadecimal.
    """
    if len(text) > LONGEST_KEY:
        return f"a public key has at most {LONGEST_KEY} characters"
    try:
        if "-----BEGIN" in text:
            key = load_pem_public_key(text.encode())
        else:
            raw = _bytes_of(_SPACE.sub("", text))
            if raw is None:
                return "is neither PEM nor hexadecimal nor base64"
            point = _point(raw)
            key = load_der_public_key(raw) if point is None else point
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return "is no public key that can be read"
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, CURVES):
        return f"is not on one of the curves {', '.join(str(curve.name) for curve in CURVES)}"
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(der: bytes) -> str:
    """What names a key: the SHA-256 of its DER, as hexadecimal."""
    return hashlib.sha256(der).hexdigest()


@lru_cache(maxsize=10_000)
def load(der_hex: str) -> ec.EllipticCurvePublicKey | None:
    """The key that is on record so; None when this machine cannot read it."""
    try:
        key = load_der_public_key(bytes.fromhex(der_hex))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) else None


def _bytes_of(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        pass
    try:
        return base64.b64decode(text, validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _point(raw: bytes) -> ec.EllipticCurvePublicKey | None:
    """A bare point lies on one curve only: that tells which one is meant."""
    if len(raw) in _POINT_BYTES and raw[:1] != b"\x30":
        raw = b"\x04" + raw
    if len(raw) - 1 not in _POINT_BYTES or raw[:1] != b"\x04":
        return None
    for curve in CURVES:
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(curve(), raw)
        except (ValueError, UnsupportedAlgorithm):
            continue
    raise ValueError("no curve has this point")
