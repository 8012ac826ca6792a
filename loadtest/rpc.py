"""One connection's Calls, as OCPP-J has them: at most one of ours at a time, theirs answered meanwhile."""

import asyncio
import itertools
import time
import uuid
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from loadtest import frames, schemas
from loadtest.ledger import Ledger
from loadtest.observer import Observer
from loadtest.settings import LinkSettings


class CallFailed(Exception):  # noqa: N818 - the three below are outcomes of a Call
    """A Call of ours that got no CALLRESULT."""


class CallTimeout(CallFailed):
    """Nothing came in time."""


class ConnectionLost(CallFailed):
    """The connection ended first; whether the server has the Call is unknown."""


class CallRefused(CallFailed):
    """The server answered CALLERROR."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


FollowUp = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a charge point says to a Call of the server, and what it does once it has said it. No payload: no answer."""

    payload: dict[str, Any] | None = None
    error: str | None = None
    then: FollowUp | None = None


class Answerer(Protocol):
    """Whoever decides on the server's Calls; must not block, so that both directions stay independent."""

    def knows(self, action: str) -> bool: ...
    def answer(self, action: str, payload: dict[str, Any]) -> Answer: ...
    def answered(self) -> None: ...


@dataclass(slots=True)
class _Outstanding:
    unique_id: str
    action: str
    reply: asyncio.Future[dict[str, Any]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Rpc:
    """Owns the connection until `serve` returns; counts in the ledger the server's breaches of the specification."""

    def __init__(
        self,
        connection: ClientConnection,
        version: str,
        settings: LinkSettings,
        ledger: Ledger,
        observer: Observer,
        answerer: Answerer,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._connection = connection
        self._version = version
        self._settings = settings
        self._ledger = ledger
        self._observer = observer
        self._answerer = answerer
        self._spawn = spawn
        self._counter = itertools.count(1)
        self._turn = asyncio.Lock()
        self._outstanding: _Outstanding | None = None
        self._given_up: deque[str] = deque(maxlen=64)
        self._closed = False
        self.got_results = 0

    async def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Send a Call when it is our turn and give the payload of its CALLRESULT.

        Raises:
            CallTimeout, CallRefused, ConnectionLost.

        """
        async with self._turn:
            if self._closed:
                raise ConnectionLost
            unique_id = str(next(self._counter)) if self._settings.message_ids == "counter" else str(uuid.uuid4())
            self._outstanding = waiting = _Outstanding(unique_id, action)
            self._ledger.calls[action] += 1
            started = time.perf_counter()
            try:
                async with asyncio.timeout(self._settings.call_timeout_s):
                    await self._send(frames.encode_call(unique_id, action, payload))
                    reply = await waiting.reply
            except TimeoutError:
                self._given_up.append(unique_id)
                self._ledger.timeouts[action] += 1
                self._observer.call_timeout()
                raise CallTimeout from None
            except CallRefused as refusal:
                self._ledger.call_errors[refusal.code] += 1
                self._observer.call_error(refusal.code)
                raise
            finally:
                self._outstanding = None
                if not waiting.reply.cancel() and not waiting.reply.cancelled():
                    waiting.reply.exception()  # seen, even where sending failed first
            elapsed = time.perf_counter() - started
            self._ledger.round_trips.add(elapsed)
            self._ledger.results[action] += 1
            self._observer.roundtrip(action, elapsed)
            self.got_results += 1
            return reply

    async def serve(self) -> None:
        """Read until the connection ends, whichever way; afterwards every Call raises ConnectionLost."""
        try:
            async for message in self._connection:
                self._observer.frame(self._ledger.identity, "in", message)
                await self._receive(message)
        except (ConnectionClosed, ConnectionLost):
            pass
        finally:
            self._closed = True
            waiting = self._outstanding
            if waiting is not None and not waiting.reply.done():
                waiting.reply.set_exception(ConnectionLost())

    async def close(self, code: int = 1000) -> None:
        """Close the connection; `serve` then returns."""
        await self._connection.close(code)

    def breach(self, note: str) -> None:
        """Count a breach of the specification by the server."""
        self._ledger.protocol_error(note)
        self._observer.protocol_error(self._ledger.identity, note)

    async def _send(self, text: str) -> None:
        try:
            await self._connection.send(text)
        except ConnectionClosed:
            raise ConnectionLost from None
        self._observer.frame(self._ledger.identity, "out", text)

    async def _receive(self, message: str | bytes) -> None:
        match frames.decode(message, self._version):
            case frames.Call() as call:
                await self._serve_call(call)
            case frames.CallResult() | frames.CallError() as reply:
                self._take_reply(reply)
            case frames.Malformed(flaw):
                self.breach(flaw)

    def _take_reply(self, frame: frames.CallResult | frames.CallError) -> None:
        waiting = self._outstanding
        if waiting is None or waiting.unique_id != frame.unique_id or waiting.reply.done():
            if frame.unique_id in self._given_up:
                self._given_up.remove(frame.unique_id)
                self._ledger.late_replies += 1
            else:
                self.breach("a reply to nothing, or a second one")
            return
        if isinstance(frame, frames.CallError):
            if frame.flaw is not None:
                self.breach(f"{waiting.action}: {frame.flaw}")
            waiting.reply.set_exception(CallRefused(frame.code))
            return
        if self._settings.validate:
            flaw = schemas.response_flaw(waiting.action, frame.payload, self._version)
            if flaw is not None:
                self.breach(flaw)
        waiting.reply.set_result(frame.payload)

    async def _serve_call(self, call: frames.Call) -> None:
        self._ledger.commands[call.action] += 1
        answer = self._decide(call)
        if answer.error is not None:
            await self._send(frames.encode_error(call.unique_id, answer.error, ""))
        elif answer.payload is not None:
            await self._send(frames.encode_result(call.unique_id, answer.payload))
        if answer.then is not None:
            self._spawn(answer.then())
        self._answerer.answered()

    def _decide(self, call: frames.Call) -> Answer:
        if not self._answerer.knows(call.action):
            return Answer(error="NotImplemented")
        flaw = schemas.request_flaw(call.action, call.payload, self._version) if self._settings.validate else None
        if flaw is None:
            try:
                return self._answerer.answer(call.action, call.payload)
            except (KeyError, TypeError, ValueError) as error:  # what an unchecked payload can make a handler raise
                flaw = f"{call.action}: {error!r}"
        self.breach(flaw)
        return Answer(error="FormationViolation" if self._version == "1.6" else "FormatViolation")
