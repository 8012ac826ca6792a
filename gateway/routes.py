"""What a session must know of an action to relay it, looked up once per name instead of at every Call. Pure."""

from dataclasses import dataclass

from contracts import actions, topology
from contracts.actions import TRANSACTION_ACTIONS
from contracts.versions import Version


@dataclass(frozen=True, slots=True)
class Route:
    """How Calls of one action travel."""

    key: str | None
    """Routing key; None when the name cannot be part of one, so nobody can serve it."""
    checked: bool
    """Whether a schema speaks about it: charge points may send this action."""
    expires: bool
    transaction: bool
    is_send: bool


def route_of(version: Version, name: str) -> Route:
    """The route of any action name, known to OCPP or not."""
    action = actions.find(version, name)
    return Route(
        key=topology.call_key(version, name),
        checked=action is not None and action.from_charge_point,
        expires=action is None or actions.expires(action),
        transaction=action is not None and name in TRANSACTION_ACTIONS,
        is_send=action is not None and action.is_send,
    )


# Known names only: what charge points make up must not fill the memory.
KNOWN: dict[Version, dict[str, Route]] = {
    version: {
        action.name: route_of(version, action.name) for action in actions.table().values() if action.version is version
    }
    for version in Version
}
