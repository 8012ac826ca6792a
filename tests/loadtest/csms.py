"""A small scripted server made of the `ocpp` package's own classes, on real sockets."""

import asyncio
import itertools
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast
from urllib.parse import unquote

import ocpp.v16
import ocpp.v16.call_result as result16
import ocpp.v201
import ocpp.v201.call_result as result201
from ocpp.exceptions import InternalError
from ocpp.routing import on as ocpp_on
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

Handler = TypeVar("Handler", bound=Callable[..., Any])
NOW = "2024-05-01T12:00:00.000Z"
PATIENCE_S = 20.0


def on(action: str) -> Callable[[Handler], Handler]:
    return cast("Callable[[Handler], Handler]", ocpp_on(action))


@dataclass
class Received:
    identity: str
    connection: int
    unique_id: str
    action: str
    payload: dict[str, Any]


@dataclass
class Csms:
    """Answers by itself; `fates[action]` scripts the next answers: answer, refuse, silence, cut or raw:<frame>."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    fates: dict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))
    boots: deque[tuple[str, int]] = field(default_factory=deque)
    blocked: set[str] = field(default_factory=set)
    blocked_at_start: set[str] = field(default_factory=set)
    current_time: str = NOW
    peers: dict[str, Any] = field(default_factory=dict)
    headers: list[Any] = field(default_factory=list)
    connections: int = 0
    transaction_ids: Any = field(default_factory=lambda: itertools.count(1))
    accept: bool = True
    turned_away: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def actions(self, *, without: tuple[str, ...] = ("Heartbeat",)) -> list[str]:
        return [message.action for message in self.received if message.action not in without]

    def of(self, action: str) -> list[dict[str, Any]]:
        return [message.payload for message in self.received if message.action == action]

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(condition)

    async def note(self, message: Received | None = None) -> None:
        async with self._changed:
            if message is not None:
                self.received.append(message)
            self._changed.notify_all()

    def boot_answer(self) -> tuple[str, int]:
        return self.boots.popleft() if self.boots else ("Accepted", 3600)

    def tag_status(self, tag: str) -> str:
        return "Blocked" if tag in self.blocked else "Accepted"

    def start_status(self, tag: str) -> str:
        return "Blocked" if tag in self.blocked | self.blocked_at_start else "Accepted"

    async def turn_away(self, connection: ServerConnection, _: Request) -> Response | None:
        if self.accept:
            return None
        self.turned_away += 1
        await self.note()
        return connection.respond(503, "not now\n")

    async def handler(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.connections += 1
        self.headers.append(connection.request.headers)
        identity = unquote(connection.request.path.removeprefix("/ocpp/"))
        kind = Peer16 if connection.subprotocol == "ocpp1.6" else Peer201
        peer = kind(identity, connection, self, self.connections)
        self.peers[identity] = peer
        await self.note()
        with suppress(ConnectionClosed):
            await peer.start()
        await self.note()


class Scripted:
    csms: Csms
    number: int
    _connection: ServerConnection

    async def _handle_call(self, msg: Any) -> Any:
        fates = self.csms.fates[msg.action]
        fate = fates.popleft() if fates else "answer"
        await self.csms.note(Received(self.id, self.number, msg.unique_id, msg.action, msg.payload))  # type: ignore[attr-defined]
        if fate == "silence":
            return None
        if fate == "refuse":
            await self._connection.send(msg.create_call_error(InternalError()).to_json())
            return None
        if fate == "cut":
            self._connection.transport.abort()
            return None
        if fate.startswith("raw:"):
            await self._connection.send(fate[4:].replace("$ID", msg.unique_id))
            return None
        return await super()._handle_call(msg)  # type: ignore[misc]


class Peer16(Scripted, ocpp.v16.ChargePoint):  # type: ignore[misc]
    def __init__(self, identity: str, connection: ServerConnection, csms: Csms, number: int) -> None:
        super().__init__(identity, connection, response_timeout=PATIENCE_S)
        self.csms, self.number = csms, number

    @on("BootNotification")
    def boot(self, **_: Any) -> Any:
        status, interval = self.csms.boot_answer()
        return result16.BootNotification(current_time=self.csms.current_time, interval=interval, status=status)

    @on("Heartbeat")
    def heartbeat(self) -> Any:
        return result16.Heartbeat(current_time=self.csms.current_time)

    @on("Authorize")
    def authorize(self, id_tag: str) -> Any:
        return result16.Authorize(id_tag_info={"status": self.csms.tag_status(id_tag)})

    @on("StartTransaction")
    def start_transaction(self, id_tag: str, **_: Any) -> Any:
        status = {"status": self.csms.start_status(id_tag)}
        return result16.StartTransaction(transaction_id=next(self.csms.transaction_ids), id_tag_info=status)

    @on("StopTransaction")
    def stop_transaction(self, **_: Any) -> Any:
        return result16.StopTransaction()

    @on("MeterValues")
    def meter_values(self, **_: Any) -> Any:
        return result16.MeterValues()

    @on("StatusNotification")
    def status(self, **_: Any) -> Any:
        return result16.StatusNotification()

    @on("FirmwareStatusNotification")
    def firmware(self, **_: Any) -> Any:
        return result16.FirmwareStatusNotification()

    @on("SignedFirmwareStatusNotification")
    def signed_firmware(self, **_: Any) -> Any:
        return result16.SignedFirmwareStatusNotification()

    @on("DiagnosticsStatusNotification")
    def diagnostics(self, **_: Any) -> Any:
        return result16.DiagnosticsStatusNotification()

    @on("LogStatusNotification")
    def log(self, **_: Any) -> Any:
        return result16.LogStatusNotification()


class Peer201(Scripted, ocpp.v201.ChargePoint):  # type: ignore[misc]
    def __init__(self, identity: str, connection: ServerConnection, csms: Csms, number: int) -> None:
        super().__init__(identity, connection, response_timeout=PATIENCE_S)
        self.csms, self.number = csms, number

    @on("BootNotification")
    def boot(self, **_: Any) -> Any:
        status, interval = self.csms.boot_answer()
        return result201.BootNotification(current_time=self.csms.current_time, interval=interval, status=status)

    @on("Heartbeat")
    def heartbeat(self, **_: Any) -> Any:
        return result201.Heartbeat(current_time=self.csms.current_time)

    @on("Authorize")
    def authorize(self, id_token: dict[str, Any], **_: Any) -> Any:
        return result201.Authorize(id_token_info={"status": self.csms.tag_status(id_token["id_token"])})

    @on("TransactionEvent")
    def transaction_event(self, id_token: dict[str, Any] | None = None, **_: Any) -> Any:
        if id_token is None:
            return result201.TransactionEvent()
        return result201.TransactionEvent(id_token_info={"status": self.csms.start_status(id_token["id_token"])})

    @on("StatusNotification")
    def status(self, **_: Any) -> Any:
        return result201.StatusNotification()

    @on("MeterValues")
    def meter_values(self, **_: Any) -> Any:
        return result201.MeterValues()

    @on("NotifyReport")
    def report(self, **_: Any) -> Any:
        return result201.NotifyReport()

    @on("NotifyEvent")
    def event(self, **_: Any) -> Any:
        return result201.NotifyEvent()

    @on("FirmwareStatusNotification")
    def firmware(self, **_: Any) -> Any:
        return result201.FirmwareStatusNotification()

    @on("LogStatusNotification")
    def log(self, **_: Any) -> Any:
        return result201.LogStatusNotification()


@asynccontextmanager
async def running_csms(tls: ssl.SSLContext | None = None) -> AsyncIterator[Csms]:
    csms = Csms()
    protocols = [Subprotocol("ocpp1.6"), Subprotocol("ocpp2.0.1")]
    async with serve(
        csms.handler,
        "127.0.0.1",
        0,
        subprotocols=protocols,
        process_request=csms.turn_away,
        close_timeout=1,
        ssl=tls,
    ) as server:
        scheme = "ws" if tls is None else "wss"
        csms.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocpp"
        yield csms
