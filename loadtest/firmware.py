"""An update of a charge point's firmware: downloaded, checked and installed, or played as its behaviour says.

Only images on this machine are really downloaded; a location elsewhere is played.
"""

import base64
import binascii
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_TIMEOUT = aiohttp.ClientTimeout(total=30)


def is_here(location: str) -> bool:
    """Whether an image is on this machine, so that it is really downloaded and checked."""
    parts = urlsplit(location)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK


async def steps(firmware: Mapping[str, Any], signer: x509.Certificate | None, outcome: str) -> AsyncIterator[str]:
    """Each status once it has come about; `firmware` is the request's own description, `signer` its certificate."""
    location = str(firmware["location"])
    signed = "signature" in firmware
    yield "Downloading"
    if is_here(location):
        image = await download(location)
        downloaded = image is not None
        verified = image is not None and signer is not None and is_signed(image, str(firmware.get("signature")), signer)
    else:
        downloaded, verified = outcome != "DownloadFailed", outcome != "InvalidSignature"
    if not downloaded:
        yield "DownloadFailed"
        return
    yield "Downloaded"
    if signed:
        yield "SignatureVerified" if verified else "InvalidSignature"
        if not verified:
            return
    yield "Installing"
    yield "InstallationFailed" if outcome == "InstallationFailed" else "Installed"


async def download(location: str) -> bytes | None:
    """The image, or None where there is none."""
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, session.get(location) as response:
            if response.status != 200:
                return None
            return await response.read()
    except (aiohttp.ClientError, TimeoutError):
        return None


def is_signed(image: bytes, signature: str, certificate: x509.Certificate) -> bool:
    """Whether the holder of the certificate signed the whole image (L01.FR.11, L01.FR.12)."""
    key = certificate.public_key()
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(key, rsa.RSAPublicKey):
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.AUTO)
            key.verify(raw, image, pss, hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(raw, image, ec.ECDSA(hashes.SHA256()))
        else:
            return False
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True
