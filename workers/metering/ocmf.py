"""Signed meter values in the Open Charge Metering Format (OCMF 1.2): read, and verified with keys on record. Pure.

A record is `OCMF|{payload}|{signature}`; signed are the very bytes between the bars, which occur nowhere else.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from workers.store.meter_keys import MeterKey
from workers.store.public_keys import load

LONGEST_RECORD = 64 * 1024
"""Characters; OCPP has 2500 (2.0.1) and 32768 (2.1), base64 included."""

_HEADER = "OCMF"
_HEADER_HEX = "4f434d46"
_HEADER_BASE64 = "T0NNR"
_DER = "application/x-der"
_ECDSA = ec.ECDSA(SHA256())
_CURVES = {
    "secp192r1": "secp192r1",
    "secp256r1": "secp256r1",
    "secp256k1": "secp256k1",
    "secp384r1": "secp384r1",
    "brainpool256r1": "brainpoolP256r1",
    "brainpoolp256r1": "brainpoolP256r1",
    "brainpool384r1": "brainpoolP384r1",
    "brainpoolp384r1": "brainpoolP384r1",
}
"""By the names of OCMF table 22, and the usual ones, the curves that can be verified (not secp192k1)."""


class Signature(StrEnum):
    """What came of a signed meter value's signature."""

    VERIFIED = "verified"
    INVALID = "invalid"
    """There are keys on record for this meter, and it was signed with none of them."""
    UNKNOWN_KEY = "unknown_key"
    UNSUPPORTED = "unsupported"
    """Another format, or a way to sign that cannot be verified here."""
    UNREADABLE = "unreadable"
    """It calls itself OCMF, and is not."""


@dataclass(frozen=True, slots=True)
class Record:
    """An OCMF record taken apart."""

    signed: bytes
    signature: bytes
    curve: str | None
    """As `cryptography` names it; None where the record names no algorithm."""
    serials: frozenset[str]
    """Serial numbers of meter and gateway, in lower case: what a key may be tied to."""


def judge(value: Any, signed_value: Any, keys: Sequence[MeterKey]) -> Signature:
    """What the signature is worth: `value` is a 1.6 sample's, `signed_value` a 2.x one's `signedMeterValue`.

    Never raises, whatever it is given. A public key that the message brings along counts for nothing.
    """
    text, method = _text_of(value if signed_value is None else signed_value)
    if isinstance(text, Signature):
        return text
    record = read_record(text, method)
    return record if isinstance(record, Signature) else verify(record, keys)


def read_record(text: str, method: str | None = None) -> Record | Signature:
    """Take a record apart; UNREADABLE or UNSUPPORTED when it cannot be. `method` stands in for a missing algorithm."""
    if len(text) > LONGEST_RECORD:
        return Signature.UNREADABLE
    parts = text.split("|")
    if len(parts) != 3 or parts[0].strip() != _HEADER:
        return Signature.UNREADABLE
    payload, section = _object(parts[1]), _object(parts[2])
    if payload is None or section is None:
        return Signature.UNREADABLE
    named = section.get("SA", method)
    curve = None if named is None else _curve(named)
    if (named is not None and curve is None) or section.get("SM", _DER) != _DER:
        return Signature.UNSUPPORTED
    signature = _decoded(section.get("SD"), section.get("SE", "hex"))
    if isinstance(signature, Signature):
        return signature
    serials = (payload.get(name) for name in ("MS", "GS"))
    return Record(
        signed=parts[1].encode(),
        signature=signature,
        curve=curve,
        serials=frozenset(serial.strip().casefold() for serial in serials if isinstance(serial, str)),
    )


def verify(record: Record, keys: Sequence[MeterKey]) -> Signature:
    """Try the keys that are for any meter, or for one of the record's serial numbers."""
    fitting = [key for key in keys if not key.meter_serial or key.meter_serial.strip().casefold() in record.serials]
    if not fitting:
        return Signature.UNKNOWN_KEY
    outcome = Signature.INVALID
    for key in fitting:
        public_key = load(key.public_key)
        if public_key is None:
            outcome = Signature.UNSUPPORTED
        elif record.curve is None or public_key.curve.name == record.curve:
            try:
                public_key.verify(record.signature, record.signed, _ECDSA)
            except InvalidSignature:
                continue
            except (ValueError, UnsupportedAlgorithm):
                outcome = Signature.UNSUPPORTED
            else:
                return Signature.VERIFIED
    return outcome


def _text_of(given: Any) -> tuple[str | Signature, str | None]:
    """The record's text in whatever wrapping it came, and the algorithm that the wrapping names."""
    if isinstance(given, str):
        text = given.strip()
        if not text.startswith("{"):
            return _unwrapped(text), None
        given = _object(text)  # OCPP 1.6 with the fields of 2.x in the value, as JSON
    if not isinstance(given, dict):
        return Signature.UNREADABLE, None
    data, method = given.get("signedMeterData"), given.get("signingMethod")
    if not isinstance(data, str):
        return Signature.UNREADABLE, None
    return _unwrapped(data.strip()), method if isinstance(method, str) and method else None


def _unwrapped(text: str) -> str | Signature:
    if len(text) > 2 * LONGEST_RECORD:
        return Signature.UNREADABLE
    if text[: len(_HEADER_HEX)].lower() == _HEADER_HEX:
        text = _utf8(_from_hex(text)) or _HEADER
    elif text.startswith(_HEADER_BASE64):
        text = _utf8(_from_base64(text)) or _HEADER
    elif text.startswith(f'"{_HEADER}'):
        text = _unescaped(text) or _HEADER
    if not text.startswith(_HEADER):
        return Signature.UNSUPPORTED
    if '{\\"' in text:  # escaped once more than JSON asks for
        text = _unescaped(f'"{text}"') or text
    return text


def _curve(named: Any) -> str | None:
    parts = named.split("-") if isinstance(named, str) else []
    if len(parts) != 3 or parts[0].upper() != "ECDSA" or parts[2].upper() != "SHA256":
        return None
    return _CURVES.get(parts[1].lower())


def _decoded(data: Any, encoding: Any) -> bytes | Signature:
    if not isinstance(data, str):
        return Signature.UNREADABLE
    readers = {"hex": _from_hex, "base64": _from_base64}
    reader = readers.get(encoding.lower()) if isinstance(encoding, str) else None
    if reader is None:
        return Signature.UNSUPPORTED
    return reader(data) or Signature.UNREADABLE


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return ""


def _unescaped(text: str) -> str:
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ""
    return content if isinstance(content, str) else ""


def _object(text: str) -> dict[str, Any] | None:
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None
