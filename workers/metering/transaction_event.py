"""OCPP 2.x TransactionEvent: read leniently, and merged into its transaction in whatever order it comes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from workers.metering.measuring import Measured, Origin, believed_moment, energy_registers, read_meter_values
from workers.metering.start_stop import ended_early, energy_wh, join_flags
from workers.runtime.reading import INT32_MAX, read_int, read_object, read_text, read_time
from workers.store.parking import digest
from workers.store.samples import IMPLAUSIBLE_TIME, Sample
from workers.store.tokens import token_key
from workers.store.types import without_nul


@dataclass(frozen=True, slots=True)
class Event:
    """What a TransactionEvent tells; None where it told nothing readable."""

    event_type: str | None
    transaction_id: str | None
    seq_no: int | None
    event_key: str
    """seqNo, or a digest of the payload when there is none: the same for a retry."""
    occurred_at: datetime
    trigger_reason: str | None
    offline: bool
    charging_state: str | None
    stop_reason: str | None
    remote_start_id: int | None
    reservation_id: int | None
    evse_id: int | None
    connector_id: int | None
    id_token: str | None
    without_authorization: bool
    measured: Measured
    flags: tuple[str, ...]

    @property
    def is_stopping(self) -> bool:
        """Whether its token, if any, is the one that ends the transaction."""
        return self.event_type == "Ended" or self.trigger_reason == "StopAuthorized"


_AFTER_ALL = 2**62
LONGEST_ID = 255
"""In characters, though OCPP allows 36; what is longer fits no index and is known by its digest."""


def read_event(identity: str, payload: Mapping[str, Any], received_at: datetime) -> Event:
    """Read it as far as can be; each oddity is a flag."""
    info = read_object(payload.get("transactionInfo"))
    evse = read_object(payload.get("evse"))
    token = read_object(payload.get("idToken"))
    transaction_id, id_flag = read_text(info.get("transactionId"))
    if transaction_id is not None and len(transaction_id) > LONGEST_ID:
        transaction_id, id_flag = digest(transaction_id), "long"
    if transaction_id is not None:
        transaction_id = without_nul(transaction_id)  # as it is stored: by another name it would not be found again
    seq_no, seq_flag = read_int(payload.get("seqNo"))
    occurred_at, time_flag = read_time(payload.get("timestamp"), received_at)
    event_type, type_flag = read_text(payload.get("eventType"))
    if type_flag is None and event_type not in {"Started", "Updated", "Ended"}:
        type_flag = "unknown"
    evse_id = read_int(evse.get("id"), low=0, high=INT32_MAX)[0]
    connector_id = read_int(evse.get("connectorId"), low=0, high=INT32_MAX)[0]
    named = {"transactionId": id_flag, "seqNo": seq_flag, "eventType": type_flag}
    flags = [f"{name}_{flag}" for name, flag in named.items() if flag is not None]
    if time_flag is not None:
        flags.append(time_flag)
    origin = Origin(
        identity, received_at, evse_id=evse_id, connector_id=connector_id, transaction_ref=transaction_id or ""
    )
    return Event(
        event_type=event_type,
        transaction_id=transaction_id or None,
        seq_no=seq_no,
        event_key=str(seq_no) if seq_no is not None else digest(payload),
        occurred_at=occurred_at,
        trigger_reason=read_text(payload.get("triggerReason"))[0],
        offline=payload.get("offline") is True,
        charging_state=read_text(info.get("chargingState"))[0],
        stop_reason=read_text(info.get("stoppedReason"))[0],
        remote_start_id=read_int(info.get("remoteStartId"))[0],
        reservation_id=read_int(payload.get("reservationId"))[0],
        evse_id=evse_id,
        connector_id=connector_id,
        id_token=read_text(token.get("idToken"))[0] if token else None,
        without_authorization=token.get("type") == "NoAuthorization",
        measured=read_meter_values(payload.get("meterValue"), origin, is_2x=True),
        flags=tuple(flags),
    )


def names_of(payload: Mapping[str, Any]) -> tuple[str, str] | None:
    """The transactionId and the event's key, as `read_event` reads them; None where they are not as they should be."""
    transaction_id = read_object(payload.get("transactionInfo")).get("transactionId")
    seq_no = payload.get("seqNo")
    if type(transaction_id) is not str or not 0 < len(transaction_id) <= LONGEST_ID or "\x00" in transaction_id:
        return None
    return (transaction_id, str(seq_no)) if type(seq_no) is int and 0 <= seq_no < 2**63 else None


def is_retry(before: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
    """Whether a payload with the same seqNo as one `before` is the same event, and not a number used again."""
    return _lasting(before) == _lasting(payload)


def renumbered(event: Event, payload: Mapping[str, Any]) -> Event:
    """The event under a key of its own, because another one has its seqNo."""
    key = f"{event.event_key}/{digest(_lasting(payload))}"
    return replace(event, event_key=key, flags=(*event.flags, "seqNo_repeated"))


def _lasting(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What a retry leaves as it was: all but the remark that it comes late."""
    return {name: value for name, value in payload.items() if name != "offline"}


def names_holder(known: Mapping[str, Any], event: Event) -> bool:
    """Whether the event's token is the one that the transaction is for: the Started event's, else the first heard."""
    if event.id_token is None or event.is_stopping:
        return False
    return known.get("id_token") is None or _is_first_started(known, event)


def _is_first_started(known: Mapping[str, Any], event: Event) -> bool:
    return event.event_type == "Started" and known.get("start_received_at") is None


def merge(known: Mapping[str, Any], event: Event, received_at: datetime) -> dict[str, Any]:
    """The columns of the transaction that this event changes; the same whichever order events come in."""
    changes: dict[str, Any] = {}
    for column in ("evse_id", "connector_id", "remote_start_id", "reservation_id"):
        value = getattr(event, column)
        if value is not None and known.get(column) is None:
            changes[column] = value
    _merge_progress(known, event, changes)
    if event.event_type == "Ended":
        changes |= {
            "state": "ended",
            "ended_at": event.occurred_at,
            "end_received_at": received_at,
            "stop_reason": event.stop_reason or "Local",
        }
        if event.id_token is not None:
            changes["stop_token"] = event.id_token
    if event.id_token is not None and names_holder(known, event):
        changes |= {"id_token": event.id_token, "token_key": token_key(event.id_token)}
    began, ended = (changes.get(column, known.get(column)) for column in ("started_at", "ended_at"))
    found = (*event.flags, *_merge_registers(known, event, changes), *ended_early(began, ended))
    flags = join_flags(known.get("flags") or "", *found)
    if flags != (known.get("flags") or ""):
        changes["flags"] = flags
    return changes


def _merge_progress(known: Mapping[str, Any], event: Event, changes: dict[str, Any]) -> None:
    began = known.get("started_at")
    # Until the Started event is heard, the earliest one stands for it.
    stands_in = known.get("start_received_at") is None and (began is None or event.occurred_at < began)
    if _is_first_started(known, event) or stands_in:
        changes["started_at"] = event.occurred_at
    if event.charging_state is not None and event.seq_no is not None:
        last = known.get("charging_state_seq")
        if last is None or event.seq_no >= last:
            changes |= {"charging_state": event.charging_state, "charging_state_seq": event.seq_no}


def _merge_registers(known: Mapping[str, Any], event: Event, changes: dict[str, Any]) -> tuple[str, ...]:
    """Bill by the first and the last reading of the whole meter; what comes first is the protocol's to say."""
    first_seq, first = known.get("meter_start_seq"), known.get("meter_start_wh")
    last_seq, last = known.get("meter_stop_seq"), known.get("meter_stop_wh")
    flags = []
    for sample in sorted(energy_registers(event.measured.samples), key=believed_moment):
        if sample.undated:
            flags.append(IMPLAUSIBLE_TIME)
        seq = _reading_seq(sample, event)
        if first_seq is None or seq < first_seq:
            first_seq, first = seq, sample.normal_value
        if last_seq is None or seq >= last_seq:
            last_seq, last = seq, sample.normal_value
    energy, flag = energy_wh(first, last)
    found = {
        "meter_start_seq": first_seq,
        "meter_start_wh": first,
        "meter_stop_seq": last_seq,
        "meter_stop_wh": last,
        "energy_wh": energy,
    }
    changes |= {column: value for column, value in found.items() if value != known.get(column)}
    return (*flags, flag) if flag else tuple(flags)


def _reading_seq(sample: Sample, event: Event) -> int:
    """Where a reading stands among the transaction's: clocks are set and lost meanwhile, numbers and names are not."""
    if sample.context == "Transaction.Begin":
        return -2
    if sample.context == "Transaction.End":
        return _AFTER_ALL
    if event.event_type == "Started":
        return -1
    if event.event_type == "Ended":
        return _AFTER_ALL - 1
    return _AFTER_ALL - 2 if event.seq_no is None else event.seq_no
