"""What a charge point answers when the server calls, asked with the ocpp package's own call."""

import asyncio
from typing import Any

import ocpp.v16.call as call16
import ocpp.v201.call as call201
import pytest
from ocpp.exceptions import NotImplementedError as OcppNotImplementedError

HOUR = 3600.0
LONG = 100_000 * HOUR
DAY = "2030-01-01T00:00:00Z"
TAG = {"id_token": "DEMO-0001", "type": "ISO14443"}


@pytest.fixture
async def cp16(csms, plug_in):
    point = await plug_in("1.6", identity="A")
    await csms.until(lambda: point.connectors[1].reported is not None)
    return point, csms.peers["A"]


@pytest.fixture
async def cp201(csms, plug_in):
    point = await plug_in("2.0.1", identity="B")
    await csms.until(lambda: point.connectors[1].reported is not None)
    return point, csms.peers["B"]


def profile16(limit: float, purpose: str = "TxProfile") -> dict[str, Any]:
    period = {"start_period": 0, "limit": limit}
    schedule = {"charging_rate_unit": "W", "charging_schedule_period": [period]}
    return {
        "charging_profile_id": 1,
        "stack_level": 0,
        "charging_profile_purpose": purpose,
        "charging_profile_kind": "Relative",
        "charging_schedule": schedule,
    }


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (call16.ChangeConfiguration("MaxChargingPower", "7000"), "Accepted"),
        (call16.ChangeConfiguration("maxchargingpower", "much"), "Rejected"),
        (call16.ChangeConfiguration("NumberOfConnectors", "2"), "Rejected"),
        (call16.ChangeConfiguration("WebSocketPingInterval", "10"), "RebootRequired"),
        (call16.ChangeConfiguration("Colour", "red"), "NotSupported"),
        (call16.ChangeAvailability(1, "Inoperative"), "Accepted"),
        (call16.ChangeAvailability(9, "Inoperative"), "Rejected"),
        (call16.ClearCache(), "Accepted"),
        (call16.ClearChargingProfile(), "Unknown"),
        (call16.DataTransfer("Nobody"), "UnknownVendorId"),
        (call16.DataTransfer("Simulated", data="x"), "Accepted"),
        (call16.RemoteStopTransaction(99), "Rejected"),
        (call16.RemoteStartTransaction("DEMO-0001", 9), "Rejected"),
        (call16.ReserveNow(1, DAY, "DEMO-0001", 4), "Accepted"),
        (call16.CancelReservation(4), "Rejected"),
        (call16.SendLocalList(3, "Full", [{"id_tag": "A", "id_tag_info": {"status": "Accepted"}}]), "Accepted"),
        (call16.SetChargingProfile(1, profile16(5000.0)), "Rejected"),
        (call16.SetChargingProfile(0, profile16(5000.5, "TxDefaultProfile")), "Accepted"),
        (call16.UnlockConnector(1), "Unlocked"),
        (call16.UnlockConnector(5), "NotSupported"),
        (call16.TriggerMessage("Heartbeat"), "Accepted"),
        (call16.TriggerMessage("MeterValues", 9), "Rejected"),
        (call16.ExtendedTriggerMessage("SignChargePointCertificate"), "Accepted"),
    ],
)
async def test_a_16_charge_point_answers(cp16, request_, status):
    point, peer = cp16
    answer = await peer.call(request_, suppress=False)
    assert answer.status == status
    assert point.ledger.protocol_error_notes == []


async def test_an_unknown_action_is_not_implemented(csms, cp16):
    _, peer = cp16
    await peer._connection.send('[2,"x","FlyToTheMoon",{}]')
    answer = await peer._response_queue.get()
    with pytest.raises(OcppNotImplementedError):
        raise answer.to_exception()


async def test_configuration_can_be_read_back_but_for_secrets(cp16):
    _, peer = cp16
    await peer.call(call16.ChangeConfiguration("MaxChargingPower", "7000"))
    some = await peer.call(call16.GetConfiguration(["maxChargingPower", "Colour", "AuthorizationKey"]))
    assert some.configuration_key == [
        {"key": "MaxChargingPower", "readonly": False, "value": "7000"},
        {"key": "AuthorizationKey", "readonly": False},
    ]
    assert some.unknown_key == ["Colour"]
    assert len((await peer.call(call16.GetConfiguration())).configuration_key) > 20


async def test_a_remote_start_and_stop_make_a_transaction_under_the_profile(csms, cp16):
    point, peer = cp16
    start = call16.RemoteStartTransaction("DEMO-0001", 1, profile16(4000.0))
    assert (await peer.call(start)).status == "Accepted"
    await csms.until(lambda: len(csms.of("MeterValues")) > 3)
    assert (await peer.call(start)).status == "Rejected"
    power = [s for s in csms.of("MeterValues")[-1]["meterValue"][0]["sampledValue"] if s["unit"] == "W"]
    assert float(power[0]["value"]) <= 4000.0
    assert (await peer.call(call16.RemoteStopTransaction(1))).status == "Accepted"
    await csms.until(lambda: csms.of("StopTransaction"))
    await point.wait_drained()
    assert csms.of("StopTransaction")[0]["reason"] == "Remote"
    assert "Authorize" not in csms.actions()


async def test_a_reservation_holds_the_connector_for_its_tag_and_travels_with_the_start(csms, cp16):
    point, peer = cp16
    await peer.call(call16.ReserveNow(1, DAY, "DEMO-0007", 42))
    await csms.until(lambda: csms.of("StatusNotification")[-1]["status"] == "Reserved")
    assert await point.charge(1, "DEMO-0001", 60.0) == "busy"
    assert await point.charge(1, "demo-0007", 60.0) == "charged"
    await point.wait_drained()
    assert csms.of("StartTransaction")[0]["reservationId"] == 42


async def test_a_change_of_availability_waits_for_the_transaction(csms, cp16):
    point, peer = cp16
    session = asyncio.create_task(point.charge(1, "DEMO-0001", LONG))
    await csms.until(lambda: csms.of("MeterValues"))
    assert (await peer.call(call16.ChangeAvailability(0, "Inoperative"))).status == "Scheduled"
    await peer.call(call16.UnlockConnector(1))
    assert await session == "charged"
    await csms.until(lambda: csms.of("StatusNotification")[-1]["status"] == "Unavailable")
    assert await point.charge(1, "DEMO-0001", 60.0) == "busy"
    await peer.call(call16.ChangeAvailability(0, "Operative"))
    await csms.until(lambda: csms.of("StatusNotification")[-1]["status"] == "Available")


@pytest.mark.parametrize("kind", ["Soft", "Hard"])
async def test_a_reset_ends_the_transaction_and_boots_again(csms, cp16, kind):
    point, peer = cp16
    session = asyncio.create_task(point.charge(1, "DEMO-0001", LONG))
    await csms.until(lambda: csms.of("MeterValues"))
    assert (await peer.call(call16.Reset(kind))).status == "Accepted"
    await session
    await csms.until(lambda: len(csms.of("BootNotification")) == 2)
    await csms.until(lambda: csms.of("StopTransaction"))
    await point.wait_drained()
    assert csms.of("StopTransaction")[0]["reason"] == f"{kind}Reset"
    assert point.ledger.lost == 0


@pytest.mark.parametrize(
    ("wanted", "action"),
    [
        ("BootNotification", "BootNotification"),
        ("MeterValues", "MeterValues"),
        ("StatusNotification", "StatusNotification"),
        ("FirmwareStatusNotification", "FirmwareStatusNotification"),
        ("DiagnosticsStatusNotification", "DiagnosticsStatusNotification"),
    ],
)
async def test_a_trigger_brings_its_message(csms, cp16, wanted, action):
    _, peer = cp16
    before = csms.actions().count(action)
    await peer.call(call16.TriggerMessage(wanted))
    await csms.until(lambda: csms.actions().count(action) > before)


@pytest.mark.parametrize(
    ("outcome", "signed", "steps"),
    [
        ("Installed", False, ["Downloading", "Downloaded", "Installing", "Installed"]),
        ("DownloadFailed", False, ["Downloading", "DownloadFailed"]),
        (
            "InstallationFailed",
            True,
            ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallationFailed"],
        ),
        ("InvalidSignature", True, ["Downloading", "Downloaded", "InvalidSignature"]),
    ],
)
async def test_an_update_walks_through_its_statuses(csms, plug_in, outcome, signed, steps):
    await plug_in("1.6", identity="A", behaviour={"firmware_outcome": outcome})
    if signed:
        firmware = {
            "location": "https://x/f", "retrieve_date_time": DAY, "signing_certificate": "PEM", "signature": "sig",
        }  # fmt: skip
        request = call16.SignedUpdateFirmware(7, firmware)
        action = "SignedFirmwareStatusNotification"
    else:
        request, action = call16.UpdateFirmware("https://x/f", DAY), "FirmwareStatusNotification"
    await csms.peers["A"].call(request, suppress=False)
    await csms.until(lambda: len(csms.of(action)) == len(steps))
    assert [payload["status"] for payload in csms.of(action)] == steps
    assert {payload.get("requestId") for payload in csms.of(action)} == {7 if signed else None}


async def test_diagnostics_and_logs_are_uploaded(csms, cp16):
    _, peer = cp16
    assert (await peer.call(call16.GetDiagnostics("ftp://x"))).file_name.startswith("diagnostics-")
    answer = await peer.call(call16.GetLog({"remote_location": "ftp://x"}, "SecurityLog", 5))
    assert (answer.status, answer.filename) == ("Accepted", "SecurityLog-5.log")
    await csms.until(
        lambda: len(csms.of("LogStatusNotification")) == len(csms.of("DiagnosticsStatusNotification")) == 2
    )
    assert [payload["status"] for payload in csms.of("DiagnosticsStatusNotification")] == ["Uploading", "Uploaded"]
    assert csms.of("LogStatusNotification")[-1] == {"status": "Uploaded", "requestId": 5}


async def test_a_rejected_charge_point_is_deaf_and_notes_the_servers_mistake(csms, plug_in):
    csms.boots.append(("Rejected", 100_000))
    point = await plug_in("1.6", identity="A", online=False)
    await point.observer.until(lambda: point.registration == "Rejected")
    await csms.peers["A"]._connection.send('[2,"x","ClearCache",{}]')
    await point.observer.until(lambda: point.ledger.protocol_errors)
    assert csms.peers["A"]._response_queue.empty()


async def test_a_201_station_reads_writes_and_reports_its_variables(csms, cp201):
    _, peer = cp201
    where = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
    answer = await peer.call(call201.SetVariables([where | {"attribute_value": "17"}]))
    assert answer.set_variable_result[0]["attribute_status"] == "Accepted"
    nowhere = {"component": {"name": "Nowhere"}, "variable": {"name": "X"}}
    answer = await peer.call(call201.GetVariables([where, nowhere]))
    assert answer.get_variable_result[0]["attribute_value"] == "17"
    assert answer.get_variable_result[1]["attribute_status"] == "UnknownComponent"
    await peer.call(call201.GetBaseReport(3, "FullInventory"))
    await csms.until(lambda: csms.of("NotifyReport") and not csms.of("NotifyReport")[-1]["tbc"])
    assert [page["seqNo"] for page in csms.of("NotifyReport")] == [0, 1]


async def test_a_201_station_is_started_triggered_and_stopped_remotely(csms, cp201):
    point, peer = cp201
    start = call201.RequestStartTransaction(id_token=TAG, remote_start_id=77, evse_id=1)
    assert (await peer.call(start)).status == "Accepted"
    await csms.until(lambda: len(csms.of("TransactionEvent")) > 3)
    first = csms.of("TransactionEvent")[0]
    assert (first["triggerReason"], first["transactionInfo"]["remoteStartId"]) == ("RemoteStart", 77)
    number = first["transactionInfo"]["transactionId"]
    status = await peer.call(call201.GetTransactionStatus(transaction_id=number))
    assert status.ongoing_indicator
    await peer.call(call201.TriggerMessage("TransactionEvent"))
    await csms.until(lambda: any(event["triggerReason"] == "Trigger" for event in csms.of("TransactionEvent")))
    assert (await peer.call(call201.RequestStopTransaction(number))).status == "Accepted"
    await csms.until(lambda: csms.of("TransactionEvent")[-1]["eventType"] == "Ended")
    await point.wait_drained()
    assert csms.of("TransactionEvent")[-1]["transactionInfo"]["stoppedReason"] == "Remote"
    assert point.ledger.protocol_error_notes == []


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (call201.ChangeAvailability("Inoperative", {"id": 1}), "Accepted"),
        (call201.ClearCache(), "Accepted"),
        (call201.DataTransfer("Nobody"), "UnknownVendorId"),
        (call201.ReserveNow(1, DAY, TAG, evse_id=1), "Accepted"),
        (call201.CancelReservation(9), "Rejected"),
        (call201.SendLocalList(1, "Full"), "Accepted"),
        (call201.UnlockConnector(1, 1), "Unlocked"),
        (call201.UnlockConnector(4, 1), "UnknownConnector"),
        (call201.RequestStopTransaction("none"), "Rejected"),
        (call201.TriggerMessage("BootNotification"), "Rejected"),
        (call201.TriggerMessage("SignV2GCertificate"), "NotImplemented"),
    ],
)
async def test_a_201_station_answers(cp201, request_, status):
    point, peer = cp201
    answer = await peer.call(request_, suppress=False)
    assert answer.status == status
    assert point.ledger.protocol_error_notes == []


async def test_a_201_station_updates_uploads_and_resets(csms, cp201):
    _, peer = cp201
    firmware = {"location": "https://x/f", "retrieve_date_time": DAY, "signature": "s", "signing_certificate": "PEM"}
    await peer.call(call201.UpdateFirmware(5, firmware), suppress=False)
    await peer.call(call201.GetLog({"remote_location": "ftp://x"}, "SecurityLog", 6), suppress=False)
    await csms.until(lambda: len(csms.of("FirmwareStatusNotification")) == 5)
    assert csms.of("FirmwareStatusNotification")[-1] == {"status": "Installed", "requestId": 5}
    await csms.until(lambda: len(csms.of("LogStatusNotification")) == 2)
    assert (await peer.call(call201.Reset("Immediate"))).status == "Accepted"
    await csms.until(lambda: len(csms.of("BootNotification")) == 2)
    boot = csms.of("BootNotification")[1]
    assert boot["reason"] == "RemoteReset"
    assert boot["chargingStation"]["firmwareVersion"] == "1.0.0+"
