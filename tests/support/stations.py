"""Charge points made of the `ocpp` package's own client, on a running system's real sockets."""

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from ocpp import v16, v21, v201
from ocpp.charge_point import ChargePoint, camel_to_snake_case
from ocpp.messages import unpack
from ocpp.routing import on
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from contracts.versions import Version

ANSWER_WITHIN_S = 15
_PACKAGES = {Version.V16: v16, Version.V201: v201, Version.V21: v21}


class _Remembering:
    """Remembers what it was asked, and answers as `answers` says."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, dict[str, Any]] = {}

    def _answer(self, action: str, request: dict[str, Any], **default: Any) -> Any:
        self.asked.append((action, request))
        return getattr(self._call_result, action)(**self.answers.get(action, default))  # type: ignore[attr-defined]

    def requests(self, action: str) -> list[dict[str, Any]]:
        return [request for name, request in self.asked if name == action]


class Station16(_Remembering, v16.ChargePoint):  # type: ignore[misc]  # the package is untyped
    @on("GetConfiguration")  # type: ignore[untyped-decorator]
    def on_get_configuration(self, **request: Any) -> Any:
        return self._answer("GetConfiguration", request, configuration_key=[], unknown_key=request.get("key", []))

    @on("ChangeConfiguration")  # type: ignore[untyped-decorator]
    def on_change_configuration(self, **request: Any) -> Any:
        return self._answer("ChangeConfiguration", request, status="Accepted")

    @on("UpdateFirmware")  # type: ignore[untyped-decorator]
    def on_update_firmware(self, **request: Any) -> Any:
        return self._answer("UpdateFirmware", request)

    @on("SignedUpdateFirmware")  # type: ignore[untyped-decorator]
    def on_signed_update_firmware(self, **request: Any) -> Any:
        return self._answer("SignedUpdateFirmware", request, status="Accepted")

    @on("GetDiagnostics")  # type: ignore[untyped-decorator]
    def on_get_diagnostics(self, **request: Any) -> Any:
        return self._answer("GetDiagnostics", request, file_name="logs.zip")

    @on("GetLog")  # type: ignore[untyped-decorator]
    def on_get_log(self, **request: Any) -> Any:
        return self._answer("GetLog", request, status="Accepted", filename="security.log")


class _Handlers2x(_Remembering):
    @on("SetVariables")  # type: ignore[untyped-decorator]
    def on_set_variables(self, **request: Any) -> Any:
        results = [
            {"attribute_status": "Accepted", "component": entry["component"], "variable": entry["variable"]}
            for entry in request["set_variable_data"]
        ]
        return self._answer("SetVariables", request, set_variable_result=results)

    @on("UpdateFirmware")  # type: ignore[untyped-decorator]
    def on_update_firmware(self, **request: Any) -> Any:
        return self._answer("UpdateFirmware", request, status="Accepted")

    @on("GetLog")  # type: ignore[untyped-decorator]
    def on_get_log(self, **request: Any) -> Any:
        return self._answer("GetLog", request, status="Accepted", filename="security.log")


class Station201(_Handlers2x, v201.ChargePoint):  # type: ignore[misc]  # the package is untyped
    pass


class Station21(_Handlers2x, v21.ChargePoint):  # type: ignore[misc]  # the package is untyped
    pass


_STATIONS: dict[Version, type[Any]] = {Version.V16: Station16, Version.V201: Station201, Version.V21: Station21}


def request_of(version: Version, action: str, payload: dict[str, Any]) -> Any:
    """The package's own request object with this payload, which is in OCPP's spelling."""
    return getattr(_PACKAGES[version].call, action)(**camel_to_snake_case(payload))


async def ask(station: ChargePoint, version: Version, action: str, payload: dict[str, Any]) -> Any:
    """Have the package send a valid Call; its reply, which the package has checked against the schema."""
    return await station.call(request_of(version, action, payload), suppress=False)


def subprotocols(*versions: Version | str) -> list[Subprotocol]:
    return [Subprotocol(name.subprotocol if isinstance(name, Version) else name) for name in versions]


@asynccontextmanager
async def socket_to(
    url: str, identity: str, *offered: Version | str, path: str | None = None, password: bytes | None = None
) -> AsyncIterator[ClientConnection]:
    """A bare WebSocket of a charge point; `path` replaces the identity in the URL, as it is."""
    shown = None if password is None else base64.b64encode(identity.encode() + b":" + password).decode()
    async with connect(
        f"{url}/{identity if path is None else path}",
        subprotocols=subprotocols(*offered) or None,
        compression=None,
        proxy=None,
        open_timeout=ANSWER_WITHIN_S,
        additional_headers={} if shown is None else {"Authorization": f"Basic {shown}"},
    ) as socket:
        yield socket


@asynccontextmanager
async def station_at(url: str, identity: str, version: Version) -> AsyncIterator[Any]:
    """A connected charge point of the package; what it is asked is in `asked`."""
    async with socket_to(url, identity, version) as socket:
        station = _STATIONS[version](identity, socket)
        listening = asyncio.create_task(station.start())
        try:
            yield station
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def heard(socket: ClientConnection) -> list[Any]:
    """The next frame, which the package must be able to read when it is an answer."""
    async with asyncio.timeout(ANSWER_WITHIN_S):
        text = await socket.recv()
    frame: list[Any] = orjson.loads(text)
    if frame[0] in {3, 4}:
        unpack(text)
    if frame[0] == 4:
        assert len(frame) == 5
        assert isinstance(frame[4], dict)
        assert len(frame[3]) <= 255
    return frame


_numbers = itertools.count(1)


async def exchange(socket: ClientConnection, action: str, payload: Any, unique_id: str | None = None) -> list[Any]:
    """Send a Call as it is, valid or not; the next frame, which must answer it."""
    unique_id = unique_id or f"x{next(_numbers)}"
    await socket.send(orjson.dumps([2, unique_id, action, payload]).decode())
    frame = await heard(socket)
    assert frame[1] == unique_id
    return frame


async def send_frames(socket: ClientConnection, frames: Sequence[Any]) -> None:
    """Send frames without waiting for anything; text goes as it is."""
    for frame in frames:
        await socket.send(frame if isinstance(frame, str) else orjson.dumps(frame).decode())
