"""Takes secrets out of OCPP frames before they are logged: pure, and total over any bytes.

A frame without any trace of a secret is returned as it is. One with a trace is decoded, masked and encoded anew
(compact; a key that occurs twice keeps its last value). What cannot be decoded is replaced by its length.
"""

import re
from collections.abc import Callable
from enum import IntFlag, StrEnum
from functools import lru_cache
from typing import Any

import orjson

MASK = "***"
MOST_DEPTH = 100
"""OCPP nests a dozen deep; the encoder goes no deeper than 254."""

_MOST_JSON_IN_JSON = 3
_JSON_BEGINS = frozenset('{["')

_IDS = frozenset({"idtag", "parentidtag"})
_TOKENS = frozenset({"idtoken", "groupidtoken", "additionalidtoken"})
_SECRET_WORDS = ("password", "authorizationkey", "secret", "privatekey", "vpnkey", "simpin")
_CACHED_NAME = 64

_WORD = re.compile(r"\S+")
_AUTHORITY = re.compile(r"[^/?#]*")
# The user information of writers who leave a slash in the password unescaped; digits would be a port.
_LOOSE_USER = re.compile(r"[^/?#:]+:(?!\d+[/?#])")
_QUERY_VALUE = re.compile(r"=[^&;]+")


class Masking(StrEnum):
    """What is masked: credentials and the idTags and idTokens of drivers, credentials alone, or nothing."""

    ALL = "all"
    CREDENTIALS = "credentials"
    NONE = "none"


class _TooDeepError(Exception):
    """Nested deeper than what is followed."""


def _may_hold_credentials(lower: bytes) -> bool:
    # Written out, as this is done to every frame. "key" stands for authorizationkey, privatekey and VPN keys, "://"
    # for URLs with users or signatures; a backslash may be an escape that hides any of the words.
    return (
        b"://" in lower
        or b"\\" in lower
        or b"key" in lower
        or b"password" in lower
        or b"secret" in lower
        or b"simpin" in lower
    )


def _may_hold_secrets(lower: bytes) -> bool:
    return b"idt" in lower or _may_hold_credentials(lower)


def masker(masking: Masking) -> Callable[[bytes], bytes]:
    """The function that masks one frame."""
    if masking is Masking.NONE:
        return bytes
    ids = masking is Masking.ALL
    traced = _may_hold_secrets if ids else _may_hold_credentials
    walk = _Walk(ids=ids, traced=traced)

    def mask(frame: bytes) -> bytes:
        if not (frame.startswith(b"[") and frame.endswith(b"]")):
            bare = frame.strip()
            if not (bare.startswith(b"[") and bare.endswith(b"]")):
                return _unreadable(frame)
        if not traced(frame.lower()):
            return frame
        try:
            return orjson.dumps(walk.value(orjson.loads(frame), 0, 0))
        except (orjson.JSONDecodeError, orjson.JSONEncodeError, _TooDeepError):
            return _unreadable(frame)

    return mask


def _unreadable(frame: bytes) -> bytes:
    """Stands for a frame that is no OCPP-J, in which nobody can say what is a secret."""
    return b'{"unreadable_bytes":%d}' % len(frame)


class _Name(IntFlag):
    """What the name of a field says of its value; a field may be several."""

    PLAIN = 0
    ID = 1
    TOKEN = 2
    SECRET = 4
    VALUE = 8
    VPN = 16
    ATTRIBUTE = 32


def _judge(name: str) -> int:
    lower = name.lower()
    verdict = _Name.PLAIN
    if lower in _IDS:
        verdict |= _Name.ID
    if lower in _TOKENS:
        verdict |= _Name.TOKEN
    if any(word in lower for word in _SECRET_WORDS):
        verdict |= _Name.SECRET
    if lower.endswith("value"):
        verdict |= _Name.VALUE
    if lower == "vpn":
        verdict |= _Name.VPN
    if lower == "variableattribute":
        verdict |= _Name.ATTRIBUTE
    return int(verdict)


_judge_known = lru_cache(maxsize=2048)(_judge)
_ID, _TOKEN, _SECRET, _VALUE, _VPN, _ATTRIBUTE = (int(name) for name in _Name)


def _verdict(name: str) -> int:
    # OCPP's names recur; what is longer is nobody's, and would fill the memory
    return _judge_known(name) if len(name) <= _CACHED_NAME else _judge(name)


class _Walk:
    """Goes through decoded JSON and returns it masked."""

    __slots__ = ("_always", "_traced")

    def __init__(self, *, ids: bool, traced: Callable[[bytes], bool]) -> None:
        self._always = _SECRET | _ID if ids else _SECRET
        self._traced = traced

    def value(self, value: Any, depth: int, inner: int) -> Any:
        """The value, masked; `inner` counts the texts that it is in (JSON in JSON)."""
        if isinstance(value, str):
            return self._text(value, inner)
        if depth > MOST_DEPTH:
            raise _TooDeepError
        if isinstance(value, dict):
            return self._map(value, depth, inner)
        if isinstance(value, list):
            return [self.value(item, depth + 1, inner) for item in value]
        return value

    def _map(self, content: dict[str, Any], depth: int, inner: int) -> dict[str, Any]:
        variable = content.get("variable")
        # ChangeConfiguration, GetConfiguration (1.6); SetVariables, GetVariables, NotifyReport, NotifyEvent (2.x)
        hidden = _secret_name(content.get("key")) or (isinstance(variable, dict) and _secret_name(variable.get("name")))
        always = self._always | _VALUE if hidden else self._always
        tokens = self._always & _ID
        masked: dict[str, Any] = {}
        for key, value in content.items():
            verdict = _verdict(key)
            if value is None:
                masked[key] = None
            elif verdict & always or (verdict & _TOKEN and tokens and not isinstance(value, dict)):
                masked[key] = MASK
            elif verdict & _ATTRIBUTE and hidden:
                masked[key] = _without_values(value)
            elif isinstance(value, str):
                masked[key] = self._text(value, inner)
            else:
                masked[key] = self.value(value, depth + 1, inner)
            if verdict & _VPN and isinstance(value, dict):
                masked[key].update((name, MASK) for name in value if name.lower() == "key")
        return masked

    def _text(self, text: str, inner: int) -> str:
        # DataTransfer of OCPP 1.6 carries whole requests as text.
        if text.lstrip()[:1] in _JSON_BEGINS and self._traced(text.lower().encode()):
            if inner >= _MOST_JSON_IN_JSON:
                return MASK
            try:
                content = orjson.loads(text)
            except orjson.JSONDecodeError:
                pass
            else:
                return orjson.dumps(self.value(content, 0, inner + 1)).decode()
        return _WORD.sub(_without_credentials, text) if "://" in text else text


def _without_credentials(word: re.Match[str]) -> str:
    """A word without the user information (RFC 3986, 3.2.1) and the values in the queries of its URLs.

    A query may be a signature that lets anybody read or write. In linear time, as charge points choose the text.
    """
    text = word[0]
    kept: list[str] = []
    done = 0
    begin = text.find("://") + 3
    while begin >= 3:
        authority = _AUTHORITY.match(text, begin)
        end = text.rfind("@", begin, authority.end() if authority else begin)
        if end < 0 and _LOOSE_USER.match(text, begin):
            end = text.find("@", begin)
            if end < 0:
                break  # nor does any that follows have one
        if end >= 0:
            kept += text[done:begin], MASK
            done = end
        begin = text.find("://", max(begin, end)) + 3
    text = "".join((*kept, text[done:]))
    start = text.find("?", text.find("://") + 3) + 1 if "://" in text else 0
    if not start or start == len(text):
        return text
    query = text[start:]
    return text[:start] + (_QUERY_VALUE.sub(f"={MASK}", query) if "=" in query else MASK)


def _secret_name(name: object) -> bool:
    """Whether the value of a configuration key or variable of this name is a credential."""
    return isinstance(name, str) and bool(_verdict(name) & _SECRET)


def _without_values(attributes: Any) -> Any:
    """The variableAttribute of a NotifyReport."""
    if not isinstance(attributes, list):
        return MASK
    return [
        {key: MASK if _verdict(key) & _VALUE else value for key, value in attribute.items()}
        if isinstance(attribute, dict)
        else MASK
        for attribute in attributes
    ]
