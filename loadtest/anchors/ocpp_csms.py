"""A CSMS in one process as a Python team would write it today: the `ocpp` package on `websockets`, no broker, no store.

Set up in its favour: uvloop, no compression, log level WARNING, and schema checks in the event loop
(`ASYNC_VALIDATION` off: for a Heartbeat the hand-over to a thread costs more than the check). Requests and answers are
checked, as ours are, and the library's keepalive is left on, as every server on the Internet needs one.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypeVar, cast

import ocpp.messages
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.datatypes import IdTagInfo
from ocpp.v16.enums import Action, AuthorizationStatus, RegistrationStatus
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from loadtest.anchors.child import Serving, port_of

_BACKLOG = 4096
_HEARTBEAT_S = 300
_ACCEPTED = IdTagInfo(status=AuthorizationStatus.accepted)
_numbers = count(1)
_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def _answers(action: Action) -> Callable[[_Handler], _Handler]:
    """The library's `on`, with the type that it does not tell."""
    return cast("Callable[[_Handler], _Handler]", on(action))


class Station(ChargePoint):  # type: ignore[misc] # untyped library
    """The server's side of one charge point; every answer is the shortest one that accepts."""

    @_answers(Action.boot_notification)
    def boot(self, **_: Any) -> call_result.BootNotification:
        return call_result.BootNotification(
            current_time=_now(), interval=_HEARTBEAT_S, status=RegistrationStatus.accepted
        )

    @_answers(Action.heartbeat)
    def heartbeat(self) -> call_result.Heartbeat:
        return call_result.Heartbeat(current_time=_now())

    @_answers(Action.status_notification)
    def status(self, **_: Any) -> call_result.StatusNotification:
        return call_result.StatusNotification()

    @_answers(Action.authorize)
    def authorize(self, **_: Any) -> call_result.Authorize:
        return call_result.Authorize(id_tag_info=_ACCEPTED)

    @_answers(Action.start_transaction)
    def start_transaction(self, **_: Any) -> call_result.StartTransaction:
        return call_result.StartTransaction(transaction_id=next(_numbers), id_tag_info=_ACCEPTED)

    @_answers(Action.meter_values)
    def meter_values(self, **_: Any) -> call_result.MeterValues:
        return call_result.MeterValues()

    @_answers(Action.stop_transaction)
    def stop_transaction(self, **_: Any) -> call_result.StopTransaction:
        return call_result.StopTransaction(id_tag_info=_ACCEPTED)


@asynccontextmanager
async def serving() -> AsyncIterator[Serving]:
    """Serve on a free loopback port."""
    logging.getLogger("ocpp").setLevel(logging.WARNING)
    logging.getLogger("websockets").setLevel(logging.WARNING)
    ocpp.messages.ASYNC_VALIDATION = False
    async with serve(
        _session, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")], compression=None, backlog=_BACKLOG
    ) as server:
        yield Serving(port_of(server.sockets))


async def _session(connection: ServerConnection) -> None:
    path = "" if connection.request is None else connection.request.path
    try:
        await Station(path.rpartition("/")[2], connection).start()
    except ConnectionClosed:
        return


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
