"""Meter samples: one row each, written with the batch's other ones, once per natural key."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from workers.store.engine import StoreTransaction
from workers.store.tables import meter_samples
from workers.store.upserts import insert_new

IMPLAUSIBLE_TIME = "timestamp_implausible"
"""The flag of a moment that no set clock shows; it is stored as sent."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured value. `value` and `normal_value` are None when the raw one is no number; flags name what is odd."""

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


_COLUMNS = tuple(field.name for field in fields(Sample) if field.name != "ordinal")


def record(transaction: StoreTransaction, samples: Iterable[Sample]) -> None:
    """Have the samples written before the commit; those that are stored already stay as they are."""
    statement = insert_new(meter_samples, transaction.dialect)
    for sample in samples:
        row = {column: getattr(sample, column) for column in _COLUMNS}
        row["natural_key"] = sample.natural_key()
        transaction.append(statement, row)
