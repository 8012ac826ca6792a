"""OCPP 1.6 transactions: retries, tokens, offline starts, unknown transactions; OCTT 003, 007, 023, 032, 037, 039."""

from datetime import datetime
from typing import Any

import pytest

from contracts.versions import Version
from tests.support.calls_16 import AT
from tests.support.live import LiveSystem, Records
from tests.support.stations import ask, exchange
from workers.store import tables as t
from workers.store import transactions

V16 = Version.V16


def start_of(tag: str = "TAG-OK", connector: int = 1, meter: int = 1000, at: str = AT) -> dict[str, Any]:
    return {"connectorId": connector, "idTag": tag, "meterStart": meter, "timestamp": at}


def stop_of(number: int, meter: int = 6000, at: str = "2026-05-01T13:00:00Z", **more: Any) -> dict[str, Any]:
    return {"transactionId": number, "meterStop": meter, "timestamp": at, **more}


async def start(station: Any, **values: Any) -> Any:
    return await ask(station, V16, "StartTransaction", start_of(**values))


async def stop(station: Any, *values: Any, **more: Any) -> Any:
    return await ask(station, V16, "StopTransaction", stop_of(*values, **more))


async def test_a_whole_session_is_in_the_store_with_its_energy_and_series(
    live: LiveSystem, records: Records, identity: str
):
    """OCTT 003 and 004_1."""

    def sampled(value: str, context: str | None = None, **more: str) -> dict[str, Any]:
        return {"value": value, **({"context": context} if context else {}), **more}

    data = [
        {"timestamp": AT, "sampledValue": [sampled("1000", "Transaction.Begin")]},
        {"timestamp": "2026-05-01T13:00:00Z", "sampledValue": [sampled("6.0", "Transaction.End", unit="kWh")]},
    ]
    async with live.station(identity, V16) as station:
        assert (await ask(station, V16, "Authorize", {"idTag": "TAG-OK"})).id_tag_info["status"] == "Accepted"
        number = (await start(station)).transaction_id
        for minute, power in (("12:15", "11.0"), ("12:30", "7.5")):
            values = [
                sampled(power, measurand="Power.Active.Import", unit="kW"),
                sampled("16", measurand="Current.Import", unit="A", phase="L1"),
                sampled("230", measurand="Voltage", unit="V", phase="L1-N"),
            ]
            meter = [{"timestamp": f"2026-05-01T{minute}:00Z", "sampledValue": values}]
            await ask(station, V16, "MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": meter})
        await stop(station, number, idTag="TAG-OK", reason="EVDisconnected", transactionData=data)
        async with records.store.transaction(read_only=True) as transaction:
            (view,) = await transactions.list_transactions(transaction, identity=identity)
            power_series = await transactions.series(transaction, view, "Power.Active.Import")
            register = await transactions.series(transaction, view, "Energy.Active.Import.Register")
            volts = await transactions.series(transaction, view, "Voltage", phase="L1-N")
    assert (view.id, view.state, view.energy_wh) == (number, "ended", 5000)
    assert (view.stop_reason, view.flags) == ("EVDisconnected", "")
    assert [point.value for point in power_series] == [11000, 7500]
    assert [point.value for point in register] == [1000, 6000]
    assert [(point.value, point.unit) for point in volts] == [(230, "V"), (230, "V")]


async def test_a_retried_start_gets_the_same_transaction(live: LiveSystem, records: Records, identity: str):
    async with live.station(identity, V16) as station:
        first = await start(station)
        again = await start(station)
        folded = await start(station, tag="tag-ok")
    async with live.station(identity, V16) as station:
        after_reconnect = await start(station)
        another = await start(station, meter=2000, at="2026-05-01T15:00:00Z")
    assert first == again == folded == after_reconnect
    assert another.transaction_id != first.transaction_id
    assert len(await records.of(t.transactions)) == 2


async def test_retried_stops_and_meter_values_are_stored_once(live: LiveSystem, records: Records, identity: str):
    sample = {"value": "1500", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    async with live.station(identity, V16) as station:
        number = (await start(station, tag="TAG-FUTURE")).transaction_id
        values = {
            "connectorId": 1,
            "transactionId": number,
            "meterValue": [{"timestamp": "2026-05-01T12:10:00Z", "sampledValue": [sample]}],
        }
        for _ in range(3):
            await ask(station, V16, "MeterValues", values)
        stopped = [await stop(station, number, idTag="TAG-FUTURE") for _ in range(3)]
    assert stopped[0] == stopped[1] == stopped[2]
    assert stopped[0].id_tag_info["status"] == "Accepted"
    assert len(await records.of(t.meter_samples)) == 1
    assert (await records.one(t.transactions))["energy_wh"] == 5000
    assert await records.of(t.parked_messages) == []


@pytest.mark.parametrize(
    ("tag", "info"),
    [
        ("TAG-OK", {"status": "Accepted"}),
        ("tag-ok", {"status": "Accepted"}),
        ("Tag-Blocked", {"status": "Blocked"}),
        ("TAG-INVALID", {"status": "Invalid"}),
        ("NOBODY", {"status": "Invalid"}),
        ("TAG-EXPIRED", {"status": "Expired", "expiry_date": "2020-01-01T00:00:00.000Z"}),
        ("TAG-FUTURE", {"status": "Accepted", "expiry_date": "2099-01-01T00:00:00.000Z"}),
        ("TAG-FATHER", {"status": "Accepted", "parent_id_tag": "FAMILY"}),
    ],
)
async def test_a_token_is_judged_alike_in_authorize_and_start(
    live: LiveSystem, records: Records, identity: str, tag: str, info: dict[str, Any]
):
    """OCTT 007, 023_1 to 023_3, 037_3 and 053."""
    async with live.station(identity, V16) as station:
        authorized = await ask(station, V16, "Authorize", {"idTag": tag})
        started = await start(station, tag=tag)
    assert authorized.id_tag_info == info
    assert started.id_tag_info == info
    assert started.transaction_id > 0
    assert (await records.one(t.authorizations))["status"] == info["status"]
    row = await records.one(t.transactions)
    assert (row["id"], row["token_status"]) == (started.transaction_id, info["status"])


async def test_a_token_that_is_charging_elsewhere_is_busy_and_still_gets_an_id(
    live: LiveSystem, records: Records, identity: str
):
    tag = "TAG-SOLO-16"
    async with live.station(identity, V16) as here, live.station(f"{identity}-B", V16) as there:
        first = await start(here, tag=tag)
        assert first.id_tag_info == {"status": "Accepted"}
        assert (await ask(there, V16, "Authorize", {"idTag": tag})).id_tag_info["status"] == "ConcurrentTx"
        second = await start(there, tag=tag.lower())
        assert second.id_tag_info["status"] == "ConcurrentTx"
        assert second.transaction_id not in {0, first.transaction_id}
        # Here the token may be presented again: that is how its session is stopped.
        assert (await ask(here, V16, "Authorize", {"idTag": tag})).id_tag_info["status"] == "Accepted"
        assert (await stop(here, first.transaction_id, idTag=tag)).id_tag_info["status"] == "Accepted"
        await stop(there, second.transaction_id, reason="DeAuthorized")
        assert (await ask(there, V16, "Authorize", {"idTag": tag})).id_tag_info["status"] == "Accepted"


async def test_another_token_of_the_group_may_stop(live: LiveSystem, records: Records, identity: str):
    async with live.station(identity, V16) as station:
        started = await start(station, tag="TAG-FATHER")
        stopped = await stop(station, started.transaction_id, idTag="TAG-MOTHER")
    assert stopped.id_tag_info == {"status": "Accepted", "parent_id_tag": "FAMILY"}
    assert started.id_tag_info["parent_id_tag"] == stopped.id_tag_info["parent_id_tag"]
    row = await records.one(t.transactions)
    assert (row["id_token"], row["stop_token"], row["state"]) == ("TAG-FATHER", "TAG-MOTHER", "ended")


async def test_an_offline_start_with_an_invalid_tag_is_stored_and_its_stop_confirmed(
    live: LiveSystem, records: Records, identity: str
):
    """OCTT 037_3 and 039: late messages carry their past times."""
    async with live.station(identity, V16) as station:
        started = await start(station, tag="FORGED", at="2026-04-30T22:00:00Z")
        assert started.transaction_id > 0
        assert started.id_tag_info["status"] == "Invalid"
        await stop(station, started.transaction_id, 1500, "2026-04-30T22:30:00Z", reason="DeAuthorized")
    row = await records.one(t.transactions)
    assert (row["state"], row["stop_reason"], row["energy_wh"]) == ("ended", "DeAuthorized", 500)
    assert row["started_at"] == datetime.fromisoformat("2026-04-30T22:00:00Z")
    assert row["ended_at"] == datetime.fromisoformat("2026-04-30T22:30:00Z")


async def test_a_stop_after_a_power_failure_is_confirmed(live: LiveSystem, records: Records, identity: str):
    """OCTT 032_1."""
    boot = {"chargePointVendor": "Example", "chargePointModel": "Pole"}
    async with live.station(identity, V16) as station:
        number = (await start(station)).transaction_id
    async with live.station(identity, V16) as station:
        assert (await ask(station, V16, "BootNotification", boot)).status == "Accepted"
        await stop(station, number, reason="PowerLoss")
    assert (await records.one(t.transactions))["stop_reason"] == "PowerLoss"


@pytest.mark.parametrize("number", [-1, 0, 2_000_000_000])
async def test_a_stop_of_no_known_transaction_is_confirmed_and_parked_once(
    live: LiveSystem, records: Records, identity: str, number: int
):
    async with live.station(identity, V16) as station:
        for _ in range(2):
            assert (await stop(station, number, idTag="TAG-OK")).id_tag_info["status"] == "Accepted"
        assert (await stop(station, number, at="2026-05-01T14:00:00Z")).id_tag_info is None
    rows = await records.of(t.parked_messages)
    assert [(row["action"], row["transaction_ref"]) for row in rows] == [("StopTransaction", str(number))] * 2
    assert rows[0]["payload"] == stop_of(number, idTag="TAG-OK")
    assert await records.of(t.transactions) == []


async def test_a_charge_point_cannot_stop_anothers_transaction(live: LiveSystem, records: Records, identity: str):
    async with live.station(identity, V16) as mine, live.station(f"{identity}-B", V16) as other:
        number = (await start(mine)).transaction_id
        await stop(other, number)
        assert (await records.one(t.transactions))["state"] == "active"
        await stop(mine, number)
    assert (await records.one(t.transactions))["state"] == "ended"


async def test_meter_values_of_a_start_that_was_never_confirmed_are_kept(
    live: LiveSystem, records: Records, identity: str
):
    values = {
        "connectorId": 1,
        "transactionId": -1,
        "meterValue": [{"timestamp": AT, "sampledValue": [{"value": "5"}]}],
    }
    async with live.station(identity, V16) as station:
        await ask(station, V16, "MeterValues", values)
    row = await records.one(t.meter_samples)
    # What a sample leaves out has the specification's defaults (7.43).
    assert (row["measurand"], row["unit"], row["value"]) == ("Energy.Active.Import.Register", "Wh", 5)
    assert (row["context"], row["location"], row["format"]) == ("Sample.Periodic", "Outlet", "Raw")
    assert row["flags"] or await records.of(t.parked_messages)


async def test_ids_that_begin_again_at_one_are_new_calls(live: LiveSystem, records: Records, identity: str):
    """Charge points restart their unique ids with every boot: no answer comes from a memory of ids."""
    async with live.socket(identity, V16) as socket:
        first = await exchange(socket, "StartTransaction", start_of(), "1")
        twice = await exchange(socket, "StartTransaction", start_of(at="2026-05-01T16:00:00Z"), "1")
        beat = await exchange(socket, "Heartbeat", {}, "1")
    async with live.socket(identity, V16) as socket:
        third = await exchange(socket, "StartTransaction", start_of(at="2026-05-01T17:00:00Z"), "1")
    assert list(beat[2]) == ["currentTime"]
    assert len({frame[2]["transactionId"] for frame in (first, twice, third)}) == 3
    assert len(await records.of(t.transactions)) == 3
