"""Holding the store against what charge points were promised."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from workers.store.engine import Store
from workers.store.tables import meter_samples, transactions


@dataclass
class Comparison:
    """What a run confirmed, and every difference between that and the store; `differences` must be empty."""

    transactions: int
    samples: int
    differences: list[str]
    reconnects: int
    dropped: int
    timeouts: int


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def compare(store: Store, ledger_file: Path) -> Comparison:
    """Compare a fleet's ledger file with the store: nothing confirmed may be missing, nothing may be there twice."""
    report: dict[str, Any] = json.loads(await asyncio.to_thread(ledger_file.read_bytes))
    async with store.transaction(read_only=True) as transaction:
        stored = await transaction.rows(select(transactions))
        samples = await transaction.rows(
            select(
                meter_samples.c.identity, meter_samples.c.transaction_ref, meter_samples.c.sampled_at,
                meter_samples.c.measurand, meter_samples.c.phase, meter_samples.c.context, meter_samples.c.raw_value,
            )
        )  # fmt: skip
    by_key = {(row.identity, str(row.id) if row.ocpp_version == "1.6" else row.reference): row for row in stored}
    rows_of = Counter(
        (row.identity, row.transaction_ref, row.sampled_at, row.measurand, row.phase, row.context) for row in samples
    )
    differences = [f"sample stored {n} times: {key}" for key, n in rows_of.items() if n > 1]
    begun: Counter[str] = Counter()
    confirmed = sampled = 0
    for ledger in report["charge_points"]:
        identity = ledger["identity"]
        for record in ledger["transactions"]:
            begun[identity] += 1
            if record["start_confirmed"]:
                confirmed += 1
                row = by_key.get((identity, str(record["transaction_id"])))
                differences += _transaction_differences(identity, record, row)
        for sample in ledger["samples"]:
            for measurand, phase, _ in sample["readings"]:
                sampled += 1
                reference = "" if sample["transaction_id"] is None else str(sample["transaction_id"])
                moment = _moment(sample["timestamp"])
                key = (identity, reference, moment, measurand, phase or "", sample["context"])
                if rows_of[key] == 0:
                    differences.append(f"confirmed sample is not in the store: {key}")
    for identity, count in Counter(row.identity for row in stored).items():
        if count > begun[identity]:
            differences.append(f"{identity} began {begun[identity]} transactions, the store holds {count}")
    ledgers = report["charge_points"]
    return Comparison(
        confirmed,
        sampled,
        differences,
        sum(ledger["reconnects"] for ledger in ledgers),
        sum(sum(ledger["dropped"].values()) for ledger in ledgers),
        sum(sum(ledger["timeouts"].values()) for ledger in ledgers),
    )


def _transaction_differences(identity: str, record: dict[str, Any], row: Any) -> list[str]:
    name = f"transaction {record['transaction_id']} of {identity}"
    if row is None:
        return [f"confirmed {name} is not in the store"]
    if not record["stop_confirmed"]:
        return []
    wanted = ("ended", record["meter_start_wh"], record["meter_stop_wh"], record["energy_wh"])
    found = (row.state, row.meter_start_wh, row.meter_stop_wh, row.energy_wh)
    # OCPP 2.0.1 meters report fractions of what the ledger rounds
    close = found[0] == wanted[0] and all(abs(a - b) < 1.5 for a, b in zip(found[1:], wanted[1:], strict=True))
    return [] if close else [f"{name}: confirmed {wanted}, stored {found}"]
