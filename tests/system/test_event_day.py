"""A backend that was down for part of a day has all the day's events in the end, whatever was killed meanwhile."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.actions import Service
from contracts.client import CommandClient
from contracts.events import Event, TransactionEnded
from contracts.versions import Version
from tests.support.backend import backend_on
from tests.support.calls_16 import AT, VALID
from tests.support.figures import note
from tests.support.stations import ask, request_of, station_at
from tests.support.systems import running_stack
from tools.stack import Stack

pytestmark = pytest.mark.system

QUEUE = "billing"
IDENTITY = "CP-DAY"
V16, V201 = Version.V16, Version.V201
LATER = "2026-05-01T13:00:00Z"
BUSY = 150
"""Status changes while the process that relays events is killed again and again."""


class Subscriber:
    """A backend with a durable queue: everything that it has ever been given, across its own restarts."""

    def __init__(self, amqp_url: str) -> None:
        self._amqp_url = amqp_url
        self.events: dict[str, Event] = {}
        self.deliveries = 0
        self.up = asyncio.Event()

    def of(self, event_type: str) -> list[Event]:
        return [event for event in self.events.values() if event.type == event_type]

    async def listen(self, enough: Callable[[], bool]) -> None:
        """Be up until it has what it waits for."""
        async with CommandClient(self._amqp_url) as client, asyncio.timeout(90):
            stream = client.events(QUEUE, identities=[IDENTITY])
            await stream.start()
            self.up.set()
            async for event in stream:
                self.deliveries += 1
                self.events[event.event_id] = event
                if enough():
                    return


async def morning(stack: Stack, client: CommandClient) -> None:
    """Boot, a transaction with its samples, a security event; a command that waits for the return."""
    async with station_at(stack.urls[0], IDENTITY, V16) as station:
        await ask(station, V16, "BootNotification", VALID["BootNotification"])
        await status(station, "Available")
        await status(station, "Preparing")
        start = {"connectorId": 1, "idTag": "DEMO-1", "meterStart": 100, "timestamp": AT}
        number = (await ask(station, V16, "StartTransaction", start)).transaction_id
        await status(station, "Charging")
        sample = {"timestamp": AT, "sampledValue": [{"value": "150"}, {"value": "7", "measurand": "Voltage"}]}
        meter = {"connectorId": 1, "transactionId": number, "meterValue": [sample]}
        await ask(station, V16, "MeterValues", meter)
        await station.call(request_of(V16, "MeterValues", meter))  # a retry: the samples are known
        stop = {"transactionId": number, "meterStop": 5100, "timestamp": LATER, "reason": "Local"}
        await ask(station, V16, "StopTransaction", stop)
        await ask(station, V16, "StopTransaction", stop)  # a retry: it has ended already
        await ask(station, V16, "SecurityEventNotification", VALID["SecurityEventNotification"])
    receipt = await client.track(
        IDENTITY, "ChangeConfiguration", {"key": "K", "value": "1"}, deadline=timedelta(hours=1)
    )
    assert receipt.outcome is None


async def evening(stack: Stack, amqp_url: str) -> None:
    """On the other gateway: the held command, a firmware update, a log upload, and many changes of state."""
    async with station_at(stack.urls[1], IDENTITY, V16) as station:
        async with backend_on(amqp_url) as backend:
            firmware = {"location": "https://example.com/fw.bin", "retrieveDate": AT}
            await backend.request_job(Service.FIRMWARE, IDENTITY, "UpdateFirmware", firmware)
            logs = {"location": "https://example.com/logs"}
            await backend.request_job(Service.DIAGNOSTICS, IDENTITY, "GetDiagnostics", logs)
        await told(station, "UpdateFirmware")
        await told(station, "GetDiagnostics")
        await told(station, "ChangeConfiguration")
        for word in ("Downloading", "Downloaded", "Installing", "Installed"):
            await ask(station, V16, "FirmwareStatusNotification", {"status": word})
        for word in ("Uploading", "Uploaded"):
            await ask(station, V16, "DiagnosticsStatusNotification", {"status": word})
        for number in range(BUSY):
            await status(station, "Faulted" if number % 2 == 0 else "Available")


async def told(station: Any, action: str) -> None:
    async with asyncio.timeout(60):
        while not station.requests(action):  # noqa: ASYNC110 - the package's client has no event for it
            await asyncio.sleep(0.05)


async def status(station: Any, word: str) -> None:
    code = "OtherError" if word == "Faulted" else "NoError"
    await ask(station, V16, "StatusNotification", {"connectorId": 1, "errorCode": code, "status": word})


async def kill_relay(stack: Stack, times: int) -> None:
    relay = stack.workers["commands"]
    for _ in range(times):
        await asyncio.to_thread(relay.kill)
        await asyncio.to_thread(relay.start)
        await asyncio.to_thread(relay.await_ready)


async def test_a_subscriber_that_was_down_misses_nothing_of_the_day(
    amqp_url: str, postgres_url: str, tmp_path: Path
) -> None:
    with running_stack(amqp_url, postgres_url, tmp_path, gateways=2) as stack:
        subscriber = Subscriber(amqp_url)
        async with CommandClient(amqp_url) as client:
            up = asyncio.create_task(subscriber.listen(lambda: bool(subscriber.of("transaction.started"))))
            await asyncio.wait_for(subscriber.up.wait(), 30)
            await morning(stack, client)
            await up  # and down it goes: the rest of the morning and the evening wait in its queue
            await asyncio.gather(evening(stack, amqp_url), kill_relay(stack, 3))
        await subscriber.listen(lambda: len(subscriber.of("session.closed")) == 2)
        await subscriber.listen(lambda: complete(subscriber))
    note(f"a day of events: {len(subscriber.events)} events in {subscriber.deliveries} deliveries")
    counted = Counter(event.type for event in subscriber.events.values())
    assert counted == {
        "session.opened": 2,
        "session.closed": 2,
        "charge_point.booted": 1,
        "connector.status_changed": 3 + BUSY,
        "transaction.started": 1,
        "meter.sampled": 1,
        "transaction.ended": 1,
        "security.event": 1,
        "command.completed": 1,
        "firmware.status_changed": 4,
        "diagnostics.status_changed": 2,
    }
    assert sorted(event.seq for event in subscriber.events.values()) == list(range(1, len(subscriber.events) + 1))
    (ended,) = subscriber.of("transaction.ended")
    data = ended.typed()
    assert isinstance(data, TransactionEnded)
    assert data.energy_wh == 5000


def complete(subscriber: Subscriber) -> bool:
    """Whether no number is missing, and the last one has been seen: the second goodbye comes after everything else."""
    numbers = {event.seq for event in subscriber.events.values()}
    return len(numbers) == max(numbers, default=0) and len(subscriber.of("session.closed")) == 2
