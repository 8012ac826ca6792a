"""The client for backend services: commands and their outcomes, operator requests, events and the frame log."""

import asyncio
import time
from collections.abc import Collection, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

from pydantic import ValidationError

from contracts import topology
from contracts.bodies import Body, ContentType, problems_of
from contracts.broker import Delivery, TlsFiles
from contracts.client.asking import Asker, Lost
from contracts.client.events import PREFETCH, EventStream
from contracts.client.frames import FrameStream
from contracts.client.linked import CONNECT_TIMEOUT_S, Linked
from contracts.commands import CommandOutcome, CommandReceipt, CommandRequest, Reason, TrackedState
from contracts.envelope import OutcomeKind
from contracts.errors import BodyError, LinkDownError, NoAnswerError, RefusedError
from contracts.identity import MAX_BYTES
from contracts.operator import Operation, OperatorAnswer, OperatorRequest, queue_of
from contracts.tracing.context import read
from contracts.tracing.current import backend_headers

SERVICE_GRACE_S = 3.0
"""The commands service says `unknown` this long after the deadline at the latest."""

GRACE_S = SERVICE_GRACE_S + 2.0
ASK_TIMEOUT_S = 15.0
MOST_CALLS = 1000
"""Commands and requests of one client under way; further ones wait for their turn within their own time."""

_Stream = TypeVar("_Stream", bound=Linked)
_Answer = TypeVar("_Answer", bound=Body)


class CommandClient:
    """A connection to the broker of a charging network; use as an async context manager. Safe for concurrent calls.

    Where nothing was sent it raises: LinkDownError (broker), BodyError (the request is not one).
    """

    def __init__(
        self,
        amqp_url: str,
        *,
        name: str = "backend",
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        most_calls: int = MOST_CALLS,
        content_type: ContentType = ContentType.JSON,
        files: TlsFiles | None = None,
    ) -> None:
        """`name` shows in the broker's list of connections; `files` are for amqps (else OCPP_AMQP_CA_FILE and so on).

        Raises ValueError when the URL is not an AMQP URL.
        """
        self._files = TlsFiles.from_environment() if files is None else files
        self._url, self._name, self._connect_timeout_s = amqp_url, name, connect_timeout_s
        self._content_type = content_type
        self._asker = Asker(amqp_url, name=name, connect_timeout_s=connect_timeout_s, files=self._files)
        self._turns = asyncio.Semaphore(most_calls)
        self._streams: list[Linked] = []

    async def __aenter__(self) -> Self:
        await self._asker.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        return self._asker.link.up

    @property
    def dropped(self) -> int:
        """Late and second answers, which nobody waited for."""
        return self._asker.dropped

    async def close(self) -> None:
        """End everything that this client has begun; calls that wait end as if the connection had broken."""
        await asyncio.gather(*(stream.close() for stream in self._streams), self._asker.close())

    async def call(
        self,
        identity: str,
        action: str,
        payload: dict[str, Any] | None = None,
        *,
        timeout_s: float = 30.0,
        command_id: str | None = None,
        session: str | None = None,
        traceparent: str | None = None,
    ) -> CommandOutcome:
        """Have the charge point do it, and say how that ended: exactly one outcome, at most 5 s after `timeout_s`.

        What the charge point answered is in the outcome's payload; `unknown` means that it may have been done.
        `traceparent` (W3C) names the trace that it belongs to; else that of the OpenTelemetry span around the call.
        """
        headers = _trace(traceparent)
        until = time.time() + timeout_s
        request = self._request(command_id, action, payload, until, session=session)
        try:
            async with asyncio.timeout(timeout_s):
                await self._turns.acquire()
        except TimeoutError:
            why = "too many calls of this client are under way"
            return _made_here(request, identity, OutcomeKind.EXPIRED, Reason.DEADLINE, why)
        try:
            await self._asker.wait_up(max(until - time.time(), 0))
            async with asyncio.timeout(max(until - time.time(), 0) + GRACE_S):
                answer = await self._ask(
                    topology.COMMANDS, _key(identity), request, message_id=request.command_id, headers=headers
                )
        except TimeoutError:
            why = "the commands service did not say in time what became of it"
            return _made_here(request, identity, OutcomeKind.UNKNOWN, Reason.NO_OUTCOME, why)
        finally:
            self._turns.release()
        return _lost(request, identity, answer) if isinstance(answer, Lost) else _read(CommandOutcome, answer)

    async def track(
        self,
        identity: str,
        action: str,
        payload: dict[str, Any] | None = None,
        *,
        deadline: timedelta = timedelta(hours=24),
        command_id: str | None = None,
        timeout_s: float = ASK_TIMEOUT_S,
        traceparent: str | None = None,
    ) -> CommandReceipt | CommandOutcome:
        """Store a command that outlives every connection: a receipt when it is stored, an outcome when it is refused.

        The same `command_id` again is the same command. Raises NoAnswerError when nobody says which of the two.
        `traceparent` is as for `call`.
        """
        headers = _trace(traceparent)
        request = self._request(command_id, action, payload, time.time() + deadline.total_seconds(), tracked=True)
        answer = await self._insist(
            topology.COMMANDS,
            _key(identity),
            request,
            message_id=request.command_id,
            timeout_s=timeout_s,
            headers=headers,
        )
        if isinstance(answer, Lost):
            return _lost(request, identity, answer)
        if answer.type == CommandReceipt.KIND:
            return _read(CommandReceipt, answer)
        return _read(CommandOutcome, answer)

    async def outcome(self, command_id: str, *, timeout_s: float = ASK_TIMEOUT_S) -> CommandOutcome | None:
        """How a tracked command ended, None while it has not; raises RefusedError when there is no such command."""
        answer = await self.ask(Operation.COMMAND, {"command_id": command_id}, timeout_s=timeout_s)
        if not answer.ok or not answer.items:
            raise RefusedError(answer.error or "not_found", answer.description or f"no command {command_id}")
        item = answer.items[0]
        if item.get("state") != TrackedState.ENDED:
            return None
        try:
            return CommandOutcome.model_validate(item.get("result"))
        except ValidationError as error:
            raise BodyError(f"unreadable outcome: {problems_of(error)}") from None

    async def ask(
        self, operation: Operation, arguments: dict[str, Any] | None = None, *, timeout_s: float = ASK_TIMEOUT_S
    ) -> OperatorAnswer:
        """Ask the commands service about its records, or change them; raises NoAnswerError when it says nothing."""
        request = OperatorRequest(operation=operation, arguments=arguments or {})
        answer = await self._insist(
            topology.OPERATIONS, queue_of(operation), request, timeout_s=timeout_s, expires=True
        )
        if isinstance(answer, Lost):
            raise NoAnswerError(f"the service cannot be reached: {_WHY[answer][2]}")
        return _read(OperatorAnswer, answer)

    def events(
        self,
        queue: str,
        *,
        types: Collection[str] = (),
        identities: Collection[str] = (),
        temporary: bool = False,
        prefetch: int = PREFETCH,
    ) -> EventStream:
        """The events of these types and charge points (all when none are named), from a durable queue of this name.

        `temporary`: from a queue that is only there while the stream is open.
        """
        stream = EventStream(
            self._url, queue, types=types, identities=identities, temporary=temporary, prefetch=prefetch,
            name=self._name, connect_timeout_s=self._connect_timeout_s, files=self._files,
        )  # fmt: skip
        return self._owned(stream)

    def frames(
        self, *, since: timedelta | None = None, identity: str | None = None, follow: bool = True
    ) -> FrameStream:
        """The frames of the frame log from `since` ago (None: from now) on; without `follow` it ends with the log."""
        stream = FrameStream(
            self._url, since=since, identity=identity, follow=follow,
            name=self._name, connect_timeout_s=self._connect_timeout_s, files=self._files,
        )  # fmt: skip
        return self._owned(stream)

    def _owned(self, stream: _Stream) -> _Stream:
        self._streams = [known for known in self._streams if not known.closed]
        self._streams.append(stream)
        return stream

    def _request(
        self, command_id: str | None, action: str, payload: dict[str, Any] | None, until: float, **more: Any
    ) -> CommandRequest:
        try:
            return CommandRequest(
                command_id=command_id or str(uuid4()),
                action=action,
                payload=payload or {},
                deadline_ms=int(until * 1000),
                **more,
            )
        except ValidationError as error:
            raise BodyError(problems_of(error)) from None

    async def _ask(
        self,
        exchange: str,
        key: str,
        request: Body,
        *,
        message_id: str = "",
        expiration_ms: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Delivery | Lost:
        return await self._asker.ask(
            exchange,
            key,
            request.encode(self._content_type),
            kind=request.KIND,
            content_type=self._content_type,
            message_id=message_id,
            expiration_ms=expiration_ms,
            headers=headers,
        )

    async def _insist(
        self,
        exchange: str,
        key: str,
        request: Body,
        *,
        timeout_s: float,
        message_id: str = "",
        expires: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Delivery | Lost:
        """Ask what may be asked twice, again after each broken connection, until it is answered.

        One that `expires` is not taken up by a service that comes back when nobody waits for the answer any more.
        """
        until = time.monotonic() + timeout_s
        try:
            async with asyncio.timeout(timeout_s), self._turns:
                while True:
                    await self._asker.wait_up(None)
                    left_ms = max(1, int((until - time.monotonic()) * 1000)) if expires else None
                    answer = await self._ask(
                        exchange, key, request, message_id=message_id, expiration_ms=left_ms, headers=headers
                    )
                    if answer is not Lost.CONNECTION:
                        return answer
        except TimeoutError:
            if not self._asker.link.up:
                raise LinkDownError(f"no connection to the broker: {self._asker.why_down}") from None
            what = f"command {message_id}" if message_id else "the request"
            raise NoAnswerError(f"the commands service did not answer {what} within {timeout_s:g} s") from None


_WHY = {
    Lost.CONNECTION: (
        OutcomeKind.UNKNOWN, Reason.CONNECTION_LOST, "the connection to the broker broke before the outcome came",
    ),
    Lost.UNROUTABLE: (OutcomeKind.REJECTED, Reason.UNROUTABLE, "no commands service is set up on this broker"),
    Lost.REFUSED: (OutcomeKind.REJECTED, Reason.QUEUE_FULL, "the broker refused it: the queue of commands is full"),
}  # fmt: skip


def _lost(request: CommandRequest, identity: str, lost: Lost) -> CommandOutcome:
    return _made_here(request, identity, *_WHY[lost])


def _made_here(
    request: CommandRequest, identity: str, kind: OutcomeKind, reason: Reason, description: str
) -> CommandOutcome:
    return CommandOutcome(
        command_id=request.command_id,
        identity=identity,
        action=request.action,
        outcome=kind,
        reason=reason,
        description=description,
        tracked=request.tracked,
    )


def _trace(traceparent: str | None) -> dict[str, str]:
    if traceparent is None:
        return backend_headers()
    context = read(traceparent)  # whatever else somebody hands on would be in the way of a connection's other frames
    return {} if context is None else context.headers


def _key(identity: str) -> str:
    if not identity or len(identity.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise BodyError(f"an identity has 1 to {MAX_BYTES} bytes")
    return topology.command_key(identity)


def _read(kind: type[_Answer], answer: Delivery) -> _Answer:
    return kind.decode(answer.body, ContentType.of(answer.content_type))
