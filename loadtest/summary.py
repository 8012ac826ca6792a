"""What a run comes to."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from loadtest.ledger import Ledger
from loadtest.roundtrips import RoundTrips


@dataclass
class Report:
    """The ledgers of a run and what they say together."""

    ledgers: list[Ledger]
    seconds: float
    never_started: int = 0
    crashes: int = 0
    wanted_transactions: int | None = None
    frames: dict[str, int] = field(default_factory=dict)

    @property
    def completed(self) -> int:
        return sum(ledger.completed for ledger in self.ledgers)

    @property
    def round_trips(self) -> RoundTrips:
        merged = RoundTrips()
        for ledger in self.ledgers:
            merged.merge(ledger.round_trips)
        return merged

    def failures(self) -> list[str]:
        """Name whatever keeps this run from being a good one; an empty list is success."""
        # One that was just connecting when time was up has not failed.
        tried = [ledger for ledger in self.ledgers if ledger.connect_failures or ledger.timeouts or ledger.call_errors]
        never_accepted = sum(1 for ledger in tried if not ledger.boots)
        found = {
            "transaction messages given up": sum(ledger.dropped.total() for ledger in self.ledgers),
            "transactions not confirmed at both ends": sum(ledger.unsettled for ledger in self.ledgers),
            "breaches of the specification by the server": sum(ledger.protocol_errors for ledger in self.ledgers),
            "charge points whose boot was never answered": never_accepted,
            "charge points that crashed": self.crashes,
            "transactions missing of those wanted": max(0, (self.wanted_transactions or 0) - self.completed),
        }
        return [f"{count} {what}" for what, count in found.items() if count]

    def lines(self) -> list[str]:
        """Write the summary for people."""
        trips = self.round_trips
        started = len(self.ledgers) - self.never_started
        energy_wh = sum(ledger.energy_wh for ledger in self.ledgers)
        samples = sum(len(ledger.samples) for ledger in self.ledgers)
        connections = sum(ledger.connections for ledger in self.ledgers)
        reconnects = sum(ledger.reconnects for ledger in self.ledgers)
        times_ms = (trips.quantile(0.5) * 1000, trips.quantile(0.99) * 1000, trips.longest_s * 1000)
        percentiles = "p50 {:.1f} ms, p99 {:.1f} ms, longest {:.1f} ms".format(*times_ms)
        lines = [
            f"charge points    {started} of {len(self.ledgers)} started, {self.seconds:.1f} s",
            f"transactions     {self.completed} completed, {energy_wh / 1000:.2f} kWh, {samples} samples confirmed",
            f"sessions         {_counts(self._sum('sessions'))}",
            f"calls            {self._sum('calls').total()}, round trip {percentiles}",
            f"frames           {_counts(Counter(self.frames))}",
            f"call errors      {_counts(self._sum('call_errors'))}",
            f"timeouts         {_counts(self._sum('timeouts'))}",
            f"connections      {connections}, reconnects {reconnects}, failed {_counts(self._sum('connect_failures'))}",
        ]
        notes = [f"{ledger.identity}: {note}" for ledger in self.ledgers for note in ledger.protocol_error_notes]
        lines += [f"server's mistake {note}" for note in notes[:10]]
        failures = [f"FAILED           {failure}" for failure in self.failures()]
        return [*lines, *(failures or ["nothing lost"])]

    def to_json(self) -> dict[str, Any]:
        """Give the report with every ledger as JSON data."""
        return {
            "seconds": self.seconds,
            "completed": self.completed,
            "failures": self.failures(),
            "frames": self.frames,
            "round_trips": self.round_trips.to_json(),
            "charge_points": [ledger.to_json() for ledger in self.ledgers],
        }

    def _sum(self, name: str) -> Counter[str]:
        total: Counter[str] = Counter()
        for ledger in self.ledgers:
            total.update(getattr(ledger, name))
        return total


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common()) or "none"
