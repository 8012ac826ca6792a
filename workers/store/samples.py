"""Meter samples: one row each, written with the batch's other ones, once per natural key."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from operator import attrgetter
from typing import Any

import orjson

from contracts.events import MeterSampled
from workers.store.engine import StoreTransaction
from workers.store.meter_keys import MeterKey, keys_of
from workers.store.outbox import emit_written
from workers.store.tables import meter_samples
from workers.store.upserts import insert_new_returning

IMPLAUSIBLE_TIME = "timestamp_implausible"
"""The flag of a moment that no set clock shows; it is stored as sent."""


@dataclass(slots=True)
class Sample:
    """One measured value, changed by nobody once it is read.

    `value` and `normal_value` are None when the raw one is no number; flags name what is odd.
    """

    sampled_at: datetime
    received_at: datetime
    identity: str
    measurand: str
    context: str
    location: str
    raw_value: str
    phase: str = ""
    format: str = "Raw"
    unit: str = ""
    value: float | None = None
    normal_value: float | None = None
    normal_unit: str = ""
    signed_value: Any = None
    evse_id: int | None = None
    connector_id: int | None = None
    transaction_ref: str = ""
    flags: str = ""
    ordinal: int = 0
    """Tells samples of one message apart that are alike in all of the natural key."""

    key: bytes = field(default=b"", compare=False)
    """Its natural key, where that has been made."""

    @property
    def signed(self) -> bool:
        """Whether a meter's signature came with it."""
        return self.signed_value is not None or self.format == "SignedData"

    @property
    def undated(self) -> bool:
        """Whether its clock was never set, or is far ahead."""
        return IMPLAUSIBLE_TIME in self.flags.split()

    def natural_key(self) -> bytes:
        """A 16 byte digest of what makes this sample the same one when it is sent again.

        Within a transaction the connector is left out: StopTransaction repeats samples without naming it. A clock that
        was never set gives many samples the same time: what they measured tells those apart.
        """
        where = "" if self.transaction_ref else f"{self.evse_id}/{self.connector_id}"
        parts = (
            self.identity,
            where,
            self.transaction_ref,
            self.sampled_at.isoformat(),
            self.measurand,
            self.phase,
            self.context,
            self.location,
            self.format,
            str(self.ordinal),
            *((self.raw_value,) if self.undated else ()),
        )
        return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "replace"), digest_size=16).digest()


_COLUMNS = tuple(known.name for known in fields(Sample) if known.name not in {"ordinal", "key"})
_values = attrgetter(*_COLUMNS)
Judge = Callable[[Sample, Sequence[MeterKey]], str]
"""Says what a signed sample's signature is worth, given the keys on record of its charge point."""

_Message = tuple[Sequence[Sample], datetime, Judge]
_JUDGED_IN_A_ROW = 50
"""Signatures verified before others get their turn: some milliseconds."""


def record(transaction: StoreTransaction, samples: Sequence[Sample], *, now: datetime, judge: Judge) -> None:
    """Have the samples of a message written before the commit, and told of in one event.

    Those that are stored already stay as they are and are not told of again. `judge` is asked about signed ones alone.
    """
    if samples:
        transaction.gather(_write, (samples, now, judge))


async def _write(transaction: StoreTransaction, messages: Sequence[_Message]) -> None:
    keyed = [
        ([(sample.key or sample.natural_key(), sample) for sample in samples], now) for samples, now, _ in messages
    ]
    signatures = await _signatures(transaction, messages)
    rows = []
    for pairs, _ in keyed:
        for key, sample in pairs:
            row = dict(zip(_COLUMNS, _values(sample), strict=True))
            row["natural_key"] = key
            row["signature"] = signatures.get(id(sample)) if signatures else None
            rows.append(row)
    inserted = await transaction.returned(insert_new_returning(meter_samples, transaction.dialect, "natural_key"), rows)
    fresh = {row.natural_key for row in inserted}
    if MeterSampled.TYPE in transaction.events_off:
        return
    for pairs, now in keyed:
        new = [sample for key, sample in pairs if key in fresh]
        fresh.difference_update(key for key, _ in pairs)
        if new:
            emit_written(
                transaction, new[0].identity, MeterSampled, _event(new), occurred_at=new[-1].sampled_at, now=now
            )


async def _signatures(transaction: StoreTransaction, messages: Sequence[_Message]) -> dict[int, str]:
    """What each signed sample's signature is worth, by the sample's id(); keys are read once for all."""
    signed = [(sample, judge) for samples, _, judge in messages for sample in samples if sample.signed]
    if not signed:
        return {}
    keys = await keys_of(transaction, {sample.identity for sample, _ in signed})
    found: dict[int, str] = {}
    for number, (sample, judge) in enumerate(signed, 1):
        found[id(sample)] = judge(sample, keys.get(sample.identity, ()))
        if number % _JUDGED_IN_A_ROW == 0:
            await asyncio.sleep(0)
    return found


def _event(samples: Sequence[Sample]) -> str:
    """The event's data as `MeterSampled` would write it, which takes five times as long."""
    first = samples[0]
    data = {
        "transaction_id": first.transaction_ref or None,
        "evse_id": first.evse_id,
        "connector_id": first.connector_id,
        "samples": [
            {
                "sampled_at": sample.sampled_at,
                "measurand": sample.measurand,
                "value": sample.normal_value,
                "unit": sample.normal_unit or None,
                "phase": sample.phase or None,
                "context": sample.context,
                "location": sample.location,
            }
            for sample in samples
        ],
    }
    return orjson.dumps(data, option=orjson.OPT_UTC_Z).decode()
