"""The proof of commands: many of them to charge points that misbehave, while the system's processes are killed."""

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import time

from contracts.commands import CommandOutcome, CommandRequest
from contracts.envelope import OutcomeKind
from tests.support.erratic import ErraticStation
from tests.support.stubborn_backend import StubbornBackend, Told

DIRECT_S = (2.0, 8.0)
TRACKED_S = (8.0, 20.0)
SETTLE_S = 30.0
"""After its deadline, for an outcome that has to survive a restart on its way."""

NEVER_SENT = frozenset({OutcomeKind.OFFLINE, OutcomeKind.EXPIRED, OutcomeKind.REJECTED})


Fault = tuple[float, Callable[[], Awaitable[None]]]
"""What is done, and at which share of the commands that have ended."""


@dataclass(slots=True)
class Chaos:
    """One run: so many commands to so many charge points, and what is done to the system meanwhile."""

    commands: int
    charge_points: int
    faults: Sequence[Fault]
    pause_s: float
    """Between two commands to one charge point, at most."""
    seed: int = 1
    problems: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)


async def run_chaos(chaos: Chaos, backend: StubbornBackend, urls: Sequence[str], log: Path) -> str:
    """Run it and check it; the summary. What was wrong is in `chaos.problems`, every command's story in `log`."""
    rng = Random(chaos.seed)
    stations = [
        ErraticStation(f"CHAOS-{number:04}", urls, Random(rng.random())) for number in range(chaos.charge_points)
    ]
    running = [asyncio.create_task(station.run()) for station in stations]
    disturbing = asyncio.create_task(_disturb(chaos, backend))
    try:
        share = chaos.commands // chaos.charge_points
        await asyncio.gather(
            *(
                _command_one(backend, station.identity, share, chaos.pause_s, Random(rng.random()))
                for station in stations
            )
        )
        await disturbing
    finally:
        disturbing.cancel()
        for station in stations:
            station.end()
        await asyncio.gather(*running, disturbing, return_exceptions=True)
    for task in running:
        task.result()
    _check(chaos, backend, stations)
    _write_log(log, backend, stations)
    return _summary(chaos, backend, stations)


async def _disturb(chaos: Chaos, backend: StubbornBackend) -> None:
    for share, fault in chaos.faults:
        while _ended(backend) < share * chaos.commands:  # noqa: ASYNC110 - a count of many events
            await asyncio.sleep(0.1)
        await fault()


def _ended(backend: StubbornBackend) -> int:
    return sum(told.seen.is_set() for told in backend.commands.values())


async def _command_one(backend: StubbornBackend, identity: str, count: int, pause_s: float, rng: Random) -> None:
    """One after the other is issued; up to three are open at the same time, direct and tracked mixed."""
    waiting: set[asyncio.Task[bool]] = set()
    for _ in range(count):
        await asyncio.sleep(rng.uniform(0.0, pause_s))
        told = backend.send(identity, _request(rng))
        waiting.add(asyncio.create_task(_seen(told)))
        if len(waiting) >= 3:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.gather(*waiting)


async def _seen(told: Told) -> bool:
    seconds = told.request.deadline_ms / 1000 - time() + SETTLE_S
    try:
        await asyncio.wait_for(told.seen.wait(), seconds)
    except TimeoutError:
        return False  # the check names it
    return True


def _request(rng: Random) -> CommandRequest:
    command_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    tracked = rng.random() < 0.4
    once = rng.random() < 0.6
    seconds = rng.uniform(*(TRACKED_S if tracked else DIRECT_S))
    return CommandRequest(
        command_id=command_id,
        action="DataTransfer" if once else "ChangeConfiguration",
        payload={"vendorId": "chaos", "data": command_id} if once else {"key": command_id, "value": "1"},
        deadline_ms=int((time() + seconds) * 1000),
        tracked=tracked,
    )


def _check(chaos: Chaos, backend: StubbornBackend, stations: Sequence[ErraticStation]) -> None:
    diaries = {station.identity: station.diary for station in stations}
    for told in backend.commands.values():
        request, ending = told.request, told.ending
        diary = diaries[told.identity]
        times = sum(marker == request.command_id for _, marker in diary.received)

        def wrong(what: str, told: Told = told, times: int = times) -> None:
            chaos.problems.append(f"{told.identity} {told.request.command_id}: {what} (received {times} times)")

        if ending is None:
            wrong("no outcome")
            continue
        chaos.figures[f"{'tracked' if request.tracked else 'direct'} {ending.outcome}"] += 1
        if request.tracked and len(told.completed) + bool(told.outcomes) != 1:
            wrong(f"{len(told.completed)} completed events and {len(told.outcomes)} outcomes of a tracked command")
        once = request.action == "DataTransfer" or not request.tracked
        if times > 1 and once:
            wrong("sent more than once")
        if ending.outcome is OutcomeKind.RESULT:
            if request.command_id not in diary.answered:
                wrong("a result without an answer")
            elif request.action == "DataTransfer" and (ending.payload or {}).get("data") != request.command_id:
                wrong("another command's answer")
        if ending.outcome in NEVER_SENT and times:
            wrong(f"{ending.outcome}/{ending.reason} although it was received")
    for station in stations:
        _check_order(chaos, backend, station)


def _check_order(chaos: Chaos, backend: StubbornBackend, station: ErraticStation) -> None:
    """What was received first of each kind came in the order in which it was issued."""
    issued = {command_id: place for place, command_id in enumerate(backend.commands)}
    first: dict[str, float] = {}
    for at, marker in station.diary.received:
        first.setdefault(marker, at)
    for tracked in (True, False):
        places = [issued[marker] for marker in first if backend.commands[marker].request.tracked is tracked]
        if places != sorted(places):
            chaos.problems.append(f"{station.identity}: {'tracked' if tracked else 'direct'} commands out of order")


def _write_log(log: Path, backend: StubbornBackend, stations: Sequence[ErraticStation]) -> None:
    with log.open("w") as file:
        for told in backend.commands.values():
            row = {
                "identity": told.identity,
                "request": told.request.model_dump(mode="json"),
                "outcomes": [_dumped(outcome) for outcome in told.outcomes],
                "completed": [_dumped(outcome) for outcome in told.completed.values()],
            }
            file.write(json.dumps(row) + "\n")
        for station in stations:
            row = {"station": station.identity, "received": station.diary.received}
            file.write(json.dumps(row) + "\n")


def _dumped(outcome: CommandOutcome) -> object:
    return outcome.model_dump(mode="json", exclude_none=True)


def _summary(chaos: Chaos, backend: StubbornBackend, stations: Sequence[ErraticStation]) -> str:
    behaved: Counter[str] = Counter()
    for station in stations:
        behaved += station.diary.behaved
    lines = [
        f"{len(backend.commands)} commands to {len(stations)} charge points",
        "outcomes: " + ", ".join(f"{kind} {count}" for kind, count in sorted(chaos.figures.items())),
        "charge points: " + ", ".join(f"{kind} {count}" for kind, count in sorted(behaved.items())),
        f"published again: {backend.published_again}; outcomes told again: {dict(backend.repeated) or 'none'}",
        f"problems: {len(chaos.problems)}",
        *chaos.problems[:20],
    ]
    return "\n".join(lines)
