"""Takes secrets out of OCPP frames before they are logged: pure, and total over any bytes.

A frame without any trace of a secret is returned as it is. One with a trace is decoded, masked and encoded anew
(compact; a key that occurs twice keeps its last value). What cannot be decoded is replaced by its length.
"""

import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

import orjson

MASK = "***"
MOST_DEPTH = 100
"""OCPP nests a dozen deep; the encoder goes no deeper than 254."""

_MOST_JSON_IN_JSON = 3
_JSON_BEGINS = frozenset('{["')

_IDS = frozenset({"idtag", "parentidtag"})
_TOKENS = frozenset({"idtoken", "groupidtoken", "additionalidtoken"})
_VPN_SECRETS = frozenset({"key"})
_SECRET_WORDS = ("password", "authorizationkey", "secret", "privatekey", "vpnkey", "simpin")
# In lower case. An escape may hide any of them; "\\/" does not matter, as an URL with a user has an "@" too.
_CREDENTIAL_TRACES = (b"password", b"authorizationkey", b"secret", b"privatekey", b"vpn", b"simpin", b"@", b"\\u")
_ALL_TRACES = (b"idtag", b"idtoken", *_CREDENTIAL_TRACES)

# The user information of an URL (RFC 3986, 3.2.1), and that of writers who leave a slash in the password unescaped.
_USER = re.compile(r"://(?:[^/?#\s]*|[^/?#\s:]+:(?!\d+[/?#])[^@\s]*)@")


class Masking(StrEnum):
    """What is masked: credentials and the idTags and idTokens of drivers, credentials alone, or nothing."""

    ALL = "all"
    CREDENTIALS = "credentials"
    NONE = "none"


class _TooDeepError(Exception):
    """Nested deeper than what is followed."""


def masker(masking: Masking) -> Callable[[bytes], bytes]:
    """The function that masks one frame."""
    if masking is Masking.NONE:
        return bytes
    traces = _ALL_TRACES if masking is Masking.ALL else _CREDENTIAL_TRACES
    walk = _Walk(ids=masking is Masking.ALL, traces=traces)

    def mask(frame: bytes) -> bytes:
        if not (frame.startswith(b"[") and frame.endswith(b"]")):
            bare = frame.strip()
            if not (bare.startswith(b"[") and bare.endswith(b"]")):
                return _unreadable(frame)
        lower = frame.lower()
        for trace in traces:
            if trace in lower:
                break
        else:
            return frame
        try:
            return orjson.dumps(walk.value(orjson.loads(frame), 0, 0))
        except (orjson.JSONDecodeError, orjson.JSONEncodeError, _TooDeepError):
            return _unreadable(frame)

    return mask


def _unreadable(frame: bytes) -> bytes:
    """Stands for a frame that is no OCPP-J, in which nobody can say what is a secret."""
    return b'{"unreadable_bytes":%d}' % len(frame)


class _Walk:
    """Goes through decoded JSON and returns it masked."""

    __slots__ = ("_ids", "_traces")

    def __init__(self, *, ids: bool, traces: Iterable[bytes]) -> None:
        self._ids = ids
        self._traces = tuple(trace.decode() for trace in traces)

    def value(self, value: Any, depth: int, inner: int) -> Any:
        """The value, masked; `inner` counts the texts that it is in (JSON in JSON)."""
        if isinstance(value, str):
            return self._text(value, inner)
        if depth > MOST_DEPTH:
            raise _TooDeepError
        if isinstance(value, list):
            return [self.value(item, depth + 1, inner) for item in value]
        if isinstance(value, dict):
            return self._map(value, depth, inner)
        return value

    def _map(self, content: dict[str, Any], depth: int, inner: int) -> dict[str, Any]:
        variable = content.get("variable")
        # ChangeConfiguration, GetConfiguration (1.6); SetVariables, GetVariables, NotifyReport, NotifyEvent (2.x)
        hidden = _secret_name(content.get("key")) or (isinstance(variable, dict) and _secret_name(variable.get("name")))
        masked: dict[str, Any] = {}
        for key, value in content.items():
            name = key.lower()
            if value is None:
                masked[key] = None
            elif self._secret(name, value) or (hidden and name.endswith("value")):
                masked[key] = MASK
            elif hidden and name == "variableattribute":
                masked[key] = _without_values(value)
            elif name == "vpn" and isinstance(value, dict):
                kept = {inner_key: MASK if inner_key.lower() in _VPN_SECRETS else it for inner_key, it in value.items()}
                masked[key] = self.value(kept, depth + 1, inner)
            else:
                masked[key] = self.value(value, depth + 1, inner)
        return masked

    def _secret(self, name: str, value: Any) -> bool:
        if self._ids and (name in _IDS or (name in _TOKENS and not isinstance(value, dict))):
            return True
        return _secret_name(name)

    def _text(self, text: str, inner: int) -> str:
        # DataTransfer of OCPP 1.6 carries whole requests as text.
        if text.lstrip()[:1] in _JSON_BEGINS and any(trace in text.lower() for trace in self._traces):
            if inner >= _MOST_JSON_IN_JSON:
                return MASK
            try:
                content = orjson.loads(text)
            except orjson.JSONDecodeError:
                pass
            else:
                return orjson.dumps(self.value(content, 0, inner + 1)).decode()
        return _USER.sub(f"://{MASK}@", text) if "@" in text else text


def _secret_name(name: object) -> bool:
    """Whether the value of a configuration key, variable or field of this name is a credential."""
    if not isinstance(name, str):
        return False
    lower = name.lower()
    return any(word in lower for word in _SECRET_WORDS)


def _without_values(attributes: Any) -> Any:
    """The variableAttribute of a NotifyReport."""
    if not isinstance(attributes, list):
        return MASK
    return [
        {key: MASK if key.lower().endswith("value") else value for key, value in attribute.items()}
        if isinstance(attribute, dict)
        else MASK
        for attribute in attributes
    ]
