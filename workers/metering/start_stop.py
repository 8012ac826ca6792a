"""OCPP 1.6 StartTransaction and StopTransaction, read leniently; nothing here refuses. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workers.runtime.reading import INT32_MAX, read_int, read_number, read_text, read_time
from workers.store.parking import digest
from workers.store.tokens import token_key


@dataclass(frozen=True, slots=True)
class Start:
    """What a StartTransaction tells; None where it told nothing readable."""

    connector_id: int | None
    id_tag: str
    meter_start_wh: float | None
    started_at: datetime
    reservation_id: int | None
    natural_key: str
    """The same for a retry: (connector, idTag, meterStart, timestamp), as sent."""
    dated: bool
    """Whether the timestamp can tell this Start from the next one."""
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """What a StopTransaction tells."""

    transaction_id: int | None
    id_tag: str | None
    meter_stop_wh: float | None
    ended_at: datetime
    reason: str
    natural_key: str
    """The same for a retry: (transactionId, timestamp, meterStop), as sent."""
    flags: tuple[str, ...]


def read_start(payload: Mapping[str, Any], received_at: datetime) -> Start:
    """Read it as far as can be; each oddity is a flag."""
    connector_id, connector_flag = read_int(payload.get("connectorId"), low=0, high=INT32_MAX)
    id_tag, tag_flag = read_text(payload.get("idTag"))
    meter, meter_flag = _read_register(payload.get("meterStart"))
    started_at, time_flag = read_time(payload.get("timestamp"), received_at)
    reservation_id, reservation_flag = read_int(payload.get("reservationId"))
    sent = (payload.get("connectorId"), token_key(id_tag or ""), payload.get("meterStart"), payload.get("timestamp"))
    return Start(
        connector_id=connector_id,
        id_tag=id_tag or "",
        meter_start_wh=meter,
        started_at=started_at,
        reservation_id=reservation_id,
        natural_key=digest("start", *sent),
        dated=time_flag in {None, "timestamp_zoneless"},
        flags=_flags(
            time_flag,
            connectorId=connector_flag,
            idTag=tag_flag,
            meterStart=meter_flag,
            reservationId=None if reservation_flag == "missing" else reservation_flag,
        ),
    )


def read_stop(payload: Mapping[str, Any], received_at: datetime) -> Stop:
    """Read it as far as can be; idTag and reason are optional, the reason is then Local (1.6 6.46)."""
    transaction_id, transaction_flag = read_int(payload.get("transactionId"))
    id_tag, tag_flag = read_text(payload.get("idTag"))
    meter, meter_flag = _read_register(payload.get("meterStop"))
    ended_at, time_flag = read_time(payload.get("timestamp"), received_at)
    sent = (payload.get("transactionId"), payload.get("timestamp"), payload.get("meterStop"))
    return Stop(
        transaction_id=transaction_id,
        id_tag=id_tag or None,
        meter_stop_wh=meter,
        ended_at=ended_at,
        reason=read_text(payload.get("reason"))[0] or "Local",
        natural_key=digest("stop", *sent),
        flags=_flags(
            time_flag,
            transactionId=transaction_flag,
            idTag=None if tag_flag == "missing" else tag_flag,
            meterStop=meter_flag,
        ),
    )


def energy_wh(start_wh: float | None, stop_wh: float | None) -> tuple[float | None, str | None]:
    """Energy delivered, and a flag when the meter ran backwards (an exchanged or reset meter) or beyond all numbers."""
    if start_wh is None or stop_wh is None:
        return None, None
    energy = stop_wh - start_wh
    if math.isinf(energy):
        return None, "energy_overflow"
    return (energy, None) if energy >= 0 else (None, "energy_negative")


def ended_early(began: datetime | None, ended: datetime | None) -> tuple[str, ...]:
    """The flag of a transaction that says it ended before it began: some clock was wrong."""
    return ("ended_before_start",) if began is not None and ended is not None and ended < began else ()


def is_assignable(transaction_id: int | None) -> bool:
    """Whether we can have issued this id: -1 and 0 stand for a Start that was never confirmed (1.6 errata 3.18)."""
    return transaction_id is not None and 0 < transaction_id <= INT32_MAX


def join_flags(known: str, *more: str) -> str:
    """Flags as they are stored: words, each once, in order of discovery."""
    return " ".join(dict.fromkeys([*known.split(), *more]))


def _read_register(value: Any) -> tuple[float | None, str | None]:
    number, flag = read_number(value)
    return number, flag or ("type" if isinstance(value, float) and not value.is_integer() else None)


def _flags(time_flag: str | None, **fields: str | None) -> tuple[str, ...]:
    flags = [f"{name}_{flag}" for name, flag in fields.items() if flag is not None]
    return tuple([*flags, time_flag] if time_flag else flags)
