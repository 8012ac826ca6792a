"""A gateway for worker tests: announces sessions, keeps alive, and answers commands as it is told."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson

from contracts import announcements, topology
from contracts.announcements import Announcement, Closed, Heartbeat, Opened, SnapshotRequest
from contracts.broker import BrokerLink, Delivery, PrivateQueue, Returned
from contracts.envelope import CommandEnvelope, OutcomeEnvelope, OutcomeKind
from contracts.versions import Version
from tests.support.calling import until

Script = Callable[[CommandEnvelope], OutcomeEnvelope | None]


class ScriptedGateway:
    """It is its link's listener. What `script` returns is answered at once; None is silence."""

    def __init__(self, url: str, name: str = "gw-1", *, heartbeat_s: float = 0.2) -> None:
        self.name = name
        self.sessions: dict[str, Opened] = {}
        self.commands: list[CommandEnvelope] = []
        self.script: Script = self.accept
        self.heartbeat_s = heartbeat_s
        self.answers_snapshots = True
        self.snapshots_asked = 0
        self._open: list[tuple[CommandEnvelope, Delivery]] = []
        self._epochs = itertools.count(int(time.time() * 1000))
        self.link = BrokerLink(
            url,
            self,
            name=f"scripted {name}",
            private_queue=PrivateQueue(f"test.{name}", ((topology.GATEWAYS, name), (topology.SESSIONS, ""))),
        )

    def connect(self, *identities: str, version: Version = Version.V16, session: str | None = None) -> None:
        """Sessions open."""
        opened = []
        for identity in identities:
            epoch = next(self._epochs)
            name = session or f"{self.name}-{epoch}"
            opened.append(Opened(identity, name, epoch, version, "127.0.0.1", epoch))
            self.sessions[identity] = opened[-1]
        self._announce(Announcement(self.name, opened=tuple(opened)))

    def disconnect(self, identity: str, *, tell: bool = True) -> None:
        """A session ends; without `tell`, nobody learns of it."""
        held = self.sessions.pop(identity)
        closed = Closed(identity, held.session, held.epoch, int(time.time() * 1000), 1000, "closed")
        if tell:
            self._announce(Announcement(self.name, closed=(closed,)))

    def outcome(
        self, command: CommandEnvelope, kind: OutcomeKind, code: str | None = None, **more: Any
    ) -> OutcomeEnvelope:
        """An outcome of this gateway."""
        return OutcomeEnvelope(
            command.command_id, command.identity, kind, self.name, command.session, error_code=code, **more
        )

    def accept(self, command: CommandEnvelope) -> OutcomeEnvelope:
        """What a charge point that is here, and takes everything, answers."""
        held = self.sessions.get(command.identity)
        if held is None:
            return self.outcome(command, OutcomeKind.OFFLINE, "not_connected")
        if command.session not in {None, held.session}:
            return self.outcome(command, OutcomeKind.OFFLINE, "session_gone")
        now_ms = int(time.time() * 1000)
        body = orjson.dumps({"status": "Accepted"})
        return self.outcome(command, OutcomeKind.RESULT, payload=body, sent_ms=now_ms, answered_ms=now_ms)

    def silent(self, _: CommandEnvelope) -> None:
        """Never answers."""

    async def commanded(self, count: int = 1) -> list[CommandEnvelope]:
        """The commands, once there are so many."""
        await until(lambda: len(self.commands) >= count)
        return self.commands

    def answer_open(self, script: Script | None = None) -> None:
        """Answer, in order, what has not been answered."""
        for command, delivery in self._open:
            self._answer(delivery, (script or self.accept)(command))
        self._open.clear()

    def leave(self) -> None:
        """The last word of a drained gateway."""
        self._beat(leaving=True)

    async def beat(self) -> None:
        """Heartbeats until cancelled."""
        while True:
            self._beat()
            await asyncio.sleep(self.heartbeat_s)

    def _beat(self, *, leaving: bool = False) -> None:
        interval_ms = int(self.heartbeat_s * 1000)
        heartbeat = Heartbeat(self.name, len(self.sessions), 0, interval_ms, leaving)
        if self.link.up:
            self.link.publish(topology.SESSIONS, "", heartbeat.encode(), type=announcements.HEARTBEAT_TYPE)

    def _announce(self, announcement: Announcement, to: str | None = None) -> None:
        exchange, key = (topology.SESSIONS, "") if to is None else ("", to)
        if self.link.up:
            self.link.publish(exchange, key, announcement.encode(), type=announcements.SESSIONS_TYPE)

    def _snapshot(self, to: str | None = None) -> None:
        held = tuple(self.sessions.values())
        half = len(held) // 2
        self._announce(Announcement(self.name, opened=held[:half], snapshot=True), to)
        self._announce(Announcement(self.name, opened=held[half:], snapshot=True, last=True), to)

    def _answer(self, delivery: Delivery, outcome: OutcomeEnvelope | None) -> None:
        if outcome is not None and self.link.up:
            self.link.publish("", delivery.reply_to, outcome.encode(), correlation_id=delivery.correlation_id)

    # the link's listener

    def link_up(self) -> None:
        self._snapshot()
        self._beat()

    def link_down(self) -> None:
        self._open.clear()

    def confirmed(self, token: object) -> None: ...
    def refused(self, token: object) -> None: ...
    def flow_changed(self) -> None: ...
    def returned(self, message: Returned) -> None: ...

    def delivered(self, delivery: Delivery) -> None:
        if delivery.exchange == topology.GATEWAYS:
            command = CommandEnvelope.decode(delivery.body)
            self.commands.append(command)
            outcome = self.script(command)
            if outcome is None:
                self._open.append((command, delivery))
            self._answer(delivery, outcome)
        elif delivery.type == announcements.SNAPSHOT_REQUEST_TYPE:
            SnapshotRequest.decode(delivery.body)
            self.snapshots_asked += 1
            if self.answers_snapshots:
                self._snapshot(delivery.reply_to)


@asynccontextmanager
async def gateway_on(
    url: str, *identities: str, name: str = "gw-1", heartbeat_s: float = 0.2
) -> AsyncIterator[ScriptedGateway]:
    """A connected gateway that holds these charge points; at the end of the block it vanishes without a word."""
    gateway = ScriptedGateway(url, name, heartbeat_s=heartbeat_s)
    gateway.connect(*identities)
    running = [asyncio.create_task(gateway.link.run())]
    try:
        await until(lambda: gateway.link.up)
        running.append(asyncio.create_task(gateway.beat()))
        yield gateway
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
