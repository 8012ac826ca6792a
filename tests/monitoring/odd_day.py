"""A short day of a charge point that does a bit of everything, and some of it wrong, so that all is counted."""

import asyncio
import contextlib
import itertools
import uuid
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from contracts.client import CommandClient
from contracts.commands import CommandReceipt
from tests.support.calls_16 import AT, VALID

WITHIN_S = 20
_V16 = Subprotocol("ocpp1.6")
_NO_PROXY_OF_OURS = {"X-Forwarded-For": "192.0.2.1"}
_SIGNED = {"format": "SignedData", "value": "OCMF|{}|{}", "context": "Transaction.End"}
"""By nobody: it is kept, and said to be worth nothing."""


async def odd_day(url: str, secure_url: str, amqp_url: str) -> None:
    """Live through it; each Call has its answer when this returns, and each command its."""
    identity = f"ODD-{uuid.uuid4().hex[:8]}"
    async with asyncio.timeout(WITHIN_S):
        await _speak_no_ocpp(url, identity)
        await _speak_no_tls(secure_url)
        # without a subprotocol it is taken for 1.6, which is counted as a deviation that is borne
        async with connect(f"{url}/{identity}", additional_headers=_NO_PROXY_OF_OURS, proxy=None) as socket:
            await _Caller(socket).call("Heartbeat", {})
        async with connect(f"{url}/{identity}", subprotocols=[_V16], proxy=None) as socket:
            station = _Caller(socket)
            await station.call("BootNotification", VALID["BootNotification"])
            for action, payload in VALID.items():  # its StopTransaction is of a transaction that never was
                await station.call(action, payload)
            await station.call("StatusNotification", {"connectorId": "first"})
            await station.call("StartTransaction", {**VALID["StartTransaction"], "meterStart": "much"})
            samples = [{"timestamp": AT, "sampledValue": [_SIGNED]}]
            await station.call("MeterValues", {"connectorId": 1, "meterValue": samples})
            await _be_commanded(station, identity, amqp_url)


async def _speak_no_ocpp(url: str, identity: str) -> None:
    with contextlib.suppress(InvalidStatus):
        async with connect(f"{url}/{identity}", subprotocols=[Subprotocol("mqtt")], proxy=None):
            raise AssertionError("the gateway speaks MQTT")


async def _speak_no_tls(secure_url: str) -> None:
    address = urlsplit(secure_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await reader.read()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _be_commanded(station: "_Caller", identity: str, amqp_url: str) -> None:
    async with CommandClient(amqp_url) as backend:
        await asyncio.gather(_command(backend, identity), station.obey(2))


async def _command(backend: CommandClient, identity: str) -> None:
    outcome = await backend.call(identity, "ClearCache", {}, timeout_s=WITHIN_S)
    assert outcome.outcome == "result", outcome
    stored = await backend.track(identity, "ClearCache", {}, deadline=timedelta(seconds=WITHIN_S))
    assert isinstance(stored, CommandReceipt), stored


class _Caller:
    """OCPP-J on a socket, a Call at a time."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def call(self, action: str, payload: dict[str, Any]) -> None:
        """Send a Call and wait for its answer, whatever it is."""
        unique_id = str(next(self._numbers))
        await self._socket.send(orjson.dumps([2, unique_id, action, payload]).decode())
        while (answer := orjson.loads(await self._socket.recv()))[1] != unique_id:
            await self._accept(answer)

    async def obey(self, commands: int) -> None:
        """Accept the next so many commands."""
        for _ in range(commands):
            await self._accept(orjson.loads(await self._socket.recv()))

    async def _accept(self, frame: list[Any]) -> None:
        if frame[0] == 2:
            await self._socket.send(orjson.dumps([3, frame[1], {"status": "Accepted"}]).decode())
