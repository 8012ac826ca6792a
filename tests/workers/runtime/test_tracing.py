"""What a worker records of Calls that share a transaction, and of the commands that follow from one."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from contracts.actions import Service
from contracts.broker import BrokerLink, Delivery
from contracts.tracing import Kind, Span, TraceContext, Tracing
from contracts.tracing.sampling import Sampling
from contracts.versions import Version
from tests.support.calling import until
from tests.support.incoming_calls import NOW, call
from tests.support.worker_store import migrated_store
from workers.runtime.attempt import CallAttempt, Work
from workers.runtime.calls import Answer, ServiceDefinition
from workers.runtime.commands import Commander
from workers.runtime.context import ServiceContext
from workers.runtime.gate import RegistrationGate
from workers.runtime.publisher import Publisher
from workers.settings import WorkerSettings

SENT = TraceContext(5, 7, sampled=True, remote=True)


def tracing_to(spans: list[Span]) -> Tracing:
    return Tracing(Sampling(1.0), spans.append)


def definition(handler) -> ServiceDefinition:
    return ServiceDefinition(Service.METERING, {(Version.V16, "Heartbeat"): handler})


async def test_calls_of_one_batch_have_their_own_spans_of_the_one_transaction(sqlite_database_url):
    spans: list[Span] = []
    tracing = tracing_to(spans)

    async def handler(one, transaction) -> Answer:
        return Answer({"currentTime": "2026-01-01T00:00:00Z"})

    works = [Work(Delivery("", ""), 1, call("Heartbeat", {}, identity=f"CP-{number}")) for number in range(3)]
    for work, trace_id in ((works[0], 10), (works[2], 30)):
        work.span = tracing.joined(TraceContext(trace_id, 1, sampled=True), "process", Kind.CONSUMER, {})
    async with migrated_store(sqlite_database_url) as store:
        await CallAttempt(definition(handler), store, RegistrationGate(create_unknown=True), lambda: NOW).run(works)
    stored = [span for span in spans if span.name == "store transaction"]
    assert [(span.context.trace_id, span.attributes["ocpp.batch_calls"], span.error) for span in stored] == [
        (10, 3, None), (30, 3, None),
    ]  # fmt: skip
    handled = [span for span in spans if span.name == "handle Heartbeat"]
    assert [span.parent for span in handled] == [work.span.context for work in works if work.span is not None]
    for handling, storing in zip(handled, stored, strict=True):
        assert storing.start_ns <= handling.start_ns
        assert handling.end_ns is not None
        assert storing.end_ns is not None
        assert handling.end_ns <= storing.end_ns


async def test_a_handler_that_raises_shows_in_handler_and_transaction(sqlite_database_url):
    spans: list[Span] = []

    async def handler(one, transaction) -> Answer:
        raise KeyError("of a payload")

    work = Work(Delivery("", ""), 1, call("Heartbeat", {}))
    work.span = tracing_to(spans).joined(SENT, "process", Kind.CONSUMER, {})
    async with migrated_store(sqlite_database_url) as store:
        attempt = CallAttempt(definition(handler), store, RegistrationGate(create_unknown=True), lambda: NOW)
        with pytest.raises(KeyError):
            await attempt.run([work])
    assert [(span.name, span.error) for span in spans] == [
        ("handle Heartbeat", "KeyError"), ("store transaction", "KeyError"),
    ]  # fmt: skip


class RecordingLink:
    """Takes publishes and never confirms them."""

    reply_queue = "replies"

    def __init__(self) -> None:
        self.headers: dict[str, Mapping[str, str] | None] = {}

    def publish(self, exchange: str, key: str, body: bytes, *, headers: Mapping[str, str] | None, **_: Any) -> None:
        self.headers[key] = headers


async def test_a_command_that_follows_from_a_call_belongs_to_its_trace_and_to_no_other_calls(sqlite_database_url):
    spans: list[Span] = []

    async def handler(one, transaction) -> Answer:
        async def ask(context) -> None:
            await context.commander.send(one.identity, "Reset", {}, datetime.now(UTC) + timedelta(seconds=20))

        transaction.after_commit(ask)
        return Answer({"currentTime": "2026-01-01T00:00:00Z"})

    works = [Work(Delivery("", ""), 1, call("Heartbeat", {}, identity=identity)) for identity in ("CP-1", "CP-2")]
    works[0].span = tracing_to(spans).joined(SENT, "process", Kind.CONSUMER, {})
    link = RecordingLink()
    commander = Commander(cast("BrokerLink", link), outstanding=5)
    async with migrated_store(sqlite_database_url) as store:
        attempt = CallAttempt(definition(handler), store, RegistrationGate(create_unknown=True), lambda: NOW)
        done = await attempt.run(works)
        context = ServiceContext(store, commander, cast("Publisher", None), WorkerSettings())
        tasks = [asyncio.ensure_future(effect(context)) for effect in done.effects]
        await until(lambda: len(link.headers) == 2)
        commander.link_lost()
        await asyncio.gather(*tasks)
    (sent,) = (span for span in spans if span.name == "send Reset")
    assert link.headers == {"CP-1": sent.headers, "CP-2": None}
    assert sent.parent == works[0].span.context
    assert sent.attributes["ocpp.outcome"] == "unknown"
