"""A service on a real broker and both stores: what a Call's way through it promises."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson
import pytest

from contracts.actions import Service
from contracts.versions import ErrorKind, Version
from tests.support.calling import caller_on, until
from tests.support.serving import serving, worker_settings
from tests.support.worker_store import all_rows, migrated_store
from workers.authorization.service import service as authorization
from workers.errors import StoreUnavailableError
from workers.metering.service import service as metering
from workers.runtime.calls import Answer, ServiceDefinition
from workers.runtime.lanes import HANDLER_TRIES
from workers.store import tables

START = {"connectorId": 1, "idTag": "DEMO", "meterStart": 0, "timestamp": "2026-05-01T12:00:00Z"}


@asynccontextmanager
async def world(amqp_url, database_url, make=metering, alter=lambda definition: definition, **settings) -> Any:
    """A caller, a store and a running service."""
    config = worker_settings(amqp_url, **settings)
    async with (
        migrated_store(database_url) as store,
        serving(alter(make(config)), config, store) as application,
        caller_on(amqp_url) as caller,
    ):
        yield caller, store, application


def with_handler(action, handler, version=Version.V16) -> Any:
    return lambda definition: replace(definition, handlers={**definition.handlers, (version, action): handler})


async def test_a_reply_comes_after_its_effect_is_committed(amqp_url, database_url):
    async with world(amqp_url, database_url) as (caller, store, _):
        reply = await caller.call("StartTransaction", START)
        (row,) = await all_rows(store, tables.transactions)
        assert orjson.loads(reply.payload)["transactionId"] == row["id"]


async def test_calls_of_many_charge_points_are_committed_together_and_each_answered(amqp_url, database_url):
    async with world(amqp_url, database_url, batch_milliseconds=50) as (caller, store, _):
        sent = [caller.publish("StartTransaction", START, identity=f"CP-{number}") for number in range(100)]
        replies = [await caller.reply_to(one) for one in sent]
        ids = {orjson.loads(reply.payload)["transactionId"] for reply in replies}
        assert len(ids) == 100
        assert len(await all_rows(store, tables.charge_points)) == 100


@pytest.mark.parametrize("action", ["ReportChargingProfiles", "NotifyEVChargingNeeds"])
async def test_an_action_that_comes_later_is_not_supported_by_name(amqp_url, sqlite_database_url, action):
    async with world(amqp_url, sqlite_database_url) as (caller, _, _):
        reply = await caller.call(action, {}, version=Version.V201)
        assert (reply.error, action in reply.description) == (ErrorKind.NOT_SUPPORTED, True)


async def test_an_unknown_action_in_a_service_queue_is_not_implemented(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (caller, _, _):
        # The topology binds known actions only, so publish to the queue itself.
        body = CALL_WITH_UNKNOWN_ACTION
        caller.link.publish("", "ocpp.calls.metering", body, correlation_id="x:1", reply_to=caller.link.reply_queue)
        assert (await caller.reply_to("x:1")).error is ErrorKind.NOT_IMPLEMENTED


async def test_a_body_that_is_no_envelope_is_dead_lettered_at_once(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (caller, _, _):
        caller.publish_body(Version.V16, "MeterValues", b"\xc1 no msgpack", "bad:1")
        await until(lambda: caller.dead)
        assert caller.dead[0].body == b"\xc1 no msgpack"
        assert (await caller.call("StartTransaction", START)).error is None


async def test_a_handler_that_always_raises_spoils_no_other_call_and_is_dead_lettered(amqp_url, database_url):
    tries = 0

    async def poison(call, store) -> Any:
        nonlocal tries
        if call.identity != "POISON":
            return Answer({})
        tries += 1
        await store.run(tables.tokens.insert(), {"token_key": "half", "id_token": "half done"})
        raise ValueError("cannot digest this")

    alter = with_handler("MeterValues", poison)
    async with world(amqp_url, database_url, alter=alter, lanes=1, batch_milliseconds=50) as (caller, store, _):
        others = [
            caller.publish("MeterValues", {}, identity="GOOD-1"),
            caller.publish("MeterValues", {}, identity="POISON"),
        ]
        others[1:] = [caller.publish("MeterValues", {}, identity="GOOD-2")]
        for one in others:
            assert (await caller.reply_to(one)).error is None
        await until(lambda: caller.dead)
        assert await all_rows(store, tables.tokens) == []
    # Once more than its own tries: the first time it ran, it shared a transaction with the others.
    assert HANDLER_TRIES <= tries <= HANDLER_TRIES + 1
    assert len(caller.dead) == 1
    # Billing data: silence, so that the charge point keeps it.
    assert len(caller.replies) == 2


async def test_a_poisoned_call_that_is_no_billing_data_gets_an_error_at_the_end(amqp_url, sqlite_database_url):
    async def poison(call, store) -> Any:
        raise KeyError(call.action)

    async with world(amqp_url, sqlite_database_url, authorization, with_handler("Heartbeat", poison)) as (caller, _, _):
        assert (await caller.call("Heartbeat", {})).error is ErrorKind.INTERNAL
        await until(lambda: caller.dead)


async def test_a_reply_that_its_schema_refuses_is_never_sent(amqp_url, sqlite_database_url):
    async def wrong(call, store) -> Any:
        return Answer({"currentTime": "now"})

    async with world(amqp_url, sqlite_database_url, authorization, with_handler("Heartbeat", wrong)) as (caller, _, _):
        assert (await caller.call("Heartbeat", {})).error is ErrorKind.INTERNAL


async def test_while_the_database_is_away_calls_wait_and_nothing_is_dead_lettered(amqp_url, sqlite_database_url):
    away = True
    failures = 0
    definition = metering(worker_settings(amqp_url))
    start = definition.handlers[Version.V16, "StartTransaction"]

    async def sometimes(call, store) -> Any:
        nonlocal failures
        if away:
            failures += 1
            raise StoreUnavailableError("gone")
        return await start(call, store)

    alter = with_handler("StartTransaction", sometimes)
    async with world(amqp_url, sqlite_database_url, alter=alter, retry_max_seconds=0.02) as (caller, store, _):
        sent = caller.publish("StartTransaction", START)
        await until(lambda: failures > 3 * HANDLER_TRIES)
        assert not caller.replies
        away = False
        assert (await caller.reply_to(sent)).error is None
        assert not caller.dead
        assert len(await all_rows(store, tables.transactions)) == 1


async def test_a_killed_database_delays_calls_and_loses_none(amqp_url, own_postgres):
    own_postgres.create_database("cut")
    url = own_postgres.create_database("kept")
    async with world(amqp_url, url) as (caller, store, application):
        assert (await caller.call("StartTransaction", START)).error is None
        own_postgres.kill()
        sent = [caller.publish("StartTransaction", START, identity=f"CP-{number}") for number in range(1, 21)]
        await until(lambda: "store" in application.monitor.unready())
        assert not [one for one in sent if one in caller.replies]
        await asyncio.to_thread(own_postgres.restart)
        for one in sent:
            assert (await caller.reply_to(one)).error is None
        assert len(await all_rows(store, tables.transactions)) == 20
        assert not caller.dead


async def test_a_delivery_that_was_not_acked_is_handled_again_with_the_same_reply(amqp_url, database_url, monkeypatch):
    config = worker_settings(amqp_url)
    async with migrated_store(database_url) as store, caller_on(amqp_url) as caller:
        async with serving(metering(config), config, store) as application:
            # The worker dies between commit and ack: the link is gone when it wants to reply.
            monkeypatch.setattr(application._link, "ack", lambda *_, **__: None)
            sent = caller.publish("StartTransaction", START)
            first = await caller.reply_to(sent)
        async with serving(metering(config), config, store):
            await until(lambda: len(caller.replies[sent]) == 2)
        assert caller.replies[sent][1].payload == first.payload
        assert len(await all_rows(store, tables.transactions)) == 1


async def test_stopping_finishes_what_is_in_hand(amqp_url, database_url):
    config = worker_settings(amqp_url)
    async with migrated_store(database_url) as store, caller_on(amqp_url) as caller:
        async with serving(metering(config), config, store):
            sent = [caller.publish("StartTransaction", START, identity=f"CP-{number}") for number in range(200)]
            await caller.reply_to(sent[0])
        answered = sum(one in caller.replies for one in sent)
        assert answered == len(await all_rows(store, tables.transactions))
        async with serving(metering(config), config, store):
            for one in sent:
                await caller.reply_to(one)
        # The broker may forget an ack when its channel closes: then a Call comes again, and gets the same reply.
        assert all(len({reply.payload for reply in replies}) == 1 for replies in caller.replies.values())
        assert len(await all_rows(store, tables.transactions)) == 200


async def test_billing_data_of_a_charge_point_not_on_record_is_stored_confirmed_and_parked(
    amqp_url, sqlite_database_url
):
    async with world(amqp_url, sqlite_database_url, registration="closed") as (caller, store, _):
        assert (await caller.call("StartTransaction", START)).error is None
        assert len(await all_rows(store, tables.transactions)) == 1
        (parked,) = await all_rows(store, tables.parked_messages)
        assert (parked["reason"], parked["payload"]) == ("charge_point_unknown", START)
        assert not await all_rows(store, tables.charge_points)


async def test_a_send_is_handled_and_never_answered(amqp_url, sqlite_database_url):
    heard = []

    async def periodic(call, store) -> Any:
        heard.append(call.payload)
        return Answer({})

    action = "NotifyPeriodicEventStream"
    definition = ServiceDefinition(Service.DIAGNOSTICS, {(Version.V21, action): periodic})
    async with world(amqp_url, sqlite_database_url, lambda _: definition) as (caller, _, _):
        caller.publish(action, {"id": 1}, version=Version.V21, reply=False)
        await until(lambda: heard)
        assert not caller.replies


def _unknown_action() -> bytes:
    from contracts.envelope import CallEnvelope

    return CallEnvelope(
        "CP-1", Version.V16, "g", "x", 1, "1", "Dance", b'[2,"1","Dance",{}]', 1_777_636_740_000
    ).encode()


CALL_WITH_UNKNOWN_ACTION = _unknown_action()
