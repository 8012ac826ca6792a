"""OCPP 1.6: invalid Calls get that version's CALLERROR; billing data is confirmed and kept whatever its shape."""

from typing import Any

import pytest
from ocpp.messages import unpack
from websockets.asyncio.client import ClientConnection

from contracts.actions import TRANSACTION_ACTIONS
from contracts.versions import Version
from tests.support.calls_16 import AT, VALID
from tests.support.live import LiveSystem, Records
from tests.support.payloads import missing, mistyped
from tests.support.stations import exchange, heard, send_frames
from workers.store import tables as t

V16 = Version.V16
REFUSED = sorted(set(VALID) - TRANSACTION_ACTIONS)
EXTRA = {"unexpectedField": 1}


async def code_of(socket: ClientConnection, action: str, payload: Any) -> str:
    """The code of the CALLERROR that this Call meets."""
    frame = await exchange(socket, action, payload)
    assert frame[0] == 4, f"{action} {payload} was answered with {frame}"
    return str(frame[2])


@pytest.mark.parametrize("action", REFUSED)
async def test_an_invalid_call_gets_the_code_of_16_and_leaves_the_session_as_it_was(
    live: LiveSystem, identity: str, action: str
):
    valid = VALID[action]
    async with live.socket(identity, V16) as socket:
        codes = {
            f"without {name}": await code_of(socket, action, spoilt) for name, spoilt in missing(V16, action, valid)
        }
        assert set(codes.values()) <= {"OccurenceConstraintViolation"}, codes
        codes = {f"bad {name}": await code_of(socket, action, spoilt) for name, spoilt in mistyped(V16, action, valid)}
        assert set(codes.values()) <= {"TypeConstraintViolation"}, codes
        assert await code_of(socket, action, {**valid, **EXTRA}) == "FormationViolation"
        assert (await exchange(socket, "Heartbeat", {}))[0] == 3


@pytest.mark.parametrize(
    ("action", "change"),
    [
        ("StatusNotification", {"status": "Baking"}),
        ("StatusNotification", {"errorCode": "FluxCapacitor"}),
        ("FirmwareStatusNotification", {"status": "Baking"}),
        ("DiagnosticsStatusNotification", {"status": "Baking"}),
        ("LogStatusNotification", {"status": "Baking"}),
        ("Authorize", {"idTag": "x" * 21}),
        ("SecurityEventNotification", {"type": "x" * 51}),
    ],
)
async def test_a_value_outside_its_bounds_is_a_property_constraint_violation(
    live: LiveSystem, identity: str, action: str, change: dict[str, Any]
):
    async with live.socket(identity, V16) as socket:
        assert await code_of(socket, action, {**VALID[action], **change}) == "PropertyConstraintViolation"


async def test_refused_calls_leave_nothing_in_the_store(live: LiveSystem, records: Records, identity: str):
    async with live.socket(identity, V16) as socket:
        assert await code_of(socket, "BootNotification", {"chargePointVendor": "Example"})
        assert await code_of(socket, "Authorize", {"idTag": 5})
        assert await code_of(socket, "StatusNotification", {"connectorId": 1})
    for table in (t.charge_points, t.authorizations, t.connector_states):
        assert await records.of(table) == []


@pytest.mark.parametrize("action", ["Authorise", "authorize", "TransactionEvent", "Get.Log", "#", "*", "x" * 200, "Ü"])
async def test_an_unknown_action_is_not_implemented(live: LiveSystem, identity: str, action: str):
    async with live.socket(identity, V16) as socket:
        assert await code_of(socket, action, {}) == "NotImplemented"
        assert (await exchange(socket, "Heartbeat", {}))[0] == 3


@pytest.mark.parametrize("action", ["Reset", "ChangeConfiguration", "GetLog", "RemoteStartTransaction"])
async def test_an_action_of_the_other_direction_is_not_supported(live: LiveSystem, identity: str, action: str):
    async with live.socket(identity, V16) as socket:
        assert await code_of(socket, action, {}) == "NotSupported"


async def test_a_refusal_tells_no_values(live: LiveSystem, identity: str):
    async with live.socket(identity, V16) as socket:
        await send_frames(socket, [[2, "1", "Authorize", {"idTag": "SECRET-OF-A-DRIVER-12345"}]])
        frame = await heard(socket)
    assert unpack(f'[4,"1","{frame[2]}","",{{}}]').error_code == "PropertyConstraintViolation"
    assert "SECRET" not in str(frame)


def spoilt(action: str, payload: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every way of spoiling it."""
    return [
        *((f"without {name}", bad) for name, bad in missing(V16, action, payload)),
        *((f"bad {name}", bad) for name, bad in mistyped(V16, action, payload)),
        ("extra field", {**payload, **EXTRA}),
    ]


async def confirmed(socket: ClientConnection, action: str, payload: dict[str, Any], how: str = "") -> dict[str, Any]:
    frame = await exchange(socket, action, payload)
    assert frame[0] == 3, f"{action} {how}: {frame}"
    answer: dict[str, Any] = frame[2]
    return answer


async def test_an_invalid_start_gets_its_transaction_id_and_is_flagged(
    live: LiveSystem, records: Records, identity: str
):
    ways = spoilt("StartTransaction", VALID["StartTransaction"])
    given = {}
    async with live.socket(identity, V16) as socket:
        for how, payload in ways:
            answer = await confirmed(socket, "StartTransaction", payload, how)
            assert answer["transactionId"] > 0
            status = answer["idTagInfo"]["status"]
            assert status == ("Invalid" if "idTag" in how else "Accepted"), how
            given[how] = answer["transactionId"]
    rows = {row["id"]: row["flags"] for row in await records.of(t.transactions)}
    assert len(set(given.values())) == len(ways)
    assert {how: bool(rows[number]) for how, number in given.items()} == {how: True for how, _ in ways}


async def test_an_invalid_stop_is_confirmed_and_flagged_or_parked(live: LiveSystem, records: Records, identity: str):
    start = VALID["StartTransaction"]
    async with live.socket(identity, V16) as socket:
        for number, (how, _) in enumerate(spoilt("StopTransaction", VALID["StopTransaction"])):
            began = await confirmed(socket, "StartTransaction", {**start, "connectorId": number + 1})
            valid = {**VALID["StopTransaction"], "transactionId": began["transactionId"]}
            payload = dict(spoilt("StopTransaction", valid))[how]
            await confirmed(socket, "StopTransaction", payload, how)
            (row,) = await records.of(t.transactions, id=began["transactionId"])
            parked = [entry["payload"] for entry in await records.of(t.parked_messages)]
            if "transactionId" in how:
                assert row["state"] == "active"
                assert payload in parked, how
            else:
                assert row["state"] == "ended", how
                assert row["flags"], how


async def test_invalid_meter_values_are_confirmed_and_flagged_or_parked(
    live: LiveSystem, records: Records, identity: str
):
    valid = VALID["MeterValues"]
    at = iter(f"2026-05-01T13:{minute:02}:00Z" for minute in range(60))
    async with live.socket(identity, V16) as socket:
        for how, _ in spoilt("MeterValues", valid):
            moment = next(at)
            payload = {"connectorId": 1, "meterValue": [{**valid["meterValue"][0], "timestamp": moment}]}
            payload = dict(spoilt("MeterValues", payload))[how]
            await confirmed(socket, "MeterValues", payload, how)
            samples = [
                row for row in await records.of(t.meter_samples) if row["sampled_at"].isoformat()[:19] == moment[:19]
            ]
            parked = [row["payload"] for row in await records.of(t.parked_messages)]
            assert payload in parked or (samples and all(row["flags"] for row in samples)), how


@pytest.mark.parametrize("value", ["n/a", "", 230, None, "1e999", "12,5"])
async def test_an_unparsable_sample_is_kept_raw_and_flagged(
    live: LiveSystem, records: Records, identity: str, value: Any
):
    good = {"value": "230.1", "measurand": "Voltage", "unit": "V"}
    sampled = [{**good, "value": value}, {**good, "phase": "L2"}]
    payload = {"connectorId": 1, "meterValue": [{"timestamp": AT, "sampledValue": sampled}]}
    async with live.socket(identity, V16) as socket:
        assert await confirmed(socket, "MeterValues", payload) == {}
    by_phase = {row["phase"]: row for row in await records.of(t.meter_samples)}
    assert by_phase["L2"]["value"] == 230.1
    bad = by_phase[""]
    assert bad["flags"]
    assert bad["raw_value"] == (value if isinstance(value, str) else {230: "230", None: "null"}[value])
    assert bad["value"] == (230 if value == 230 else None)


@pytest.mark.parametrize(
    "change",
    [
        {"idTag": "x" * 300},
        {"idTag": "nul\u0000tag"},
        {"idTag": "x" * 21},
        {"timestamp": "1970-01-01T00:00:00Z"},
        {"timestamp": "0001-01-01T00:00:00"},
        {"timestamp": "2026-05-01T15:00:00+03"},
        {"timestamp": "yesterday"},
        {"meterStart": 1.5},
        {"meterStart": -1},
        {"connectorId": "1"},
        {"reservationId": None},
    ],
    ids=str,
)
async def test_what_real_charge_points_send_amiss_is_still_a_transaction(
    live: LiveSystem, records: Records, identity: str, change: dict[str, Any]
):
    async with live.socket(identity, V16) as socket:
        payload = {**VALID["StartTransaction"], **change}
        first = await confirmed(socket, "StartTransaction", payload)
        again = await confirmed(socket, "StartTransaction", payload)
        await confirmed(
            socket, "StopTransaction", {**VALID["StopTransaction"], "transactionId": first["transactionId"]}
        )
    assert first == again
    row = await records.one(t.transactions)
    assert (row["id"], row["state"]) == (first["transactionId"], "ended")


async def test_odd_samples_are_kept(live: LiveSystem, records: Records, identity: str):
    sampled = [
        {"value": "50", "measurand": "Frequency", "unit": "Hertz"},
        {"value": "21", "measurand": "Temperature", "unit": "Celsius"},
        {"value": "22", "measurand": "Temperature", "unit": "Celcius", "location": "Body"},
        {"value": "nul\u0000", "measurand": "Voltage"},
    ]
    payload = {"connectorId": 1, "meterValue": [{"timestamp": AT, "sampledValue": sampled}]}
    async with live.socket(identity, V16) as socket:
        assert await confirmed(socket, "MeterValues", payload) == {}
    rows = await records.of(t.meter_samples)
    assert sorted((row["normal_value"], row["normal_unit"]) for row in rows if row["normal_value"] is not None) == [
        (21, "Celsius"),
        (22, "Celsius"),
        (50, "Hz"),
    ]
    assert len(rows) == 4
