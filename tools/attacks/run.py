"""Honest charge points at work, a quiet phase, then one attack after the other; what each did to them."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import uvloop

from loadtest import scraping
from tools.attacks import handshakes, passwords, records, sessions
from tools.attacks.honest import Log
from tools.attacks.outcome import Attack, Outcome
from tools.attacks.system import HANDSHAKE_TIMEOUT_S, Crowd, System, running
from tools.attacks.target import Effort

ATTACKS: tuple[Attack, ...] = (*handshakes.ATTACKS, *passwords.ATTACKS, *sessions.ATTACKS, *records.ATTACKS)
LOOKUPS = "ocpp_admission_lookup_total"
"""The gateway's count of queries to the workers, by result; `cached` ones never left it."""

QUIET = "(quiet)"
_MIB = 2**20
_LOOK_S = 0.1


@dataclass(slots=True)
class Phase:
    """A stretch of the run, and what was seen in it; RSS is the gateway's, in bytes."""

    name: str
    began: float = 0.0
    ended: float = 0.0
    rss_before: int = 0
    rss_peak: int = 0
    rss_after: int = 0
    attacker_share: float = 0.0
    """Of one processor."""
    queries: float = 0.0
    outcome: Outcome = field(default_factory=lambda: Outcome("nothing"))
    mistakes: list[str] = field(default_factory=list)
    round_trips: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """Of the honest round trips, in seconds; NaN when there were none."""
        ordered = sorted(self.round_trips)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


@dataclass(slots=True)
class Result:
    """A whole run."""

    phases: list[Phase]
    log: Log

    @property
    def quiet(self) -> Phase:
        return self.phases[0]

    @property
    def attacks(self) -> list[Phase]:
        return self.phases[1:]

    def slowdown(self, phase: Phase) -> float:
        """How many times the quiet phase's p99 a phase's is."""
        return phase.quantile(0.99) / self.quiet.quantile(0.99)

    def mistakes(self) -> list[str]:
        """What went wrong, whatever the machine's speed."""
        found = [f"{phase.name}: {mistake}" for phase in self.phases for mistake in phase.mistakes]
        for at, identity in self.log.dropped:
            during = next((phase.name for phase in self.phases if phase.began <= at <= phase.ended), "between attacks")
            found.append(f"{identity} was dropped: {during}")
        if self.log.errors:
            found.append(f"{len(self.log.errors)} honest Calls got a CALLERROR, such as {self.log.errors[0][1]}")
        if self.log.unanswered:
            found.append(f"{self.log.unanswered} honest Calls were never answered")
        return found

    def lines(self) -> list[str]:
        """The table, for people."""
        head = f"{'attack':30} {'p50 ms':>7} {'p99 ms':>7} {'x quiet':>7} {'RSS MiB before/peak/after':>26} {'CPU':>5}"
        lines = [head]
        for phase in self.phases:
            rss = "/".join(f"{size / _MIB:.0f}" for size in (phase.rss_before, phase.rss_peak, phase.rss_after))
            p50, p99 = phase.quantile(0.5) * 1000, phase.quantile(0.99) * 1000
            lines.append(
                f"{phase.name:30} {p50:7.1f} {p99:7.1f} {self.slowdown(phase):7.2f} {rss:>26} "
                f"{phase.attacker_share:5.0%}  {phase.outcome.stated}; {_counts(phase)}"
            )
        return lines


def _counts(phase: Phase) -> str:
    ends = ", ".join(f"{end} {count}" for end, count in phase.outcome.ends.most_common()) or "no ends"
    return f"{ends}; {phase.queries:.0f} admission queries"


def run(
    amqp_url: str, database_url: str, folder: Path, *, honest: int, every_s: float, quiet_s: float, effort: Effort,
    rest_s: float, only: Sequence[str] = (), handshake_timeout_s: float = HANDSHAKE_TIMEOUT_S,
) -> Result:  # fmt: skip
    """Start a system, let the crowd work, and attack it; everything is gone afterwards."""
    chosen = [attack for attack in ATTACKS if not only or any(word in attack.name for word in only)]
    with running(amqp_url, database_url, folder, honest, handshake_timeout_s) as system:
        crowd = Crowd(system.stack.urls[0], folder, honest, every_s)
        try:
            crowd.await_ready()
            phases = uvloop.run(_phases(system, chosen, quiet_s, effort, rest_s))
            log = crowd.finish()
        finally:
            crowd.release()
    for phase in phases:
        phase.round_trips = [seconds for due, seconds in log.round_trips if phase.began <= due <= phase.ended]
    return Result(phases, log)


async def _phases(
    system: System, attacks: Sequence[Attack], quiet_s: float, effort: Effort, rest_s: float
) -> list[Phase]:
    await asyncio.sleep(1.0)  # the crowd's first Calls find everything cold
    quiet = Phase(QUIET)
    async with _watched(system, quiet):
        await asyncio.sleep(quiet_s)
    phases = [quiet]
    for attack in attacks:
        phase = Phase(attack.name)
        before = await asyncio.to_thread(scraping.read, f"{system.gateway.monitor_url}/metrics")
        async with _watched(system, phase):
            try:
                phase.outcome = await attack.run(system.target, effort)
            except Exception as failure:  # noqa: BLE001 - the other attacks are to be seen too
                phase.mistakes.append(f"could not be carried out: {failure!r}")
        await asyncio.sleep(rest_s)
        after = await asyncio.to_thread(scraping.read, f"{system.gateway.monitor_url}/metrics")
        if not after.samples:
            phase.mistakes.append("the gateway tells no metrics any more")
        counted = _grown(before, after, "ocpp_ws_connection_rejected_total", "reason")
        looked_up = _grown(before, after, LOOKUPS, "result")
        phase.queries = sum(count for result, count in looked_up.items() if result != "cached")
        phase.mistakes += attack.mistakes(phase.outcome, counted) if not phase.mistakes else []
        phases.append(phase)
    return phases


def _grown(before: scraping.Reading, after: scraping.Reading, name: str, label: str) -> dict[str, float]:
    old, new = before.by(name, label), after.by(name, label)
    return {value: count - old.get(value, 0.0) for value, count in new.items() if count > old.get(value, 0.0)}


@asynccontextmanager
async def _watched(system: System, phase: Phase) -> AsyncIterator[None]:
    """Time the phase, and look at the gateway's memory and our own processor time meanwhile."""
    gateway = psutil.Process(system.gateway.pid)
    phase.rss_before = phase.rss_peak = gateway.memory_info().rss

    async def look() -> None:
        while True:
            phase.rss_peak = max(phase.rss_peak, gateway.memory_info().rss)
            await asyncio.sleep(_LOOK_S)

    looking = asyncio.create_task(look())
    phase.began, used = time.monotonic(), time.process_time()
    try:
        yield
    finally:
        phase.ended = time.monotonic()
        phase.attacker_share = (time.process_time() - used) / max(phase.ended - phase.began, 1e-9)
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        phase.rss_after = gateway.memory_info().rss
