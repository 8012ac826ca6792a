"""A gateway's part for worker tests: publishes Calls to a real broker and gathers the replies."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson

from contracts import announcements, topology
from contracts.announcements import Announcement, Heartbeat, Opened
from contracts.broker import BrokerLink, Consumer, Delivery, PrivateQueue, Returned
from contracts.envelope import CallEnvelope, CommandEnvelope, OutcomeEnvelope, ReplyEnvelope
from contracts.versions import Version

GATEWAY = "gateway-test"
TIMEOUT_S = 30


async def until(condition: Callable[[], Any], *, timeout_s: float = TIMEOUT_S) -> Any:
    """Await a condition that no event announces, a few times each hundredth of a second."""
    async with asyncio.timeout(timeout_s):
        while not (found := condition()):  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.005)
    return found


class Caller:
    """Publishes Calls as a gateway does; it is its link's listener."""

    def __init__(self, url: str) -> None:
        self.link = BrokerLink(
            url,
            self,
            name="test gateway",
            consumers=(Consumer(topology.DEAD_LETTERS),),
            private_queue=PrivateQueue("test.replies", ((topology.GATEWAYS, GATEWAY), (topology.SESSIONS, ""))),
        )
        self.sessions: dict[str, Opened] = {}
        """Who is connected here: whoever a Call was published for."""
        self.replies: dict[str, list[ReplyEnvelope]] = {}
        self.dead: list[Delivery] = []
        self.commands: list[CommandEnvelope] = []
        self.answer_command: Callable[[CommandEnvelope], OutcomeEnvelope | None] = lambda _: None
        self.returns: list[Returned] = []
        self._numbers = itertools.count(1)

    def publish(
        self,
        action: str,
        payload: Any,
        *,
        version: Version = Version.V16,
        identity: str = "CP-1",
        session: str = "session-1",
        epoch: int = 1,
        reply: bool = True,
        violation: tuple[str, str] | None = None,
        certificate_name: str | None = None,
    ) -> str:
        """Publish a Call; its correlation id."""
        number = next(self._numbers)
        correlation_id = f"{session}:{number}"
        self.connect(Opened(identity, session, epoch, version, "127.0.0.1", int(time.time() * 1000)))
        envelope = CallEnvelope(
            identity=identity,
            version=version,
            gateway=GATEWAY,
            session=session,
            epoch=epoch,
            unique_id=str(number),
            action=action,
            frame=orjson.dumps([2, str(number), action, payload]),
            received_ms=int(time.time() * 1000),
            violation_kind=violation[0] if violation else None,
            violation=violation[1] if violation else None,
            certificate_name=certificate_name,
        )
        self.publish_body(version, action, envelope.encode(), correlation_id, reply=reply)
        return correlation_id

    def connect(self, opened: Opened) -> None:
        """Announce a session, unless it is known."""
        known = self.sessions.get(opened.identity)
        if known is None or known.session != opened.session:
            self.sessions[opened.identity] = opened
            self._announce(Announcement(GATEWAY, (opened,)), topology.SESSIONS, "")

    def _announce(self, announcement: Announcement | Heartbeat, exchange: str, key: str) -> None:
        kind = announcements.SESSIONS_TYPE if isinstance(announcement, Announcement) else announcements.HEARTBEAT_TYPE
        self.link.publish(exchange, key, announcement.encode(), type=kind)

    def publish_body(
        self, version: Version, action: str, body: bytes, correlation_id: str, *, reply: bool = True
    ) -> None:
        """Publish any body where this action's Calls go."""
        key = topology.call_key(version, action)
        assert key is not None
        self.link.publish(
            topology.CALLS,
            key,
            body,
            mandatory=True,
            persistent=True,
            correlation_id=correlation_id,
            reply_to=self.link.reply_queue if reply else "",
        )

    async def call(self, action: str, payload: Any, **options: Any) -> ReplyEnvelope:
        """Publish a Call and await its first reply."""
        correlation_id = self.publish(action, payload, **options)
        return await self.reply_to(correlation_id)

    async def reply_to(self, correlation_id: str, *, timeout_s: float = TIMEOUT_S) -> ReplyEnvelope:
        """The first reply to that Call."""
        await until(lambda: correlation_id in self.replies, timeout_s=timeout_s)
        return self.replies[correlation_id][0]

    # the link's listener

    def link_up(self) -> None:
        # The one sign of life that lasts for a test.
        self._announce(Heartbeat(GATEWAY, 0, 0, 3_600_000), topology.SESSIONS, "")

    def link_down(self) -> None: ...
    def confirmed(self, token: object) -> None: ...
    def refused(self, token: object) -> None: ...
    def flow_changed(self) -> None: ...

    def returned(self, message: Returned) -> None:
        self.returns.append(message)

    def delivered(self, delivery: Delivery) -> None:
        if delivery.queue == topology.DEAD_LETTERS:
            self.dead.append(delivery)
            self.link.ack(delivery)
        elif delivery.exchange == topology.SESSIONS:
            if delivery.type == announcements.SNAPSHOT_REQUEST_TYPE:
                held = tuple(self.sessions.values())
                self._announce(Announcement(GATEWAY, held, snapshot=True, last=True), "", delivery.reply_to)
                self._announce(Heartbeat(GATEWAY, len(held), 0, 3_600_000), "", delivery.reply_to)
        elif delivery.exchange == topology.GATEWAYS:
            command = CommandEnvelope.decode(delivery.body)
            self.commands.append(command)
            outcome = self.answer_command(command)
            if outcome is not None:
                self.link.publish("", delivery.reply_to, outcome.encode(), correlation_id=delivery.correlation_id)
        else:
            self.replies.setdefault(delivery.correlation_id, []).append(ReplyEnvelope.decode(delivery.body))


@asynccontextmanager
async def caller_on(url: str) -> AsyncIterator[Caller]:
    """A connected caller."""
    caller = Caller(url)
    running = asyncio.create_task(caller.link.run())
    try:
        await until(lambda: caller.link.up)
        yield caller
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
