"""A gateway that relays invalid Calls instead of refusing them: workers confirm, and keep what can be read."""

from collections.abc import Iterator
from typing import Any

import pytest

from contracts.versions import Version
from tests.support.live import LiveSystem, Records
from tests.support.stations import exchange, socket_to
from tools.stack import Stack
from workers.store import tables as t
from workers.store.faults import faults
from workers.store.job_tables import job_history

V16 = Version.V16


@pytest.fixture(scope="module")
def relaying_url(live: LiveSystem) -> Iterator[str]:
    """A second gateway of the same system, with the validation policy `relay`."""
    settings = {"OCPP_GATEWAY_VALIDATION": "relay"}
    stack = Stack(amqp_url=live.amqp_url, database_url=live.database_url, logs=live.folder / "relay", settings=settings)
    (gateway,) = stack.gateways
    try:
        gateway.start()
        gateway.await_ready()
        yield stack.urls[0]
    finally:
        stack.stop(timeout_s=10)


@pytest.mark.parametrize("action", ["FirmwareStatusNotification", "DiagnosticsStatusNotification"])
async def test_invalid_reports_are_confirmed_and_kept(relaying_url: str, records: Records, identity: str, action: str):
    async with socket_to(relaying_url, identity, V16) as socket:
        for payload in ({}, {"status": 7}, {"status": "Baking"}, {"status": "Idle", "colour": 1}):
            assert (await exchange(socket, action, payload))[2:] == [{}]
    assert sorted(row["status"] for row in await records.of(job_history)) == ["", "7", "Baking", "Idle"]


async def test_invalid_notifications_are_confirmed_and_what_can_be_read_is_registered(
    relaying_url: str, records: Records, identity: str
):
    payloads: list[dict[str, Any]] = [
        {},
        {"connectorId": 3, "status": "Faulted", "errorCode": "FluxCapacitor"},
        {"connectorId": [], "status": 1},
    ]
    async with socket_to(relaying_url, identity, V16) as socket:
        for action in ("StatusNotification", "SecurityEventNotification", "LogStatusNotification"):
            for payload in payloads:
                assert (await exchange(socket, action, payload))[2:] == [{}]
    fault = await records.one(faults)
    assert (fault["connector_id"], fault["code"], fault["kind"]) == (3, "FluxCapacitor", "unknown")


async def test_an_odd_boot_is_accepted_and_an_empty_one_refused(relaying_url: str, records: Records, identity: str):
    odd = {"chargePointModel": "Pole", "chargePointVendor": "", "unexpectedField": 1}
    async with socket_to(relaying_url, identity, V16) as socket:
        assert (await exchange(socket, "BootNotification", odd))[2]["status"] == "Accepted"
        assert (await exchange(socket, "BootNotification", {}))[2] == "OccurenceConstraintViolation"
        assert (await exchange(socket, "Authorize", {}))[2] == "OccurenceConstraintViolation"
    assert (await records.one(t.charge_points))["model"] == "Pole"
