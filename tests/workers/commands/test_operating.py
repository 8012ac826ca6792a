"""What operators ask for, through the broker and on both stores."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from contracts import topology
from contracts.bodies import ContentType, encode
from contracts.broker import Delivery
from contracts.commands import CommandOutcome
from contracts.envelope import OutcomeKind
from contracts.operator import Operation, OperatorAnswer, OperatorRequest
from tests.support.calling import until
from tests.support.commanding import commands_service
from tests.support.meters import Meter
from tests.support.operating import operator_on
from tests.support.scripted_gateway import gateway_on
from tests.support.tracked import submitted
from tests.support.worker_store import migrated_store
from workers.commands.operating import answer_operator, answer_to
from workers.runtime import operator_answering
from workers.store import commands, tables

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@asynccontextmanager
async def asking(database_url) -> AsyncIterator[Any]:
    """A store, and a way to ask it as an operator."""
    async with migrated_store(database_url) as store:

        async def ask(operation: Operation, **given: Any) -> OperatorAnswer:
            async with store.transaction() as transaction:
                return await answer_to(OperatorRequest(operation=operation, arguments=given), NOW, transaction)

        yield store, ask


async def test_a_request_and_its_answer_travel_in_the_askers_content_type(amqp_url, sqlite_database_url):
    async with (
        commands_service(amqp_url, sqlite_database_url),
        gateway_on(amqp_url, "CP-1"),
        operator_on(amqp_url) as operator,
    ):
        for content_type in ContentType:
            async with asyncio.timeout(20):
                while not (items := (await operator.ask(Operation.SESSIONS, content_type=content_type)).items):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            (item,) = items
            assert set(item) == {"identity", "gateway", "session", "epoch", "ocpp_version", "remote", "opened_at"}
            assert (item["identity"], item["gateway"], item["opened_at"][-1]) == ("CP-1", "gw-1", "Z")
        unreadable = await operator.ask_raw(b"{", "application/json")
        assert (unreadable.ok, unreadable.error) == (False, "bad_request")


async def test_a_change_is_logged_after_its_commit_and_tokens_are_not_in_the_log(amqp_url, sqlite_database_url):
    async with commands_service(amqp_url, sqlite_database_url), operator_on(amqp_url) as operator:
        with structlog.testing.capture_logs() as logs:
            assert (await operator.ask(Operation.ADD_TOKEN, id_token="SECRET-1")).ok
            assert (await operator.ask(Operation.ADD_CHARGE_POINT, identity="CP-9")).ok
            await until(lambda: sum(line["event"] == "operator.changed" for line in logs) == 2)
    changed = [(line["operation"], line["identity"]) for line in logs if line["event"] == "operator.changed"]
    assert changed == [("add-token", None), ("add-charge-point", "CP-9")]
    assert "SECRET-1" not in repr(logs)


async def test_commands_are_shown_with_their_outcomes(database_url):
    async with asking(database_url) as (store, ask):
        await submitted(store, "c-1", NOW)
        ended = await submitted(store, "c-2", NOW, identity="CP-2")
        outcome = tracked_outcome("c-2")
        async with store.transaction() as transaction:
            assert await commands.settle(transaction, ended, outcome, NOW)
        (item,) = (await ask(Operation.COMMAND, command_id="c-2")).items
        assert item == {
            "command_id": "c-2",
            "identity": "CP-2",
            "action": "RemoteStartTransaction",
            "state": "ended",
            "outcome": "expired",
            "reason": "deadline",
            "attempts": 0,
            "created_at": "2026-05-01T12:00:00Z",
            "deadline_at": "2026-05-01T13:00:00Z",
            "ended_at": "2026-05-01T12:00:00Z",
            "result": outcome.model_dump(mode="json"),
        }
        assert (await ask(Operation.COMMAND, command_id="c-3")).error == "not_found"

        async def listed(**given: Any) -> list[str]:
            return [item["command_id"] for item in (await ask(Operation.COMMANDS, **given)).items]

        assert [item.get("result") for item in (await ask(Operation.COMMANDS)).items] == [None, None]
        assert await listed() == ["c-2", "c-1"]
        assert await listed(open=True) == ["c-1"]
        assert await listed(open=False) == ["c-2"]
        assert await listed(identity="CP-1", limit=1) == ["c-1"]


def tracked_outcome(command_id: str) -> Any:
    return CommandOutcome(
        command_id=command_id, identity="CP-2", outcome=OutcomeKind.EXPIRED, reason="deadline", tracked=True
    )


async def test_a_charge_point_is_added_shown_and_blocked_and_each_may_be_asked_for_twice(database_url):
    async with asking(database_url) as (store, ask):
        assert (await ask(Operation.CHARGE_POINT, identity="CP-1")).error == "not_found"
        assert (await ask(Operation.BLOCK_CHARGE_POINT, identity="CP-1")).error == "not_found"
        for _ in range(2):
            added = await ask(Operation.ADD_CHARGE_POINT, identity="CP-1")
            assert added.items == [{"identity": "CP-1", "registration": "accepted"}]
        await state(store, "CP-1")
        (shown,) = (await ask(Operation.CHARGE_POINT, identity="CP-1")).items
        assert (shown["session"], shown["registration"]) == (None, "accepted")
        assert shown["connectors"][0]["reported_at"] == "2026-05-01T12:00:00Z"
        for _ in range(2):
            blocked = await ask(Operation.BLOCK_CHARGE_POINT, identity="CP-1")
            assert blocked.items == [{"identity": "CP-1", "registration": "rejected"}]
        again = await ask(Operation.ADD_CHARGE_POINT, identity="CP-1")
        assert again.items[0]["registration"] == "rejected"
        let_in = await ask(Operation.ADD_CHARGE_POINT, identity="CP-1", registration="accepted")
        assert let_in.items[0]["registration"] == "accepted"


async def state(store, identity) -> None:
    async with store.transaction() as transaction:
        row = {"identity": identity, "evse_id": 0, "connector_id": 1, "status": "Available"}
        await transaction.run(tables.connector_states.insert(), {**row, "reported_at": NOW, "received_at": NOW})


async def test_tokens_are_put_found_whatever_their_case_and_blocked(database_url):
    async with asking(database_url) as (_, ask):
        added = await ask(Operation.ADD_TOKEN, id_token="Card-1", expires_at="2030-01-01T01:00:00+01:00", group="Fleet")
        expected = {
            "id_token": "Card-1",
            "status": "Accepted",
            "expires_at": "2030-01-01T00:00:00Z",
            "group_token": "Fleet",
            "concurrent": False,
        }
        assert added.items == [expected]
        assert (await ask(Operation.TOKENS, id_token="CARD-1")).items == [expected]
        assert (await ask(Operation.TOKENS, id_token="other")).error == "not_found"
        assert (await ask(Operation.BLOCK_TOKEN, id_token="card-1")).items == [{**expected, "status": "Blocked"}]
        assert (await ask(Operation.BLOCK_TOKEN, id_token="other")).error == "not_found"
        assert (await ask(Operation.TOKENS)).items[0]["status"] == "Blocked"


async def test_transactions_are_shown_active_or_not(database_url):
    async with asking(database_url) as (store, ask):
        async with store.transaction() as transaction:
            for key, state_now in (("a", "active"), ("b", "ended"), ("c", "abandoned")):
                row = {"identity": "CP-1", "natural_key": key, "ocpp_version": "1.6", "state": state_now}
                await transaction.run(tables.transactions.insert(), {**row, "started_at": NOW, "flags": "late schema"})
        items = (await ask(Operation.TRANSACTIONS, identity="CP-1")).items
        assert [item["state"] for item in items] == ["abandoned", "ended", "active"]
        assert set(items[0]) == {
            "id", "transaction_id", "identity", "ocpp_version", "state", "id_token", "started_at", "ended_at",
            "energy_wh", "stop_reason", "flags",
        }  # fmt: skip
        assert items[0]["flags"] == ["late", "schema"]
        assert [item["state"] for item in (await ask(Operation.TRANSACTIONS, active=True)).items] == ["active"]
        assert len((await ask(Operation.TRANSACTIONS, active=False)).items) == 2


@pytest.mark.parametrize(
    ("operation", "given", "words"),
    [
        (Operation.SESSIONS, {"limit": 0}, ["limit", "greater than or equal to 1", "[gateway], [identity], [limit]"]),
        (Operation.SESSIONS, {"limit": 1001}, ["limit", "less than or equal to 1000"]),
        (Operation.SESSIONS, {"limit": "7"}, ["limit"]),
        (Operation.COMMAND, {}, ["command_id", "the arguments are command_id"]),
        (Operation.TOKENS, {"token": "SECRET"}, ["token", "not permitted", "[id_token], [limit]"]),
        (Operation.ADD_TOKEN, {"id_token": "SECRET", "status": "SECRET"}, ["status", "'Accepted', 'Blocked'"]),
        (Operation.ADD_TOKEN, {"id_token": "SECRET", "expires_at": "2030-01-01T00:00:00"}, ["expires_at"]),
        (Operation.ADD_CHARGE_POINT, {"identity": ""}, ["identity"]),
        (Operation.ADD_TOKEN, {"id_token": "SECRET", "expires_at": "0001-01-01T00:00+14:00"}, ["expires_at", "UTC"]),
        (Operation.ADD_TOKEN, {"id_token": "SECRET", "expires_at": "9999-12-31T23:59-14:00"}, ["expires_at", "UTC"]),
    ],
)
async def test_bad_arguments_are_named_with_those_there_may_be_and_never_quoted(
    sqlite_database_url, operation, given, words
):
    async with asking(sqlite_database_url) as (_, ask):
        answer = await ask(operation, **given)
        assert (answer.ok, answer.error) == (False, "bad_request")
        assert [word for word in words if word not in answer.description] == []
        assert "SECRET" not in answer.description


async def test_an_answer_that_no_client_would_take_is_refused_in_words(sqlite_database_url):
    async with asking(sqlite_database_url) as (store, ask):
        for number in range(3):
            assert (await ask(Operation.ADD_TOKEN, id_token=f"{number:03}".ljust(255, "ö"), group="\x01" * 255)).ok
        body = OperatorRequest(operation=Operation.TOKENS, arguments={"limit": 1000}).encode()
        async with store.transaction() as transaction:
            small = await answer_operator(delivery_of(body), NOW, transaction)
        assert OperatorAnswer.decode(small.body).ok
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(operator_answering, "MAX_BYTES", len(small.body) - 1)
            async with store.transaction() as transaction:
                large = OperatorAnswer.decode((await answer_operator(delivery_of(body), NOW, transaction)).body)
    assert (large.error, "limit" in large.description) == ("bad_request", True)


async def test_an_unknown_operation_is_told_which_there_are(sqlite_database_url):
    body = encode({"v": 1, "t": "operator-request", "operation": "dance"}, ContentType.JSON)
    async with migrated_store(sqlite_database_url) as store, store.transaction() as transaction:
        answer = OperatorAnswer.decode((await answer_operator(delivery_of(body), NOW, transaction)).body)
    assert (answer.error, "charge-point" in answer.description) == ("bad_request", True)


def delivery_of(body: bytes) -> Delivery:
    return Delivery(topology.OPERATIONS, topology.OPERATOR, body, queue=topology.OPERATOR)


async def test_meter_keys_are_put_on_record_listed_and_removed(database_url):
    meter = Meter()
    async with asking(database_url) as (_, ask):
        for form in (meter.pem, meter.point):
            added = await ask(Operation.ADD_METER_KEY, identity="CP-1", public_key=form, meter_serial="M-1")
        (item,) = (await ask(Operation.METER_KEYS, identity="CP-1")).items
        assert added.items == [item]
        assert (item["public_key"], item["meter_serial"]) == (meter.public_key, "M-1")
        bad = await ask(Operation.ADD_METER_KEY, identity="CP-1", public_key="SECRET-text")
        assert (bad.error, "SECRET" in bad.description) == ("bad_request", False)
        for given in ({}, {"public_key": meter.pem, "remove": "x"}):
            assert (await ask(Operation.ADD_METER_KEY, identity="CP-1", **given)).error == "bad_request"
        assert (await ask(Operation.ADD_METER_KEY, identity="CP-1", remove="x")).error == "not_found"
        assert (await ask(Operation.ADD_METER_KEY, identity="CP-1", remove=item["fingerprint"])).items == []
