"""The authorization service on a real broker and both stores."""

import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from contracts import topology
from contracts.announcements import Opened
from contracts.envelope import AdmissionQuery, OutcomeEnvelope, OutcomeKind
from contracts.versions import ErrorKind, Version
from tests.support.calling import GATEWAY, caller_on, until
from tests.support.commanding import bringing_commands
from tests.support.serving import serving, worker_settings
from tests.support.worker_store import all_rows, connect, migrated_store
from workers.authorization.service import service
from workers.store import configuration, registration, tables
from workers.store.provisioning import apply_plan, read_plan

PLAN = """
[[charge_points]]
identity = "KNOWN"
[[charge_points]]
identity = "BANNED"
registration = "rejected"
[[boot_rules]]
model = "Prototype*"
registration = "pending"
[[boot_rules]]
firmware = "0.*"
registration = "rejected"
[[tokens]]
id_token = "Demo-Tag"
group = "FLEET"
expires = 2100-01-01T00:00:00Z
[[tokens]]
id_token = "BLOCKED"
status = "Blocked"
[[tokens]]
id_token = "OLD"
expires = 2020-01-01T00:00:00Z
[[tokens]]
id_token = "BUSY"
[[initial_configuration]]
ocpp = "1.6"
key = "MaxChargingPower"
value = "11000"
vendor = "ACME"
[[initial_configuration]]
ocpp = "2.x"
key = "SmartChargingCtrlr.Enabled"
value = "true"
vendor = "ACME"
[[data_transfer]]
vendor = "acme"
message = "hello"
data = "welcome"
[[data_transfer]]
vendor = "acme.deny"
status = "Rejected"
"""
BOOT = {"chargePointVendor": "Other", "chargePointModel": "W"}


@asynccontextmanager
async def world(amqp_url, database_url, **settings) -> Any:
    config = worker_settings(amqp_url, **settings)
    async with migrated_store(database_url) as store:
        async with store.transaction() as transaction:
            await apply_plan(transaction, read_plan(PLAN), datetime.now(UTC))
            for identity in ("CP-1", "CP-2"):
                await connect(transaction, identity, GATEWAY)
        async with (
            bringing_commands(amqp_url, store),
            serving(service(config), config, store),
            caller_on(amqp_url) as caller,
        ):
            yield caller, store


def body(reply) -> Any:
    assert reply.error is None, reply.description
    return orjson.loads(reply.payload)


async def charge_point(store, identity) -> Any:
    rows = await all_rows(store, tables.charge_points)
    return next((row for row in rows if row["identity"] == identity), None)


async def test_a_boot_is_stored_and_answered_with_time_and_interval(amqp_url, database_url):
    async with world(amqp_url, database_url, heartbeat_interval_seconds=77) as (caller, store):
        reply = body(await caller.call("BootNotification", {**BOOT, "firmwareVersion": "1.2", "iccid": "NUL\x00"}))
        assert (reply["status"], reply["interval"]) == ("Accepted", 77)
        now = datetime.now(UTC)
        assert abs(datetime.fromisoformat(reply["currentTime"]) - now) < timedelta(seconds=30)
        row = await charge_point(store, "CP-1")
        assert (row["registration"], row["vendor"], row["firmware_version"]) == ("accepted", "Other", "1.2")
        assert (row["iccid"], row["ocpp_version"]) == ("NUL\ufffd", "1.6")


async def test_a_pending_charge_point_may_only_boot_until_the_rules_let_it_in(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (caller, store):
        prototype = {**BOOT, "chargePointModel": "Prototype 1"}
        assert body(await caller.call("BootNotification", prototype))["status"] == "Pending"
        refused = await caller.call("Heartbeat", {})
        assert (refused.error, refused.description) == (ErrorKind.SECURITY, "registration is pending")
        async with store.transaction() as transaction:
            await apply_plan(transaction, read_plan("boot_rules = []"), datetime.now(UTC))
        assert body(await caller.call("BootNotification", prototype))["status"] == "Accepted"
        assert "currentTime" in body(await caller.call("Heartbeat", {}))
        assert (await charge_point(store, "CP-1"))["last_heartbeat_at"] is not None


async def test_an_accepted_charge_point_that_boots_into_rejection_is_not_heard_any_more(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (caller, _):
        body(await caller.call("Heartbeat", {}))
        assert body(await caller.call("BootNotification", {**BOOT, "firmwareVersion": "0.9"}))["status"] == "Rejected"
        assert (await caller.call("Heartbeat", {})).error is ErrorKind.SECURITY


async def test_a_persons_word_goes_before_the_rules(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (caller, _):
        assert body(await caller.call("BootNotification", BOOT, identity="BANNED"))["status"] == "Rejected"


async def test_under_the_closed_policy_only_charge_points_on_record_are_heard(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url, registration="closed") as (caller, store):
        assert body(await caller.call("BootNotification", BOOT, identity="KNOWN"))["status"] == "Accepted"
        assert body(await caller.call("BootNotification", BOOT, identity="STRANGER"))["status"] == "Rejected"
        stranger = await caller.call("Heartbeat", {}, identity="STRANGER")
        assert (stranger.error, stranger.description) == (ErrorKind.SECURITY, "charge point is not on record")
        assert await charge_point(store, "STRANGER") is None


async def test_admission_is_answered_from_the_store(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url, registration="closed") as (caller, _):
        verdicts = {}
        caller.delivered = lambda delivery: (
            verdicts.update({delivery.correlation_id: delivery.body}) if delivery.correlation_id else None
        )
        for identity in ("KNOWN", "STRANGER"):
            caller.link.publish(
                topology.ADMISSIONS,
                topology.ADMISSION_KEY,
                AdmissionQuery(identity, GATEWAY).encode(),
                reply_to=caller.link.reply_queue,
                correlation_id=identity,
            )
        await until(lambda: len(verdicts) == 2)
    from contracts.envelope import AdmissionVerdict

    assert {key: AdmissionVerdict.decode(value).known for key, value in verdicts.items()} == {
        "KNOWN": True,
        "STRANGER": False,
    }


async def test_an_admission_query_that_cannot_be_read_is_dead_lettered_at_once(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (caller, _):
        caller.link.publish(topology.ADMISSIONS, topology.ADMISSION_KEY, b"what", reply_to=caller.link.reply_queue)
        await until(lambda: caller.dead)
        assert (caller.dead[0].body, caller.replies) == (b"what", {})


@pytest.mark.parametrize("payload", [{}, {"chargePointVendor": "x"}, {"chargePointModel": "x"}])
async def test_a_boot_without_vendor_or_model_is_refused_in_the_gateways_words(amqp_url, sqlite_database_url, payload):
    async with world(amqp_url, sqlite_database_url) as (caller, _):
        reply = await caller.call("BootNotification", payload, violation=("TypeConstraintViolation", "the gateway's"))
        assert (reply.error, reply.description) == (ErrorKind.TYPE, "the gateway's")
        assert (await caller.call("BootNotification", payload)).error is ErrorKind.OCCURRENCE


@pytest.mark.parametrize(
    ("tag", "status"),
    [("Demo-Tag", "Accepted"), ("DEMO-TAG", "Accepted"), ("BLOCKED", "Blocked"), ("OLD", "Expired"), ("x", "Invalid")],
)
async def test_a_token_is_judged_alike_in_every_version(amqp_url, sqlite_database_url, tag, status):
    async with world(amqp_url, sqlite_database_url) as (caller, store):
        info = body(await caller.call("Authorize", {"idTag": tag}))["idTagInfo"]
        assert info["status"] == status
        payload = {"idToken": {"idToken": tag, "type": "ISO14443"}}
        for version in (Version.V201, Version.V21):
            new = body(await caller.call("Authorize", payload, version=version))["idTokenInfo"]
            assert new["status"] == status
        if status == "Accepted":
            assert (info["parentIdTag"], info["expiryDate"]) == ("FLEET", "2100-01-01T00:00:00.000Z")
            assert new["groupIdToken"]["idToken"] == "FLEET"
        rows = await all_rows(store, tables.authorizations)
        assert [row["status"] for row in rows] == [status] * 3


async def test_a_token_that_charges_elsewhere_is_concurrent_but_may_stop_here(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (caller, store):
        row = {"identity": "CP-2", "natural_key": "k", "ocpp_version": "1.6", "state": "active", "token_key": "busy"}
        async with store.transaction() as transaction:
            await transaction.run(tables.transactions.insert(), row)
        here = body(await caller.call("Authorize", {"idTag": "Busy"}))
        there = body(await caller.call("Authorize", {"idTag": "Busy"}, identity="CP-2"))
        assert (here["idTagInfo"]["status"], there["idTagInfo"]["status"]) == ("ConcurrentTx", "Accepted")


async def test_no_authorization_is_accepted(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (caller, _):
        payload = {"idToken": {"idToken": "", "type": "NoAuthorization"}}
        reply = body(await caller.call("Authorize", payload, version=Version.V201))
        assert reply == {"idTokenInfo": {"status": "Accepted"}}


async def test_unknown_tokens_may_be_let_in(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url, unknown_tokens="accept") as (caller, _):
        assert body(await caller.call("Authorize", {"idTag": "x"}))["idTagInfo"] == {"status": "Accepted"}


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        ({"vendorId": "nobody"}, {"status": "UnknownVendorId"}),
        ({"vendorId": "ACME", "messageId": "Hello", "data": "x"}, {"status": "Accepted", "data": "welcome"}),
        ({"vendorId": "acme", "messageId": "other"}, {"status": "UnknownMessageId"}),
        ({"vendorId": "acme.deny", "messageId": "any"}, {"status": "Rejected"}),
    ],
)
async def test_data_transfer_is_answered_as_provisioned_and_kept(amqp_url, sqlite_database_url, payload, answer):
    async with world(amqp_url, sqlite_database_url) as (caller, store):
        for version in Version:
            assert body(await caller.call("DataTransfer", payload, version=version)) == answer
        rows = await all_rows(store, tables.data_transfers)
        assert [(row["vendor_id"], row["status"], row["data"]) for row in rows] == [
            (payload["vendorId"], answer["status"], payload.get("data"))
        ] * 3


def accept_command(command) -> Any:
    one_x = {"status": "Accepted"}
    two_x = {
        "setVariableResult": [{"attributeStatus": "Accepted", "component": {"name": "c"}, "variable": {"name": "v"}}]
    }
    payload = one_x if command.action == "ChangeConfiguration" else two_x
    return OutcomeEnvelope(
        command.command_id, command.identity, OutcomeKind.RESULT, GATEWAY, payload=orjson.dumps(payload)
    )


def time_out(command) -> Any:
    return OutcomeEnvelope(command.command_id, command.identity, OutcomeKind.TIMEOUT, GATEWAY, error_code="no_answer")


async def pushes(store, status) -> Any:
    rows = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        rows = await all_rows(store, tables.configuration_pushes)
        if [row["status"] for row in rows] == [status]:
            return rows[0]
    raise AssertionError(f"expected one push that is {status}, found {rows}")


async def test_initial_configuration_is_pushed_after_acceptance_and_not_again(amqp_url, database_url):
    boot = {**BOOT, "chargePointVendor": "Acme"}
    async with world(amqp_url, database_url) as (caller, store):
        caller.answer_command = accept_command
        body(await caller.call("BootNotification", boot))
        row = await pushes(store, "Accepted")
        assert (row["key"], row["value"], row["attempts"]) == ("MaxChargingPower", "11000", 1)
        (command,) = caller.commands
        assert (command.action, orjson.loads(command.payload)["key"]) == ("ChangeConfiguration", "MaxChargingPower")
        body(await caller.call("BootNotification", boot))
        body(await caller.call("Heartbeat", {}))
        assert len(caller.commands) == 1


async def test_a_2x_station_is_told_by_set_variables(amqp_url, sqlite_database_url):
    boot = {"reason": "PowerUp", "chargingStation": {"vendorName": "ACME", "model": "W"}}
    async with world(amqp_url, sqlite_database_url) as (caller, store):
        caller.answer_command = accept_command
        body(await caller.call("BootNotification", boot, version=Version.V201))
        assert (await pushes(store, "Accepted"))["key"] == "SmartChargingCtrlr.Enabled"
        assert caller.commands[0].action == "SetVariables"


async def test_a_push_that_failed_is_tried_again_without_another_boot(amqp_url, database_url):
    boot = {**BOOT, "chargePointVendor": "ACME"}
    async with world(amqp_url, database_url, command_timeout_seconds=2) as (caller, store):
        caller.answer_command = time_out
        body(await caller.call("BootNotification", boot))
        await pushes(store, "timeout")
        caller.answer_command = accept_command
        assert (await pushes(store, "Accepted"))["attempts"] >= 2


async def stored_pushes(store, *wanted) -> None:
    """Wait until these (identity, key, status) are what is stored of pushes."""
    found = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        rows = await all_rows(store, tables.configuration_pushes)
        found = [(row["identity"], row["key"], row["status"]) for row in rows]
        if found == list(wanted):
            return
    raise AssertionError(f"expected {wanted}, found {found}")


async def test_what_an_ended_process_was_to_push_is_pushed_by_the_next_as_it_is_wanted_now(amqp_url, database_url):
    now = datetime.now(UTC)
    asked = {"MaxChargingPower": "corrected since", "Withdrawn": "1"}
    async with migrated_store(database_url) as store, store.transaction() as transaction:
        for identity, registered in (("CP-1", "accepted"), ("CP-2", "rejected")):
            facts = {"registration": registered, "ocpp_version": "1.6", "vendor": "ACME", "model": "W"}
            await registration.record_boot(transaction, identity, facts, now)
            await configuration.request(transaction, identity, asked, now, due_at=now)
        for name in ("CP-1", "CP-2"):
            await connect(transaction, name, GATEWAY)
    async with world(amqp_url, database_url) as (caller, store):
        caller.answer_command = accept_command
        caller.connect(Opened("CP-1", "s", 1, Version.V16, "127.0.0.1", 1))
        await stored_pushes(
            store,
            ("CP-1", "MaxChargingPower", "Accepted"),
            ("CP-1", "Withdrawn", "withdrawn"),
            ("CP-2", "MaxChargingPower", "requested"),
            ("CP-2", "Withdrawn", "requested"),
        )
        (command,) = caller.commands
        assert orjson.loads(command.payload) == {"key": "MaxChargingPower", "value": "11000"}


async def test_a_value_that_is_never_answered_does_not_hold_up_the_others(amqp_url, database_url):
    async with world(amqp_url, database_url) as (caller, store):
        entry = '[[initial_configuration]]\nocpp = "1.6"\nkey = "{}"\nvalue = "1"\nvendor = "Other"\n'
        async with store.transaction() as transaction:
            await apply_plan(transaction, read_plan(entry.format("A") + entry.format("B")), datetime.now(UTC))

        def answer_b(command) -> Any:
            return accept_command(command) if orjson.loads(command.payload)["key"] == "B" else time_out(command)

        caller.answer_command = answer_b
        body(await caller.call("BootNotification", BOOT))
        await stored_pushes(store, ("CP-1", "A", "timeout"), ("CP-1", "B", "Accepted"))
