"""The client of all anchors that listen: sockets of the crowd that send the next message once the last is answered."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from loadtest.anchors.child import AnchorFailed
from loadtest.crowd.socket import Endpoint, Refused, Socket, connect
from loadtest.roundtrips import RoundTrips

CONNECTING_AT_ONCE = 100
_CALM_S = 30.0


@dataclass(frozen=True, slots=True)
class Talk:
    """What is said, and what is an answer to it; both know the number of the message."""

    message: Callable[[int], bytes]
    answered: Callable[[int, bytes], bool]


class Lockstep:
    """Charge points that talk all at once, one message each. A wrong answer or a lost socket fails it for good."""

    def __init__(self, url: str) -> None:
        self.counted = 0
        """Answers so far."""
        self.trips = RoundTrips()
        self._endpoint = Endpoint.of(url)
        self._members: list[_Member] = []
        self._talk: Talk | None = None
        self._busy = 0
        self._turn = asyncio.Event()
        self._failure = ""

    async def connect(self, count: int) -> float:
        """Connect so many more; how many a second that were. Raises AnchorFailed."""
        places = iter(range(len(self._members), len(self._members) + count))
        began = time.monotonic()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(count, CONNECTING_AT_ONCE)):
                    group.create_task(self._connect_each(places))
        except* Refused as refused:
            raise AnchorFailed(f"a connection was refused: {refused.exceptions[0]}") from None
        return count / (time.monotonic() - began)

    def begin(self, talk: Talk) -> None:
        """Let everybody talk from now on."""
        self._talk = talk
        self._busy = len(self._members)
        self._turn.clear()
        for member in self._members:
            member.say(talk)

    def restart(self) -> None:
        """Forget the times so far."""
        self.trips = RoundTrips()

    async def last(self, seconds: float) -> None:
        """Go on for so many seconds; raises AnchorFailed when something went wrong in them."""
        await asyncio.sleep(seconds)
        self._check()

    async def calm(self) -> None:
        """Let nobody begin another message, and return when all are answered; raises AnchorFailed."""
        self._talk = None
        try:
            async with asyncio.timeout(_CALM_S):
                while self._busy and not self._failure:
                    self._turn.clear()
                    await self._turn.wait()
        except TimeoutError:
            raise AnchorFailed(f"{self._busy} messages were not answered within {_CALM_S:g} s") from None
        self._check()

    async def once(self, talk: Talk) -> None:
        """Let everybody say one thing and hear the answer; raises AnchorFailed."""
        self.begin(talk)
        await self.calm()

    def close(self) -> None:
        """Drop all sockets."""
        for member in self._members:
            member.socket.drop()

    # --- from the members

    def heard(self, seconds: float) -> Talk | None:
        """An answer came; what is to be said next."""
        self.counted += 1
        self.trips.add(seconds)
        if self._talk is None:
            self._busy -= 1
            if not self._busy:
                self._turn.set()
        return self._talk

    def failed(self, why: str) -> None:
        """Nothing that is counted from now on means anything."""
        self._failure = self._failure or why
        self._talk = None
        self._turn.set()

    async def _connect_each(self, places: Iterator[int]) -> None:
        for place in places:
            member = _Member(self, place)
            await connect(self._endpoint, f"ANCHOR-{place:06d}", member)
            self._members.append(member)

    def _check(self) -> None:
        if self._failure:
            raise AnchorFailed(self._failure)


class _Member:
    """One charge point."""

    __slots__ = ("_answered", "_lockstep", "_number", "_sent", "socket")

    socket: Socket

    def __init__(self, lockstep: Lockstep, place: int) -> None:
        self._lockstep = lockstep
        self._number = place * 1_000_000  # no two messages of an anchor are alike
        self._sent = 0.0

    def say(self, talk: Talk) -> None:
        self._number += 1
        self._answered = talk.answered
        self._sent = time.monotonic()
        self.socket.send(talk.message(self._number))

    # --- the socket's taker

    def opened(self, socket: Socket) -> None:
        self.socket = socket

    def text(self, payload: bytes) -> None:
        if not self._answered(self._number, payload):
            self._lockstep.failed(f"a wrong answer came: {payload[:200]!r}")
            return
        talk = self._lockstep.heard(time.monotonic() - self._sent)
        if talk is not None:
            self.say(talk)

    def ended(self, code: int) -> None:
        self._lockstep.failed(f"a socket was closed with {code}")
