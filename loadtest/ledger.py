"""What a charge point knows to be true: the server promised it by a CALLRESULT."""

from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from loadtest.roundtrips import RoundTrips

_MOST_NOTES = 50


@dataclass(slots=True)
class TransactionRecord:
    """One transaction; `transaction_id` is the server's in OCPP 1.6 and the charge point's own in 2.0.1."""

    connector_id: int
    id_tag: str
    started_at: str
    meter_start_wh: int
    transaction_id: int | str | None = None
    id_status: str | None = None
    start_confirmed: bool = False
    stopped_at: str | None = None
    meter_stop_wh: int | None = None
    reason: str | None = None
    stop_confirmed: bool = False
    confirmed_seq_nos: list[int] = field(default_factory=list)  # OCPP 2.0.1 only

    @property
    def energy_wh(self) -> int:
        return 0 if self.meter_stop_wh is None else self.meter_stop_wh - self.meter_start_wh


@dataclass(slots=True)
class SampleRecord:
    """One instant of a meter for which the server gave a CALLRESULT; `readings` are (measurand, phase, value)."""

    transaction_id: int | str | None
    connector_id: int
    timestamp: str
    context: str
    energy_wh: float
    action: str
    readings: tuple[tuple[str, str | None, str], ...] = ()


@dataclass
class Ledger:
    """Everything one charge point was promised, and everything that went wrong. At most `most_records` of each kind."""

    identity: str
    version: str
    keep_readings: bool = True
    most_records: int = 100_000
    transactions: list[TransactionRecord] = field(default_factory=list)
    samples: list[SampleRecord] = field(default_factory=list)
    records_left_out: int = 0
    boots: int = 0
    connections: int = 0
    reconnects: int = 0
    connect_failures: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    call_errors: Counter[str] = field(default_factory=Counter)
    timeouts: Counter[str] = field(default_factory=Counter)
    late_replies: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    sessions: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    protocol_errors: int = 0
    protocol_error_notes: list[str] = field(default_factory=list)
    round_trips: RoundTrips = field(default_factory=RoundTrips)

    def open_transaction(self, record: TransactionRecord) -> TransactionRecord:
        """Enter a transaction at its local start, before the server knows of it."""
        if len(self.transactions) < self.most_records:
            self.transactions.append(record)
        else:
            self.records_left_out += 1
        return record

    def confirm_samples(self, samples: list[SampleRecord]) -> None:
        """Enter samples that the server has just confirmed."""
        for sample in samples:
            if len(self.samples) >= self.most_records:
                self.records_left_out += 1
                continue
            if not self.keep_readings:
                sample.readings = ()
            self.samples.append(sample)

    def protocol_error(self, note: str) -> None:
        """Count a breach of the specification by the server; the first notes are kept."""
        self.protocol_errors += 1
        if len(self.protocol_error_notes) < _MOST_NOTES:
            self.protocol_error_notes.append(note)

    @property
    def completed(self) -> int:
        return sum(1 for record in self.transactions if record.stop_confirmed)

    @property
    def unsettled(self) -> int:
        """How many transactions were begun of which the server has not confirmed both ends."""
        return sum(1 for record in self.transactions if not (record.start_confirmed and record.stop_confirmed))

    @property
    def energy_wh(self) -> int:
        return sum(record.energy_wh for record in self.transactions if record.stop_confirmed)

    @property
    def lost(self) -> int:
        """How many transaction messages were given up, and transactions left unsettled."""
        return self.dropped.total() + self.unsettled

    def to_json(self) -> dict[str, Any]:
        """Give the ledger as JSON data."""
        plain: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name in {"keep_readings", "most_records", "round_trips"}:
                continue
            # asdict() would turn each Counter into a Counter of pairs
            plain[each.name] = dict(value) if isinstance(value, Counter) else value
        plain["transactions"] = [asdict(record) | {"energy_wh": record.energy_wh} for record in self.transactions]
        plain["samples"] = [asdict(sample) for sample in self.samples]
        plain["round_trips"] = self.round_trips.to_json()
        return plain | {"completed": self.completed, "energy_wh": self.energy_wh, "lost": self.lost}
