"""OCPP 1.6 StartTransaction, StopTransaction and MeterValues: always stored, always confirmed."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from workers.metering.keeping import count_flags, keep_samples, park_call, schema_flag
from workers.metering.measuring import Measured, Origin, last_register_wh, read_meter_values
from workers.metering.start_stop import (
    Start,
    Stop,
    ended_early,
    energy_wh,
    is_assignable,
    join_flags,
    read_start,
    read_stop,
)
from workers.metering.telling import tell_abandoned, tell_ended, tell_started
from workers.runtime.calls import Answer, IncomingCall, Reply
from workers.runtime.reading import INT32_MAX, read_int, write_time
from workers.settings import UnknownTokens, WorkerSettings
from workers.store import tokens, transaction_records
from workers.store.engine import StoreTransaction
from workers.store.parking import digest
from workers.store.token_replies import id_tag_info
from workers.store.tokens import TokenVerdict, token_key

MOST_REMEMBERED = 100_000
_STORED = Answer()


class Transactions16:
    """The handlers of 1.6 billing data."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._accept_unknown = settings.unknown_tokens is UnknownTokens.ACCEPT
        self._issued: OrderedDict[tuple[str, int], None] = OrderedDict()
        """Charge points and transaction ids of theirs that are on record: an id is never given twice."""

    async def start(self, call: IncomingCall, store: StoreTransaction) -> Reply:
        """Issue a transactionId whatever the tag (4.8); a retry gets the same id and the same idTagInfo."""
        start = read_start(call.payload, call.received_at)
        key = start.natural_key
        known = await transaction_records.find_by_key(store, call.identity, key)
        if known is not None and known["state"] != "active" and not start.dated:
            # Without a usable timestamp an ended transaction looks like the next one: take the arrival for it.
            key = digest(key, call.received_at.isoformat())
            known = await transaction_records.find_by_key(store, call.identity, key)
            if known is None:  # no redelivery; a retry comes while its transaction is active
                known = await transaction_records.find_active(
                    store,
                    call.identity,
                    connector_id=start.connector_id,
                    token_key=token_key(start.id_tag),
                    meter_start_wh=start.meter_start_wh,
                )
        if known is None:
            known = await self._insert(call, start, key, store)
        return Answer({"transactionId": known["id"], "idTagInfo": known["token_reply"]})

    async def _insert(self, call: IncomingCall, start: Start, key: str, store: StoreTransaction) -> Mapping[str, Any]:
        verdict = await self._judge(call, store, start.id_tag, connector_id=start.connector_id, stopping=False)
        flags = join_flags("", *start.flags, *schema_flag(call))
        count_flags(flags.split())
        values = {
            "identity": call.identity,
            "natural_key": key,
            "ocpp_version": call.version.value,
            "connector_id": start.connector_id,
            "state": "active",
            "id_token": start.id_tag,
            "token_key": token_key(start.id_tag),
            "group_token": verdict.group_token,
            "token_status": verdict.status,
            "token_reply": _info(verdict),
            "reservation_id": start.reservation_id,
            "started_at": start.started_at,
            "start_received_at": call.received_at,
            "meter_start_wh": start.meter_start_wh,
            "flags": flags,
        }
        number = await transaction_records.insert(store, values)
        if number is None:  # another replica was faster with the same Start
            known = await transaction_records.find_by_key(store, call.identity, key)
            if known is None:
                raise LookupError("a transaction that was just there is gone")
            return known
        started = {**values, "id": number}
        if start.dated and start.connector_id is not None:
            for abandoned in await transaction_records.abandon_older(
                store,
                call.identity,
                evse_id=None,
                connector_id=start.connector_id,
                kept=number,
                began=start.started_at,
            ):
                tell_abandoned(call, store, abandoned, start.started_at)
        tell_started(call, store, started, start.started_at)
        return started

    async def stop(self, call: IncomingCall, store: StoreTransaction) -> Reply:
        """End the transaction, keep its data; what belongs to no transaction of ours is parked, and confirmed too."""
        stop = read_stop(call.payload, call.received_at)
        known = None
        if stop.transaction_id is not None and is_assignable(stop.transaction_id):
            known = await transaction_records.find_by_id(store, call.identity, stop.transaction_id)
        if known is not None and known["stop_key"] == stop.natural_key:
            keep_samples(call, store, _data_of(call, known))  # a retry may bring what the first one had no room for
            return Answer(known["stop_reply"])
        reply: dict[str, Any] = {}
        if stop.id_tag is not None:
            reply["idTagInfo"] = _info(await self._judge(call, store, stop.id_tag, connector_id=None, stopping=True))
        if known is None:
            reason = "transaction_unknown" if is_assignable(stop.transaction_id) else "transaction_unassigned"
            reference = "" if stop.transaction_id is None else str(stop.transaction_id)
            park_call(call, store, reason, digest(call.payload), reference)
        elif known["state"] == "ended":
            park_call(call, store, "transaction_ended_before", digest(call.payload), str(known["id"]))
        else:
            await self._end(call, stop, known, reply, store)
        return Answer(reply)

    async def _end(
        self, call: IncomingCall, stop: Stop, known: Mapping[str, Any], reply: dict[str, Any], store: StoreTransaction
    ) -> None:
        data = _data_of(call, known)
        # Without a readable meterStop the register in the transaction's data is the only word on what was delivered.
        meter_stop = last_register_wh(data.samples) if stop.meter_stop_wh is None else stop.meter_stop_wh
        energy, energy_flag = energy_wh(known["meter_start_wh"], meter_stop)
        early = ended_early(known["started_at"], stop.ended_at)
        flags = [*stop.flags, *schema_flag(call), *([energy_flag] if energy_flag else []), *early]
        count_flags(flags)
        changes = {
            "state": "ended",
            "ended_at": stop.ended_at,
            "end_received_at": call.received_at,
            "meter_stop_wh": meter_stop,
            "energy_wh": energy,
            "stop_reason": stop.reason,
            "stop_token": stop.id_tag,
            "stop_key": stop.natural_key,
            "stop_reply": reply,
            "flags": join_flags(known["flags"], *flags),
        }
        await transaction_records.change(store, known["id"], changes)
        keep_samples(call, store, data)
        tell_ended(call, store, known, {**known, **changes})

    async def meter_values(self, call: IncomingCall, store: StoreTransaction) -> Reply:
        """Store every sample; the confirmation never depends on what they say (4.7)."""
        connector_id, connector_flag = read_int(call.payload.get("connectorId"), low=0, high=INT32_MAX)
        number, number_flag = read_int(call.payload.get("transactionId"))
        flags = [f"connectorId_{connector_flag}"] if connector_flag else []
        if number_flag not in {None, "missing"}:
            flags.append(f"transactionId_{number_flag}")
        stray = None if number is None else await self._stray(call.identity, number, store)
        if stray is not None:
            flags.append(stray)
        flags += schema_flag(call)
        origin = Origin(
            call.identity,
            call.received_at,
            connector_id=connector_id,
            transaction_ref="" if number is None or stray is not None else str(number),
            flags=tuple(flags),
        )
        measured = read_meter_values(call.payload.get("meterValue"), origin, is_2x=False)
        keep_samples(call, store, measured, only=True)
        if stray is not None:
            park_call(call, store, stray, digest(call.payload), str(number))
        return _STORED

    async def _stray(self, identity: str, number: int, store: StoreTransaction) -> str | None:
        """Why samples with this transactionId belong to no transaction of the charge point; None when they do."""
        if not is_assignable(number):
            return "transaction_unassigned"
        if (identity, number) not in self._issued:
            if not await transaction_records.is_issued(store, identity, number):
                return "transaction_unknown"  # another back end's, perhaps; ours may get the same number one day
            self._issued[identity, number] = None
            if len(self._issued) > MOST_REMEMBERED:
                self._issued.popitem(last=False)
        return None

    async def _judge(
        self, call: IncomingCall, store: StoreTransaction, id_tag: str, *, connector_id: int | None, stopping: bool
    ) -> TokenVerdict:
        return await tokens.judge(
            store,
            id_tag,
            call.handled_at,
            accept_unknown=self._accept_unknown,
            identity=call.identity,
            connector_id=connector_id,
            stopping=stopping,
            starting=not stopping,
        )


def _data_of(call: IncomingCall, known: Mapping[str, Any]) -> Measured:
    origin = Origin(
        call.identity, call.received_at, connector_id=known["connector_id"], transaction_ref=str(known["id"])
    )
    return read_meter_values(call.payload.get("transactionData"), origin, is_2x=False)


def _info(verdict: TokenVerdict) -> dict[str, Any]:
    return id_tag_info(verdict, None if verdict.expires_at is None else write_time(verdict.expires_at))
