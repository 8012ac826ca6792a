"""Tracked commands as a store holds them."""

from datetime import datetime, timedelta
from typing import Any

from workers.store import commands
from workers.store.commands import TrackedCommand
from workers.store.engine import Store


def new_command(command_id: str, now: datetime, **changes: Any) -> dict[str, Any]:
    """A row as `commands.submit` takes it."""
    return {
        "command_id": command_id,
        "identity": "CP-1",
        "shard": "ocpp.commands.0",
        "action": "RemoteStartTransaction",
        "payload": {"idTag": "DEMO"},
        "request_digest": "digest",
        "only_session": None,
        "created_at": now,
        "deadline_at": now + timedelta(hours=1),
        **changes,
    }


async def submitted(store: Store, command_id: str, now: datetime, **changes: Any) -> TrackedCommand:
    """A new command, stored."""
    async with store.transaction() as transaction:
        stored = await commands.submit(transaction, new_command(command_id, now, **changes))
    assert stored is not None
    return stored
