"""Who may come in: handshakes, registration, initial configuration; OCTT 001, 088, B_01, B_02, B_30 and B_58."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from ocpp.exceptions import SecurityError
from websockets.exceptions import InvalidStatus

from contracts.versions import Version
from tests.support import calls_2x, calls_16
from tests.support.calling import until
from tests.support.live import LiveSystem, Records
from tests.support.stations import ANSWER_WITHIN_S, ask, exchange, socket_to, subprotocols
from tools.stack import Stack
from workers.store import tables as t

VERSIONS = pytest.mark.parametrize("version", list(Version))
STATUS_16 = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
STATUS_2X = {"timestamp": "2026-05-01T12:00:00Z", "connectorStatus": "Available", "evseId": 1, "connectorId": 1}


def boot_of(version: Version, vendor: str = "Example") -> dict[str, Any]:
    if version is Version.V16:
        return {"chargePointVendor": vendor, "chargePointModel": "Pole"}
    return {"reason": "PowerUp", "chargingStation": {"vendorName": vendor, "model": "Pole"}}


async def refusal(url: str, *offered: Version | str, path: str) -> int:
    """The HTTP status that refuses this handshake."""
    with pytest.raises(InvalidStatus) as refused:
        async with socket_to(url, "", *offered, path=path):
            pass
    return int(refused.value.response.status_code)


# handshakes


@pytest.mark.parametrize("offered", [("ocpp0.1",), ("ocpp1.5", "soap")], ids=["unknown", "two unknown"])
async def test_without_a_common_subprotocol_the_upgrade_is_refused(
    live: LiveSystem, identity: str, offered: tuple[str, ...]
):
    assert await refusal(live.url, *offered, path=identity) == 400


async def test_without_any_subprotocol_it_is_16_and_none_is_echoed(live: LiveSystem, identity: str):
    async with socket_to(live.url, identity) as socket:
        assert socket.subprotocol is None
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "info": None}
        assert (await exchange(socket, "StatusNotification", status))[0] == 3, "a tolerated deviation is served"


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (("ocpp0.1", "ocpp2.0.1"), "ocpp2.0.1"),
        (("ocpp2.1", "ocpp2.0.1", "ocpp1.6"), "ocpp2.1"),
        (("ocpp1.6", "ocpp2.1"), "ocpp1.6"),
    ],
)
async def test_the_clients_first_known_subprotocol_is_taken(
    live: LiveSystem, identity: str, offered: tuple[str, ...], chosen: str
):
    async with socket_to(live.url, identity, *offered) as socket:
        assert socket.subprotocol == subprotocols(chosen)[0]
        assert (await exchange(socket, "Heartbeat", {}))[0] == 3


async def test_the_version_belongs_to_the_connection(live: LiveSystem, records: Records, identity: str):
    for version in (Version.V16, Version.V201, Version.V21, Version.V16):
        async with live.station(identity, version) as station:
            assert (await ask(station, version, "BootNotification", boot_of(version))).status == "Accepted"
        assert (await records.one(t.charge_points))["ocpp_version"] == version.value


@pytest.mark.parametrize(
    ("path", "identity_of"),
    [("RDAM%20{0}", "RDAM {0}"), ("A%2541{0}", "A%41{0}"), ("Z%C3%BCrich%2F{0}", "Zürich/{0}"), ("a.*{0}", "a.*{0}")],
)
async def test_an_identity_is_percent_decoded_exactly_once(
    live: LiveSystem, identity: str, path: str, identity_of: str
):
    name = identity_of.format(identity)
    async with (
        socket_to(live.url, "", Version.V16, path=path.format(identity)) as socket,
        live.records(name) as records,
    ):
        assert (await exchange(socket, "BootNotification", boot_of(Version.V16)))[2]["status"] == "Accepted"
        assert (await records.one(t.charge_points))["vendor"] == "Example"


@pytest.mark.parametrize(
    ("version", "path"),
    [(Version.V16, ""), (Version.V16, "%ZZ"), (Version.V16, "%FF"), (Version.V201, "x" * 49), (Version.V21, "a%3Ab")],
)
async def test_what_is_no_identity_is_refused(live: LiveSystem, version: Version, path: str):
    assert await refusal(live.url, version, path=path) == 400


# registration


@VERSIONS
async def test_a_boot_is_accepted_and_the_charge_point_is_on_record(
    live: LiveSystem, records: Records, identity: str, version: Version
):
    """OCTT 001 and B_01; a second boot is as good as the first."""
    async with live.station(identity, version) as station:
        for _ in range(2):
            answer = await ask(station, version, "BootNotification", boot_of(version))
            assert (answer.status, answer.interval) == ("Accepted", 300)
    row = await records.one(t.charge_points)
    assert (row["registration"], row["vendor"], row["model"]) == ("accepted", "Example", "Pole")


@VERSIONS
@pytest.mark.parametrize("verdict", ["Pending", "Rejected"])
async def test_until_it_is_accepted_a_charge_point_gets_security_errors(
    live: LiveSystem, records: Records, identity: str, version: Version, verdict: str
):
    """OCTT B_02 and B_30; 1.6 errata 3.10."""
    status = STATUS_16 if version is Version.V16 else STATUS_2X
    others = [("StatusNotification", status), ("Heartbeat", {})]
    async with live.station(identity, version) as station:
        answer = await ask(station, version, "BootNotification", boot_of(version, f"{verdict} Inc"))
        assert (answer.status, answer.interval) == (verdict, 60)
        for action, payload in others:
            with pytest.raises(SecurityError):
                await ask(station, version, action, payload)
        assert await records.of(t.connector_states) == []
        assert (await records.one(t.charge_points))["registration"] == verdict.lower()
        accepted = await ask(station, version, "BootNotification", boot_of(version))
        assert (accepted.status, accepted.interval) == ("Accepted", 300)
        for action, payload in others:
            await ask(station, version, action, payload)
        await ask(station, version, "BootNotification", boot_of(version, f"{verdict} Inc"))
        for action, payload in others:  # though every service has just heard it as an accepted one
            with pytest.raises(SecurityError):
                await ask(station, version, action, payload)
    assert (await records.one(t.connector_states))["status"] == "Available"


@VERSIONS
async def test_billing_data_is_stored_whatever_the_registration(
    live: LiveSystem, records: Records, identity: str, version: Version
):
    """Losing it would cost more than letting it in; everything else waits for acceptance."""
    action = "StartTransaction" if version is Version.V16 else "TransactionEvent"
    async with live.station(identity, version) as station:
        await ask(station, version, "BootNotification", boot_of(version, "Pending Inc"))
        await ask(station, version, action, (calls_16 if version is Version.V16 else calls_2x).VALID[action])
    assert (await records.one(t.transactions))["state"] == "active"


async def test_acceptance_outlives_the_connection(live: LiveSystem, records: Records, identity: str):
    async with live.station(identity, Version.V16) as station:
        await ask(station, Version.V16, "BootNotification", boot_of(Version.V16, "Pending Inc"))
    async with live.station(identity, Version.V16) as station:
        with pytest.raises(SecurityError):
            await ask(station, Version.V16, "Heartbeat", {})
        await ask(station, Version.V16, "BootNotification", boot_of(Version.V16))
    async with live.station(identity, Version.V16) as station:
        await ask(station, Version.V16, "StatusNotification", STATUS_16)
    assert (await records.one(t.connector_states))["status"] == "Available"


async def pushed(records: Records) -> dict[str, Any]:
    """The charge point's only configuration push, once it has ended."""
    async with asyncio.timeout(ANSWER_WITHIN_S):
        while True:
            row = await records.one(t.configuration_pushes)
            # a first try may come before the session is announced: it is made again
            if row["finished_at"] is not None and row["next_attempt_at"] is None:
                return row


@pytest.mark.parametrize("status", ["Accepted", "RebootRequired", "Rejected", "NotSupported"])
async def test_initial_configuration_is_pushed_after_acceptance_and_its_fate_recorded(
    live: LiveSystem, records: Records, identity: str, status: str
):
    """OCTT 021 and 040; what was accepted is not asked again at the next boot."""
    boot = boot_of(Version.V16, "Configured Inc")
    async with live.station(identity, Version.V16) as station:
        station.answers["ChangeConfiguration"] = {"status": status}
        await ask(station, Version.V16, "BootNotification", boot)
        row = await pushed(records)
        assert station.requests("ChangeConfiguration") == [{"key": "MaxChargingPower", "value": "11000"}]
        assert (row["key"], row["value"], row["status"]) == ("MaxChargingPower", "11000", status)
        await ask(station, Version.V16, "BootNotification", boot)
        if status in {"Accepted", "RebootRequired"}:
            await ask(station, Version.V16, "Heartbeat", {})
            assert len(station.asked) == 1
        else:
            await until(lambda: len(station.asked) == 2)
            await pushed(records)


@pytest.mark.parametrize("version", [Version.V201, Version.V21])
async def test_initial_configuration_is_set_as_a_variable_in_2x(
    live: LiveSystem, records: Records, identity: str, version: Version
):
    async with live.station(identity, version) as station:
        await ask(station, version, "BootNotification", boot_of(version, "Configured Inc"))
        row = await pushed(records)
        (request,) = station.requests("SetVariables")
    (entry,) = request["set_variable_data"]
    assert (entry["component"]["name"], entry["variable"]["name"]) == ("SmartChargingCtrlr", "LimitChangeSignificance")
    assert (row["value"], row["status"]) == ("5", "Accepted")


async def test_nothing_is_pushed_while_pending(live: LiveSystem, records: Records, identity: str):
    async with live.station(identity, Version.V16) as station:
        await ask(station, Version.V16, "BootNotification", boot_of(Version.V16, "Pending Configured"))
        await ask(station, Version.V16, "BootNotification", boot_of(Version.V16, "Rejected Configured"))
        assert station.asked == []
    assert await records.of(t.configuration_pushes) == []


# registration policy closed


@pytest.fixture(scope="module")
def closed_url(live: LiveSystem) -> Iterator[str]:
    """A second gateway of the same system, with the policy `closed`."""
    settings = {"OCPP_REGISTRATION": "closed"}
    stack = Stack(
        amqp_url=live.amqp_url, database_url=live.database_url, logs=live.folder / "closed", settings=settings
    )
    (gateway,) = stack.gateways
    try:
        gateway.start()
        gateway.await_ready()
        yield stack.urls[0]
    finally:
        stack.stop(timeout_s=10)


@pytest.fixture
async def strangers(live: LiveSystem, identity: str) -> AsyncIterator[Records]:
    async with live.records(identity) as records:
        yield records
        assert await records.of(t.charge_points) == []


@VERSIONS
async def test_a_stranger_is_not_found_when_registration_is_closed(
    closed_url: str, strangers: Records, identity: str, version: Version
):
    assert await refusal(closed_url, version, path=identity) == 404


async def test_a_charge_point_on_record_comes_in_when_registration_is_closed(closed_url: str):
    async with socket_to(closed_url, "CP-ON-RECORD", Version.V16) as socket:
        assert (await exchange(socket, "BootNotification", boot_of(Version.V16)))[2]["status"] == "Accepted"
