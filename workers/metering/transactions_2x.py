"""OCPP 2.x TransactionEvent and MeterValues: always stored, always confirmed."""

from collections.abc import Mapping, Sequence
from typing import Any

from workers.metering.keeping import count_flags, keep_samples, park_call, schema_flag
from workers.metering.measuring import Origin, read_meter_values
from workers.metering.telling import tell_abandoned, tell_ended, tell_started
from workers.metering.transaction_event import Event, is_retry, merge, names_holder, names_of, read_event, renumbered
from workers.runtime.calls import Answer, IncomingCall, Reply
from workers.runtime.reading import INT32_MAX, read_int, write_time
from workers.settings import UnknownTokens, WorkerSettings
from workers.store import reading_ahead, tokens, transaction_records
from workers.store.engine import StoreTransaction
from workers.store.parking import digest
from workers.store.token_replies import id_token_info
from workers.store.tokens import TokenVerdict

_STORED = Answer()


async def read_ahead(calls: Sequence[IncomingCall], store: StoreTransaction) -> None:
    """Read the events and transactions that the TransactionEvents of a batch name, in two statements for all."""
    wanted = [
        (call.identity, *names)
        for call in calls
        if call.action == "TransactionEvent" and (names := names_of(call.payload)) is not None
    ]
    if wanted:
        await reading_ahead.read(store, wanted)


class Transactions2x:
    """The handlers of 2.x billing data."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._accept_unknown = settings.unknown_tokens is UnknownTokens.ACCEPT

    async def transaction_event(self, call: IncomingCall, store: StoreTransaction) -> Reply:
        """Store the event once by (identity, transactionId, seqNo); a retry gets the same reply."""
        event = read_event(call.identity, call.payload, call.received_at)
        reference = event.transaction_id
        if reference is not None:
            before = await transaction_records.find_event(store, call.identity, reference, event.event_key)
            if before is not None and not is_retry(before.payload, call.payload):
                # A station that counts wrongly: its data is stored, and its token judged, like any other's.
                event = renumbered(event, call.payload)
                before = await transaction_records.find_event(store, call.identity, reference, event.event_key)
            if before is not None:
                return Answer(before.reply)
        verdict = await self._judge(call, event, store)
        reply = {} if verdict is None else {"idTokenInfo": _info(verdict)}  # E01.FR.12
        if reference is None:
            park_call(call, store, "transaction_missing", digest(call.payload))
        else:
            flags = (*event.flags, *schema_flag(call))
            count_flags(flags)
            await self._merge(call, event, verdict, store)
            transaction_records.record_event(store, _row(call, event, reference, reply, flags))
        keep_samples(call, store, event.measured)
        return Answer(reply)

    async def meter_values(self, call: IncomingCall, store: StoreTransaction) -> Reply:
        """Store every sample of an EVSE outside transactions; always confirmed."""
        evse_id, evse_flag = read_int(call.payload.get("evseId"), low=0, high=INT32_MAX)
        flags = (*(() if evse_flag is None else (f"evseId_{evse_flag}",)), *schema_flag(call))
        origin = Origin(call.identity, call.received_at, evse_id=evse_id, flags=flags)
        measured = read_meter_values(call.payload.get("meterValue"), origin, is_2x=True)
        keep_samples(call, store, measured, only=True)
        return _STORED

    async def _judge(self, call: IncomingCall, event: Event, store: StoreTransaction) -> TokenVerdict | None:
        if event.id_token is None:
            return None
        if event.without_authorization:  # C02.FR.02
            return TokenVerdict("Accepted")
        return await tokens.judge(
            store,
            event.id_token,
            call.handled_at,
            accept_unknown=self._accept_unknown,
            identity=call.identity,
            evse_id=event.evse_id,
            reference=event.transaction_id,
            stopping=event.is_stopping,
            starting=not event.is_stopping,
        )

    async def _merge(
        self, call: IncomingCall, event: Event, verdict: TokenVerdict | None, store: StoreTransaction
    ) -> None:
        reference = event.transaction_id or ""
        known = await transaction_records.find_by_key(store, call.identity, reference)
        if known is None:
            blank = {
                "identity": call.identity,
                "natural_key": reference,
                "reference": reference,
                "ocpp_version": call.version.value,
                "state": "active",
            }
            fresh = {**blank, **merge(blank, event, call.received_at), **_verdict_columns(blank, event, verdict)}
            fresh["start_received_at"] = call.received_at if event.event_type == "Started" else None
            number = await transaction_records.insert(store, fresh)
            if number is not None:
                await _free_place(call, event, number, store)
                _tell(call, event, blank, fresh, store)
                return
            known = await transaction_records.find_by_key(store, call.identity, reference)
            if known is None:
                raise LookupError("a transaction that was just there is gone")
        changes = {**merge(known, event, call.received_at), **_verdict_columns(known, event, verdict)}
        starts_late = event.event_type == "Started" and known["start_received_at"] is None
        if starts_late:
            changes["start_received_at"] = call.received_at
        await transaction_records.change(store, known["id"], changes)
        if starts_late:
            await _free_place(call, event, known["id"], store)
        _tell(call, event, known, {**known, **changes}, store)


def _verdict_columns(known: Mapping[str, Any], event: Event, verdict: TokenVerdict | None) -> dict[str, Any]:
    if verdict is None or not names_holder(known, event):
        return {}
    return {"token_status": verdict.status, "group_token": verdict.group_token, "token_reply": _info(verdict)}


async def _free_place(call: IncomingCall, event: Event, number: int, store: StoreTransaction) -> None:
    if event.event_type == "Started" and event.evse_id is not None and not event.flags:
        for abandoned in await transaction_records.abandon_older(
            store, call.identity, evse_id=event.evse_id, connector_id=None, kept=number, began=event.occurred_at
        ):
            tell_abandoned(call, store, abandoned, event.occurred_at)


def _tell(
    call: IncomingCall, event: Event, before: Mapping[str, Any], row: Mapping[str, Any], store: StoreTransaction
) -> None:
    if event.event_type == "Started" and before.get("start_received_at") is None:
        tell_started(call, store, row, event.occurred_at)
    if row["state"] == "ended":
        tell_ended(call, store, before, row)


def _row(
    call: IncomingCall, event: Event, reference: str, reply: dict[str, Any], flags: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "identity": call.identity,
        "transaction_ref": reference,
        "event_key": event.event_key,
        "event_type": event.event_type,
        "trigger_reason": event.trigger_reason,
        "occurred_at": event.occurred_at,
        "received_at": call.received_at,
        "offline": event.offline,
        "payload": call.payload,
        "reply": reply,
        "flags": " ".join(flags),
    }


def _info(verdict: TokenVerdict) -> dict[str, Any]:
    return id_token_info(verdict, None if verdict.expires_at is None else write_time(verdict.expires_at))
