"""Commands that change what a charge point must show to be let in.

Such a command goes out only if what it sets is on record already: then the charge point is let in with it. That is how
the flows of the authorization service work, and it needs no mark that somebody could forge: whoever sends the same
again brings about nothing that is not in force or asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.commands import Reason
from workers.commands.admitting import Refusal
from workers.store import credentials
from workers.store.engine import StoreTransaction

REFUSAL = Refusal(
    Reason.RESERVED_KEY, "passwords and security profiles are changed by the operations rotate-key and raise-profile"
)

_PASSWORDS = frozenset({"authorizationkey", "basicauthpassword"})
_PROFILE = "securityprofile"


@dataclass(frozen=True, slots=True)
class ReservedSettings:
    """What a command sets of all that: as it is written in the payload, whatever type it has there."""

    passwords: tuple[object, ...] = field(default=(), repr=False)
    profiles: tuple[object, ...] = ()
    network_profiles: tuple[object, ...] = ()
    """Security profiles of 2.x network connections, which every such connection has."""


def reserved_settings(action: str, payload: Mapping[str, Any]) -> ReservedSettings | None:
    """What the command sets of it, None where it sets nothing of it. Names without letter case. Pure."""
    found = ReservedSettings()
    if action == "ChangeConfiguration":
        found = _setting(payload.get("key"), payload.get("value"))
    elif action == "SetVariables":
        items = payload.get("setVariableData")
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict):
                variable = item.get("variable")
                name = variable.get("name") if isinstance(variable, dict) else None
                # Whatever the component: NetworkConfiguration of 2.1 has such variables too.
                found = _both(found, _setting(name, item.get("attributeValue")))
    elif action == "SetNetworkProfile":
        data = payload.get("connectionData")
        content = data if isinstance(data, dict) else {}
        passwords = (content["basicAuthPassword"],) if "basicAuthPassword" in content else ()
        found = ReservedSettings(passwords, network_profiles=(content.get("securityProfile"),))
    return None if found == ReservedSettings() else found


def _setting(name: object, value: object) -> ReservedSettings:
    # Firmware written in C reads no further than a NUL.
    lower = name.partition("\0")[0].strip().casefold() if isinstance(name, str) else ""
    if lower in _PASSWORDS:
        return ReservedSettings(passwords=(value,))
    return ReservedSettings(profiles=(value,)) if lower == _PROFILE else ReservedSettings()


def _both(one: ReservedSettings, other: ReservedSettings) -> ReservedSettings:
    return ReservedSettings(one.passwords + other.passwords, one.profiles + other.profiles)


async def on_record(transaction: StoreTransaction, identity: str, asked: ReservedSettings) -> bool:
    """Whether gateways let the charge point in with all of it."""
    known = await credentials.standing(transaction, identity)
    profiles = {str(known.profile), str(known.target_profile)}
    if not all(value in profiles for value in asked.profiles):
        return False
    if not all(isinstance(value, int) and value >= known.profile for value in asked.network_profiles):
        return False
    keys = [row.key for row in await credentials.keys_of(transaction, identity) if row.live] if asked.passwords else []
    return all(any(key.matches(form) for key in keys for form in _forms(value)) for value in asked.passwords)


def _forms(value: object) -> list[bytes]:
    if not isinstance(value, str):
        return []
    try:
        return [value.encode(), bytes.fromhex(value)]
    except ValueError:  # no hexadecimal, or no text that could be written
        return [value.encode("utf-8", "replace")]
