"""What operators ask of the store and change in it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update

from workers.store.engine import StoreTransaction
from workers.store.tables import charge_points, connector_states, tokens
from workers.store.tokens import token_key
from workers.store.upserts import insert_new, upsert

_CHARGE_POINT = (
    "identity",
    "registration",
    "ocpp_version",
    "vendor",
    "model",
    "serial_number",
    "firmware_version",
    "booted_at",
    "last_heartbeat_at",
)
_CONNECTOR = ("evse_id", "connector_id", "status", "error_code", "vendor_error_code", "info", "reported_at")
_TOKEN = ("id_token", "status", "expires_at", "group_token", "concurrent")
_TOKEN_COLUMNS = tuple(tokens.c[name] for name in _TOKEN)


async def find_charge_point(transaction: StoreTransaction, identity: str) -> dict[str, Any] | None:
    """What is on record of a charge point itself."""
    columns = (charge_points.c[name] for name in _CHARGE_POINT)
    return _map(await transaction.first(select(*columns).where(charge_points.c.identity == identity)))


async def connectors_of(transaction: StoreTransaction, identity: str) -> list[dict[str, Any]]:
    """The last known state of each of its connectors."""
    columns = (connector_states.c[name] for name in _CONNECTOR)
    query = select(*columns).where(connector_states.c.identity == identity)
    rows = await transaction.rows(query.order_by(connector_states.c.evse_id, connector_states.c.connector_id))
    return [row._asdict() for row in rows]


async def add_charge_point(
    transaction: StoreTransaction, identity: str, registration: str | None, now: datetime
) -> None:
    """Put a charge point on record. A registration that is given is a person's, and boot rules leave it alone."""
    row: dict[str, Any] = {"identity": identity, "created_at": now}
    if registration is None:
        await transaction.run(insert_new(charge_points, transaction.dialect), row)
        return
    row |= {"registration": registration, "registration_fixed": True}
    changed = ("registration", "registration_fixed")
    await transaction.run(upsert(charge_points, transaction.dialect, ("identity",), changed), row)


async def block_charge_point(transaction: StoreTransaction, identity: str) -> bool:
    """Reject a charge point whatever boot rules say; False when it is not on record."""
    change = update(charge_points).where(charge_points.c.identity == identity)
    return await transaction.run(change.values(registration="rejected", registration_fixed=True)) > 0


async def list_tokens(
    transaction: StoreTransaction, *, id_token: str | None = None, limit: int = 100
) -> Sequence[dict[str, Any]]:
    """Tokens on record in alphabetical order, or the one that is asked for."""
    query = select(*_TOKEN_COLUMNS).order_by(tokens.c.token_key).limit(limit)
    if id_token is not None:
        query = query.where(tokens.c.token_key == token_key(id_token))
    return [row._asdict() for row in await transaction.rows(query)]


async def put_token(transaction: StoreTransaction, token: Mapping[str, Any]) -> None:
    """Put a token on record, in the place of one that is the same but for its letter case."""
    row = {**token, "token_key": token_key(token["id_token"])}
    await transaction.run(upsert(tokens, transaction.dialect, ("token_key",), _TOKEN), row)


async def block_token(transaction: StoreTransaction, id_token: str) -> bool:
    """Block a token; False when it is not on record."""
    change = update(tokens).where(tokens.c.token_key == token_key(id_token)).values(status="Blocked")
    return await transaction.run(change) > 0


def _map(row: Row[Any] | None) -> dict[str, Any] | None:
    return None if row is None else row._asdict()
