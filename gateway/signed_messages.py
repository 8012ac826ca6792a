"""Signed messages of OCPP 2.x (part 4, chapter 7): reads and verifies them. Pure.

A signed message has the action `<Action>-Signed` and, as its payload, the payload of `<Action>` as a flattened JSON
Web Signature (RFC 7515, 7.2.2). Its protected header says for which action and message type it was made, so that
neither can be changed; a message id only where the signer adds one, as the specification has none there.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, TypeGuard

import orjson
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from contracts.envelope import MessagePolicy
from contracts.x509_reading import UNREADABLE

SUFFIX = "-Signed"
MOST_KEYS = 8
MOST_HEADER = 4096
MOST_SIGNATURE = 1024
LEAST_RSA_BITS, MOST_RSA_BITS = 2048, 4096

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_ACTION = "OCPPAction"
_TYPES = ("OCPPMessageTypedId", "OCPPMessageTypeId", "OCPPMessageType")
"""As the specification spells it, and as those do who take that for the mistake that it is."""
_MESSAGE_ID = "OCPPMessageId"
_THUMBPRINT = "x5t#S256"
_MEMBERS = ("protected", "payload", "signature")

_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384()}
_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1"}
_ALGORITHMS = frozenset({"ES256", "ES384", "RS256", "RS384", "PS256"})
"""ES256, RS256 and RS384 are OCPP's (part 4, 7.3); the others are as strong. Never `none`, never a shared secret."""


class SignedResult(StrEnum):
    """What came of a signed message; a metric's label."""

    VERIFIED = "verified"
    UNSIGNED = "unsigned"
    """A signature is required of this charge point, and there is none."""
    MALFORMED = "malformed"
    """No flattened JWS, or none that OCPP would make."""
    ALGORITHM = "algorithm"
    """An algorithm that is not taken."""
    UNKNOWN_KEY = "unknown_key"
    """No key on record is the one that it names, or of its kind."""
    OTHER_MESSAGE = "other_message"
    """It was made for another action, message type or message."""
    BAD_SIGNATURE = "bad_signature"


@dataclass(frozen=True, slots=True)
class Opened:
    """A message whose signature was verified: the inner payload as JSON and as data, and whose key it was."""

    body: bytes
    payload: dict[str, Any]
    thumbprint: str


@dataclass(frozen=True, slots=True)
class _Jws:
    """The parts of a JWS, decoded as far as they must be to judge it."""

    header: dict[str, Any]
    body: bytes
    signature: bytes
    signed: bytes


@dataclass(frozen=True, slots=True)
class _Key:
    thumbprint: str
    key: PublicKey
    of_certificate: bool


class Signatures:
    """What is asked of one charge point's messages, and the keys that its signatures are verified with."""

    __slots__ = ("_keys", "policy", "unusable")

    def __init__(self, policy: MessagePolicy, pems: Iterable[str]) -> None:
        self.policy = policy
        self.unusable = 0
        """Keys on record that are of no use: not PEM, or of a kind that OCPP does not sign with."""
        self._keys: list[_Key] = []
        for pem in pems:
            key = _read_key(pem)
            if key is None or len(self._keys) == MOST_KEYS:
                self.unusable += 1
            else:
                self._keys.append(key)

    @classmethod
    def of(cls, policy: str, pems: Iterable[str]) -> "Signatures | None":
        """Those of an AdmissionVerdict; None where signed messages are nobody's business."""
        chosen = MessagePolicy(policy)
        return None if chosen is MessagePolicy.OFF else cls(chosen, pems)

    @property
    def required(self) -> bool:
        """Whether unsigned Calls are refused."""
        return self.policy is MessagePolicy.REQUIRE

    def open(self, message_type: int, unique_id: str, action: str, payload: Any) -> Opened | SignedResult:
        """The payload inside a signed message of this (bare) action, or why it is not believed."""
        jws = _read(payload)
        if jws is None:
            return SignedResult.MALFORMED
        algorithm = jws.header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
            return SignedResult.ALGORITHM
        if "crit" in jws.header:
            return SignedResult.MALFORMED  # RFC 7515, 4.1.11: what must be understood, and OCPP defines none of it
        if not _fits(jws.header, message_type, unique_id, action):
            return SignedResult.OTHER_MESSAGE
        candidates = self._candidates(jws.header.get(_THUMBPRINT), algorithm)
        if not candidates:
            return SignedResult.UNKNOWN_KEY
        for candidate in candidates:
            if _verifies(candidate.key, algorithm, jws):
                content = _object(jws.body)
                return SignedResult.MALFORMED if content is None else Opened(jws.body, content, candidate.thumbprint)
        return SignedResult.BAD_SIGNATURE

    def _candidates(self, thumbprint: Any, algorithm: str) -> list[_Key]:
        """The key that is named; without a name (7.4 only recommends one) all that the algorithm fits.

        A key on record without its certificate may be the one behind any thumbprint.
        """
        fitting = [key for key in self._keys if _fits_algorithm(key.key, algorithm)]
        if thumbprint is None:
            return fitting
        named = [key for key in fitting if key.thumbprint == thumbprint]
        return named or [key for key in fitting if not key.of_certificate]


def bare(action: str) -> str | None:
    """The action inside a signed one; None for one that is not signed."""
    return action[: -len(SUFFIX)] if action.endswith(SUFFIX) and len(action) > len(SUFFIX) else None


def is_jws(payload: Any) -> bool:
    """Whether a payload looks like a signed one: no payload of OCPP has these three fields."""
    return isinstance(payload, dict) and all(name in payload for name in _MEMBERS)


def _read(payload: Any) -> _Jws | None:
    if not is_jws(payload):
        return None
    protected, body, signature = (payload[name] for name in _MEMBERS)
    if not (isinstance(protected, str) and isinstance(body, str) and isinstance(signature, str)):
        return None
    if len(protected) > MOST_HEADER or len(signature) > MOST_SIGNATURE:
        return None
    decoded = [_decoded(part) for part in (protected, body, signature)]
    header = None if decoded[0] is None else _object(decoded[0])
    if header is None or decoded[1] is None or decoded[2] is None:
        return None
    return _Jws(header, decoded[1], decoded[2], f"{protected}.{body}".encode("ascii"))


def _decoded(text: str) -> bytes | None:
    if not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        return None
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def _fits(header: dict[str, Any], message_type: int, unique_id: str, action: str) -> bool:
    types = [header[name] for name in _TYPES if name in header]
    return (
        header.get(_ACTION) == action
        and bool(types)
        and all(type(value) is int and value == message_type for value in types)
        and header.get(_MESSAGE_ID, unique_id) == unique_id
    )


def _fits_algorithm(key: PublicKey, algorithm: str) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return algorithm not in _CURVES
    return _CURVES.get(algorithm) == key.curve.name


def _verifies(key: PublicKey, algorithm: str, jws: _Jws) -> bool:
    digest = _HASHES[algorithm[2:]]
    try:
        if isinstance(key, rsa.RSAPublicKey):
            scheme = (
                padding.PSS(padding.MGF1(digest), digest.digest_size) if algorithm[:2] == "PS" else padding.PKCS1v15()
            )
            key.verify(jws.signature, jws.signed, scheme, digest)
        else:
            size = (key.key_size + 7) // 8
            if len(jws.signature) != 2 * size:  # RFC 7518, 3.4: R and S, not the DER of X.509
                return False
            r, s = int.from_bytes(jws.signature[:size], "big"), int.from_bytes(jws.signature[size:], "big")
            key.verify(encode_dss_signature(r, s), jws.signed, ec.ECDSA(digest))
    except InvalidSignature:
        return False
    return True


def _read_key(pem: str) -> _Key | None:
    data = pem.encode("utf-8", "replace")
    of_certificate = "BEGIN CERTIFICATE" in pem
    try:
        if of_certificate:
            certificate = x509.load_pem_x509_certificate(data)
            key: object = certificate.public_key()
            der = certificate.public_bytes(serialization.Encoding.DER)
        else:
            key = public = serialization.load_pem_public_key(data)
            der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    except UNREADABLE:
        return None
    if not _usable(key):
        return None
    return _Key(urlsafe_b64encode(sha256(der).digest()).rstrip(b"=").decode(), key, of_certificate)


def _usable(key: object) -> TypeGuard[PublicKey]:
    if isinstance(key, rsa.RSAPublicKey):
        return LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES.values()
