"""What names a Call or a command in its spans, alike in every process; never a payload."""

from contracts.tracing.recording import Value
from contracts.versions import Version

MOST_ACTION = 50
MOST_ID = 64
"""Characters of an action and of an id that are kept: some spans are made before either is judged."""


def of_call(identity: str, session: str, version: Version, unique_id: str, action: str) -> dict[str, Value]:
    """The attributes of a Call, on its way to a worker or in one."""
    return {
        "ocpp.version": version.value,
        "ocpp.action": action[:MOST_ACTION],
        "ocpp.unique_id": unique_id[:MOST_ID],
        "ocpp.identity": identity,
        "ocpp.session": session,
    }


def of_command(identity: str, command_id: str, action: str) -> dict[str, Value]:
    """The attributes of a command for a charge point."""
    return {
        "ocpp.action": action[:MOST_ACTION],
        "ocpp.command_id": command_id[:MOST_ID],
        "ocpp.identity": identity,
    }
