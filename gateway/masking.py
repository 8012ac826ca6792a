"""Takes secrets out of OCPP frames before they are logged: pure, and total over any bytes.

A frame without any trace of a secret is returned as it is. One with a trace is decoded, masked and encoded anew
(compact; a key that occurs twice keeps its last value). What cannot be decoded, or is so large that it would take
long, is replaced by its length.
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

MOST_BYTES = 128 * 1024
"""Of a frame with a trace of a secret: more would hold up the event loop for a good part of a second."""

_MOST_JSON_IN_JSON = 3
_JSON_BEGINS = frozenset('{["')

# Names without case and separators.
_IDS = frozenset({"idtag", "parentidtag", "customeridentifier"})
_TOKENS = frozenset({"idtoken", "groupidtoken", "additionalidtoken"})
_SECRET_WORDS = (
    "passw", "passphrase", "passcode", "pwd", "psk", "secret", "credential", "authorizationkey", "privatekey",
    "vpnkey", "apikey", "accesskey", "authkey", "accesstoken", "authtoken", "bearertoken", "simpin",
)  # fmt: skip
_SECRET_SETTINGS = ("key", "token", "pin", "puk", "masterpassgroupid")
"""Endings of the names of configuration keys and variables whose values are secrets too; of fields they say nothing."""

_NAMING_FIELDS = frozenset({"key", "name", "variable"})
"""Fields that name the setting whose value is beside them."""

_SEPARATORS = str.maketrans("", "", "_-. ")
_CACHED_NAME = 64

# What is no JSON (or JSON cut off, or written by hand) may yet say `password=…`. The bound keeps it linear.
_SAID_VALUE = r"""[a-z]{0,16}["']?\s*[=:>]\s*)(?:"[^"]*"?|'[^']*'?|[^\s,;&<>}\]"']+)"""
_SAID_SECRET = "|".join(_SECRET_WORDS)
_SAID_CREDENTIALS = re.compile(f"((?:{_SAID_SECRET}){_SAID_VALUE}", re.IGNORECASE)
_SAID = re.compile(f"((?:{_SAID_SECRET}|id[_-]?tag|id[_-]?token){_SAID_VALUE}", re.IGNORECASE)
_MAY_SAY = re.compile(r"""[=>{\["]|:(?!\d\d)|-----""")
"""Without any of these a text is no JSON, no URL, no key, and says nothing; what it may have is the time of day."""

_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END|\Z)", re.DOTALL)

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


def _may_hold_credentials(lower: str) -> bool:
    # Written out, as this is done to every frame; and of str, in which `in` takes half the time. "key" stands for all
    # kinds of keys and 1.6's configuration, "pass" for passwords by any name, "variable" for 2.x's, "://" for URLs with
    # users or signatures; a backslash may be an escape that hides any of the words.
    return (
        "://" in lower
        or "\\" in lower
        or "key" in lower
        or "pass" in lower
        or "secret" in lower
        or "pwd" in lower
        or "psk" in lower
        or "simpin" in lower
        or "token" in lower
        or "credential" in lower
        or "variable" in lower
        or "protected" in lower  # of a signed message, whose payload is no plain text
    )


def _may_hold_secrets(lower: str) -> bool:
    return "idt" in lower or "id_t" in lower or "id-t" in lower or "customeri" in lower or _may_hold_credentials(lower)


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
        if not traced(frame.decode("latin-1").lower()):  # of any bytes, and the words are ASCII
            return frame
        if len(frame) > MOST_BYTES:
            return _unreadable(frame)
        try:
            return orjson.dumps(walk.value(orjson.loads(frame), 0, 0))
        except (orjson.JSONDecodeError, orjson.JSONEncodeError, _TooDeepError):
            return _unreadable(frame)

    return mask


def _unreadable(frame: bytes) -> bytes:
    """Stands for a frame in which nobody has found out what is a secret."""
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
    SETTING = 64


def _judge(name: str) -> int:
    lower = name.lower().translate(_SEPARATORS)
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
    if lower.endswith(_SECRET_SETTINGS) and "public" not in lower:
        verdict |= _Name.SETTING
    return int(verdict)


_judge_known = lru_cache(maxsize=2048)(_judge)
_ID, _TOKEN, _SECRET, _VALUE, _VPN, _ATTRIBUTE, _SETTING = (int(name) for name in _Name)


def _verdict(name: str) -> int:
    # OCPP's names recur; what is longer is nobody's, and would fill the memory
    return _judge_known(name) if len(name) <= _CACHED_NAME else _judge(name)


class _Walk:
    """Goes through decoded JSON and returns it masked."""

    __slots__ = ("_always", "_said", "_traced")

    def __init__(self, *, ids: bool, traced: Callable[[str], bool]) -> None:
        self._always = _SECRET | _ID if ids else _SECRET
        self._said = _SAID if ids else _SAID_CREDENTIALS
        self._traced = traced

    def value(self, value: Any, depth: int, inner: int) -> Any:
        """The value, masked; `inner` counts the texts that it is in (JSON in JSON)."""
        if isinstance(value, str):
            return value if _MAY_SAY.search(value) is None else self._text(value, inner)
        if depth > MOST_DEPTH:
            raise _TooDeepError
        if isinstance(value, dict):
            return self._map(value, depth, inner)
        if isinstance(value, list):
            return [self.value(item, depth + 1, inner) for item in value]
        return value

    def _map(self, content: dict[str, Any], depth: int, inner: int) -> dict[str, Any]:
        # ChangeConfiguration, GetConfiguration (1.6); SetVariables, GetVariables, NotifyReport, NotifyEvent (2.x)
        hidden = False
        if "protected" in content and "payload" in content and "signature" in content:
            content = {**content, "payload": MASK}  # base64url: it may hold any secret, and no walk would see it
        for key, value in content.items():
            if key.lower() in _NAMING_FIELDS and _names_secret(value):
                hidden = True
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
                masked[key] = value if _MAY_SAY.search(value) is None else self._text(value, inner)
            else:
                masked[key] = self.value(value, depth + 1, inner)
            if verdict & _VPN and isinstance(value, dict):
                masked[key].update((name, MASK) for name in value if name.lower() == "key")
        return masked

    def _text(self, text: str, inner: int) -> str:
        # DataTransfer of OCPP 1.6 carries whole requests as text.
        if not self._traced(text.lower()):
            return text
        if text.lstrip()[:1] in _JSON_BEGINS:
            if inner >= _MOST_JSON_IN_JSON:
                return MASK
            try:
                content = orjson.loads(text)
            except orjson.JSONDecodeError:
                pass
            else:
                masked = self.value(content, 0, inner + 1)
                return text if masked == content else orjson.dumps(masked).decode()
        if "://" in text:
            text = _WORD.sub(_without_credentials, text)
        text = _PRIVATE_KEY.sub(MASK, text)
        return self._said.sub(rf"\g<1>{MASK}", text)


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


def _names_secret(name: object) -> bool:
    """Whether this names a configuration key or variable (perhaps as `{"name": …}`) whose value is a credential."""
    if isinstance(name, dict):
        return any(
            _names_secret(value) for key, value in name.items() if key.lower() == "name" and isinstance(value, str)
        )
    return isinstance(name, str) and bool(_verdict(name) & (_SECRET | _SETTING))


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
