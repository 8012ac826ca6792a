"""The dead letters of a broker: looked at without taking them, replayed, or dropped."""

import asyncio
from dataclasses import replace
from types import TracebackType
from typing import Self

from contracts import topology
from contracts.broker import Delivery, Returned, TlsFiles
from contracts.broker.declare import count
from contracts.client.intake import Intake
from contracts.client.letters import Letter, read_letter
from contracts.client.linked import CONNECT_TIMEOUT_S
from contracts.errors import LinkDownError, NoAnswerError, RefusedError

MOST_LETTERS = 10_000
"""Looked at in one go: all of them are in memory meanwhile."""

_SILENT_S = 5.0
_SETTLED_S = 0.3
_CONFIRM_TIMEOUT_S = 15.0


class DeadLetters(Intake):
    """Holds the first letters of the queue while it is open; use as an async context manager.

    Closing gives back all but those replayed or dropped. Raises LinkDownError when the broker cannot be reached or
    the connection breaks: whatever was not confirmed by then is still there.
    """

    def __init__(
        self,
        amqp_url: str,
        *,
        most: int = MOST_LETTERS,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        files: TlsFiles | None = None,
    ) -> None:
        self._files = TlsFiles.from_environment() if files is None else files
        super().__init__(
            amqp_url,
            topology.DEAD_LETTERS,
            name="dead-letters",
            prefetch=most,
            connect_timeout_s=connect_timeout_s,
            files=self._files,
        )
        self._url, self._most = amqp_url, most
        self._broken = False
        self._letters: dict[str, tuple[Letter, Delivery]] = {}
        self._confirming: dict[str, asyncio.Future[str | None]] = {}
        self.left_out = 0
        """Letters beyond those that were looked at."""

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                expected = await count(self._url, topology.DEAD_LETTERS, self._files)
        except TimeoutError:
            raise LinkDownError("no connection to the broker: it does not answer") from None
        await self.start()
        try:
            await self._look(expected)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.link.settled()
        await self.close()

    @property
    def letters(self) -> list[Letter]:
        """Those held, in the order of the queue."""
        return [letter for letter, _ in self._letters.values()]

    def find(self, letter_id: str) -> Letter:
        """The one letter whose id is this or begins so; raises RefusedError."""
        found = [letter for letter in self.letters if letter.id.startswith(letter_id)]
        exact = [letter for letter in found if letter.id == letter_id]
        if len(exact or found) != 1:
            raise RefusedError("not_found", f"{'several dead letters begin' if found else 'no dead letter begins'} so")
        return (exact or found)[0]

    async def replay(self, letter: Letter) -> None:
        """Publish it again where it was published first, and take it from the queue once the broker has it.

        Raises RefusedError when no queue takes it, NoAnswerError when the broker does not confirm: then it stays.
        """
        self._require_link()
        delivery = self._letters[letter.id][1]
        if not letter.properties.deaths:
            raise RefusedError("bad_request", "the broker has not written down where the letter came from")
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._confirming[letter.id] = answer
        try:
            self.link.republish(delivery, letter.exchange, letter.routing_key, token=letter.id)
            async with asyncio.timeout(_CONFIRM_TIMEOUT_S):
                refusal = await answer
        except TimeoutError:
            raise NoAnswerError("the broker has not confirmed the replay; the letter stays") from None
        finally:
            del self._confirming[letter.id]
        if refusal is not None:
            raise RefusedError("refused", refusal)
        await self.drop(letter)

    async def drop(self, letter: Letter) -> None:
        """Take it from the queue for good."""
        self._require_link()
        self.link.ack(self._letters.pop(letter.id)[1])
        await self.link.settled()

    def link_down(self) -> None:
        super().link_down()
        self._broken = True
        self._news.set()
        for answer in self._confirming.values():
            if not answer.done():
                answer.set_exception(LinkDownError("the connection broke before the broker confirmed the replay"))

    def returned(self, message: Returned) -> None:
        # One at a time is under way: what comes back is that one, just before its confirm.
        for answer in self._confirming.values():
            if not answer.done():
                answer.set_result(f"no queue takes it: {message.reply_text}")

    def confirmed(self, token: object) -> None:
        self._settle(token, None)

    def refused(self, token: object) -> None:
        self._settle(token, "the broker refused it: the queue is full")

    def _settle(self, token: object, refusal: str | None) -> None:
        answer = self._confirming.get(token) if isinstance(token, str) else None
        if answer is not None and not answer.done():
            answer.set_result(refusal)

    async def _look(self, expected: int) -> None:
        self.left_out = max(expected - self._most, 0)
        while len(self._letters) < self._most:
            # What somebody else has just given back is not counted, but comes at once.
            silent_s = _SILENT_S if len(self._letters) < expected else _SETTLED_S
            try:
                async with asyncio.timeout(silent_s):
                    await self._next()
            except TimeoutError:
                return  # all are here, or somebody else is looking at the rest

    async def _next(self) -> None:
        while not self._arrived:
            self._require_link()
            self._news.clear()
            await self._news.wait()
        delivery = self._arrived.popleft()
        letter = read_letter(delivery)
        twins = 1
        while letter.id in self._letters:  # alike to the last byte, and dead in the same second
            twins += 1
            letter = replace(letter, id=f"{letter.id.partition('-')[0]}-{twins}")
        self._letters[letter.id] = (letter, delivery)

    def _require_link(self) -> None:
        self.check()
        if self._broken:
            raise LinkDownError("the connection to the broker broke; look again")
