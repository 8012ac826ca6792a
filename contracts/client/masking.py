"""What a person may see of a message: tokens, passwords and keys are masked."""

import re
from typing import Any

MASK = "***"
_SECRET_KEYS = frozenset({
    "idtag", "parentidtag", "idtoken", "groupidtoken", "additionalidtoken", "grouptoken",
    "password", "basicauthpassword", "authorizationkey", "apnpassword", "secret", "token", "authorization",
    "hashedpassword", "privatekey",
})  # fmt: skip
"""In lower case and without underscores; of a mapping under such a key, each value but `type` and `status`."""

_NAMED_VALUES = frozenset({"value", "attributevalue", "componentvalue"})
_SECRET_NAMES = frozenset({"authorizationkey", "basicauthpassword", "password", "apnpassword", "vpnpassword"})
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")
_PLAIN = frozenset({"type", "status"})


def masked(value: Any) -> Any:
    """The same JSON-like value with every secret replaced; URLs lose their user and password."""
    if isinstance(value, dict):
        hides_value = _names_a_secret(value)
        hidden = {
            key
            for key in value
            if _flat(key) in _SECRET_KEYS
            or (hides_value and _flat(key) in _NAMED_VALUES)
            or (key == "key" and "password" in value)  # of a VPN; elsewhere it is the name of a setting
        }
        return {key: _hidden(item) if key in hidden else masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return _USER_IN_URL.sub(f"{MASK}@", value) if isinstance(value, str) else value


def _names_a_secret(value: dict[Any, Any]) -> bool:
    """Whether a mapping is a setting such as `{"key": "AuthorizationKey", "value": …}` of a secret."""
    variable = value.get("variable")
    names = [value.get("key"), variable.get("name") if isinstance(variable, dict) else None]
    return any(isinstance(name, str) and _flat(name) in _SECRET_NAMES for name in names)


def _hidden(item: Any) -> Any:
    if isinstance(item, dict):
        return {key: masked(value) if _flat(key) in _PLAIN else _hidden(value) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return [_hidden(value) for value in item]
    return item if item is None else MASK


def _flat(key: Any) -> str:
    return key.replace("_", "").replace("-", "").lower() if isinstance(key, str) else ""
