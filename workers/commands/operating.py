"""Operators' requests: queries about the store, and changes of what is on record. See docs/backend.md."""

from datetime import datetime
from typing import Any

from contracts.operator import Operation
from workers.commands import operator_arguments as arguments
from workers.runtime.admission_news import tell_after_commit
from workers.runtime.operator_answering import Item, Operate, OperatorDesk, plain
from workers.runtime.operator_reading import Arguments
from workers.store import commands, meter_keys, operating, presence
from workers.store.commands import TrackedCommand
from workers.store.engine import StoreTransaction
from workers.store.public_keys import read_public_key
from workers.store.transactions import TransactionView, list_transactions


async def _sessions(given: arguments.Sessions, _now: datetime, transaction: StoreTransaction) -> list[Item]:
    rows = await presence.list_sessions(transaction, gateway=given.gateway, identity=given.identity, limit=given.limit)
    return [{"identity": row.identity, **_session(row)} for row in rows]


def _session(row: Any) -> Item:
    names = ("gateway", "session", "epoch", "ocpp_version", "remote", "opened_at")
    return {name: getattr(row, name) for name in names}


async def _command(given: arguments.OneCommand, _now: datetime, transaction: StoreTransaction) -> list[Item] | None:
    found = await commands.find(transaction, given.command_id)
    return None if found is None else [_command_item(found)]


async def _commands(given: arguments.Commands, _now: datetime, transaction: StoreTransaction) -> list[Item]:
    found = await commands.list_commands(transaction, identity=given.identity, open_only=given.open, limit=given.limit)
    items = [_command_item(command) for command in found]
    for item in items:
        del item["result"]  # of many they are longer than an answer may be
    return items


def _command_item(command: TrackedCommand) -> Item:
    return {
        "command_id": command.command_id,
        "identity": command.identity,
        "action": command.action,
        "state": command.state,
        "outcome": command.outcome_kind,
        "reason": command.reason,
        "attempts": command.attempts,
        "created_at": command.created_at,
        "deadline_at": command.deadline_at,
        "ended_at": command.ended_at,
        "result": command.outcome,
    }


async def _charge_point(
    given: arguments.OneChargePoint, _now: datetime, transaction: StoreTransaction
) -> list[Item] | None:
    found = await operating.find_charge_point(transaction, given.identity)
    if found is None:
        return None
    sessions = await presence.list_sessions(transaction, identity=given.identity, limit=1)
    connectors = [plain(item) for item in await operating.connectors_of(transaction, given.identity)]
    return [{**found, "session": plain(_session(sessions[0])) if sessions else None, "connectors": connectors}]


async def _add_charge_point(
    given: arguments.NewChargePoint, now: datetime, transaction: StoreTransaction
) -> list[Item] | None:
    await operating.add_charge_point(transaction, given.identity, given.registration, now)
    tell_after_commit(transaction, given.identity)
    return await _standing(transaction, given.identity)


async def _block_charge_point(
    given: arguments.OneChargePoint, _now: datetime, transaction: StoreTransaction
) -> list[Item] | None:
    if await operating.block_charge_point(transaction, given.identity):
        tell_after_commit(transaction, given.identity)
    return await _standing(transaction, given.identity)


async def _standing(transaction: StoreTransaction, identity: str) -> list[Item] | None:
    found = await operating.find_charge_point(transaction, identity)
    return None if found is None else [{"identity": identity, "registration": found["registration"]}]


async def _tokens(given: arguments.Tokens, _now: datetime, transaction: StoreTransaction) -> list[Item] | None:
    found = list(await operating.list_tokens(transaction, id_token=given.id_token, limit=given.limit))
    return None if given.id_token is not None and not found else found


async def _add_token(given: arguments.NewToken, _now: datetime, transaction: StoreTransaction) -> list[Item]:
    token = given.model_dump()
    await operating.put_token(transaction, {**token, "group_token": token.pop("group")})
    return list(await operating.list_tokens(transaction, id_token=given.id_token))


async def _block_token(given: arguments.OneToken, _now: datetime, transaction: StoreTransaction) -> list[Item] | None:
    await operating.block_token(transaction, given.id_token)
    return list(await operating.list_tokens(transaction, id_token=given.id_token)) or None


async def _transactions(given: arguments.Transactions, _now: datetime, transaction: StoreTransaction) -> list[Item]:
    views = await list_transactions(transaction, identity=given.identity, active=given.active, limit=given.limit)
    return [_transaction_item(view) for view in views]


def _transaction_item(view: TransactionView) -> Item:
    names = ("id", "identity", "ocpp_version", "state", "id_token", "started_at", "ended_at", "energy_wh")
    item = {name: getattr(view, name) for name in names}
    return {
        **item,
        "transaction_id": view.reference,
        "stop_reason": view.stop_reason,
        "flags": view.flags.split(),
    }


async def _meter_keys(given: arguments.MeterKeys, _now: datetime, transaction: StoreTransaction) -> list[Item]:
    return list(await meter_keys.list_keys(transaction, given.identity))


async def _add_meter_key(
    given: arguments.NewMeterKey, now: datetime, transaction: StoreTransaction
) -> list[Item] | str | None:
    if given.remove is not None:
        removed = await meter_keys.remove_key(transaction, given.identity, given.remove)
        return list(await meter_keys.list_keys(transaction, given.identity)) if removed else None
    der = read_public_key(given.public_key or "")
    if isinstance(der, str):
        return f"public_key: {der}"
    if not await meter_keys.put_key(transaction, given.identity, der, given.meter_serial.strip(), now):
        return f"a charge point has at most {meter_keys.MOST_KEYS} meter keys"
    return list(await meter_keys.list_keys(transaction, given.identity))


_OPERATIONS: dict[Operation, tuple[type[Arguments], Operate]] = {
    Operation.SESSIONS: (arguments.Sessions, _sessions),
    Operation.COMMAND: (arguments.OneCommand, _command),
    Operation.COMMANDS: (arguments.Commands, _commands),
    Operation.CHARGE_POINT: (arguments.OneChargePoint, _charge_point),
    Operation.ADD_CHARGE_POINT: (arguments.NewChargePoint, _add_charge_point),
    Operation.BLOCK_CHARGE_POINT: (arguments.OneChargePoint, _block_charge_point),
    Operation.TOKENS: (arguments.Tokens, _tokens),
    Operation.ADD_TOKEN: (arguments.NewToken, _add_token),
    Operation.BLOCK_TOKEN: (arguments.OneToken, _block_token),
    Operation.TRANSACTIONS: (arguments.Transactions, _transactions),
    Operation.METER_KEYS: (arguments.MeterKeys, _meter_keys),
    Operation.ADD_METER_KEY: (arguments.NewMeterKey, _add_meter_key),
}
_CHANGES = frozenset(
    {
        Operation.ADD_CHARGE_POINT,
        Operation.BLOCK_CHARGE_POINT,
        Operation.ADD_TOKEN,
        Operation.BLOCK_TOKEN,
        Operation.ADD_METER_KEY,
    }
)
_DESK = OperatorDesk(_OPERATIONS, _CHANGES)
answer_operator, answer_to = _DESK.answer, _DESK.answer_to
