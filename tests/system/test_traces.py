"""Gateway, worker and commands service in this process, each exporting as in its own: every hop in one tree."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection

from contracts.client import CommandClient
from contracts.commands import CommandReceipt
from contracts.tracing import TraceContext, Tracing, carried
from contracts.tracing.settings import TracingSettings
from contracts.tracing.starting import started
from gateway.app import Gateway
from tests.gateway.conftest import settings as gateway_settings
from tests.gateway.station import call, hear, plug_in, say
from tests.support.calling import until
from tests.support.collector import Collector, collector_on, tree
from tests.support.commanding import command_caller_on, desk_of
from tests.support.serving import serving, worker_settings
from tests.support.worker_store import migrated_store
from workers.authorization.service import service as authorization
from workers.commands.service import service as commands
from workers.runtime.application import Application

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
RESET = ("Reset", {"type": "Soft"})
ACCEPTED = {"status": "Accepted"}
SENDER = TraceContext(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, sampled=True)


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    async with collector_on() as running:
        for name, value in {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_TRACES_SAMPLER": "parentbased_always_on",
            "OTEL_EXPORTER_OTLP_ENDPOINT": running.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }.items():
            monkeypatch.setenv(name, value)
        yield running


@asynccontextmanager
async def traced(component: str) -> AsyncIterator[Tracing]:
    tracing = started(TracingSettings(), component)
    assert tracing is not None
    try:
        yield tracing
    finally:
        await asyncio.to_thread(tracing.close)


@asynccontextmanager
async def system(amqp_url: str, database_url: str) -> AsyncIterator[Gateway]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(migrated_store(database_url))
        config = worker_settings(amqp_url)
        services: list[Application] = []
        for make, name in ((authorization, "authorization"), (commands, "commands")):
            tracing = await stack.enter_async_context(traced(f"ocpp-worker-{name}"))
            services.append(await stack.enter_async_context(serving(make(config), config, store, tracing=tracing)))
        gateway = Gateway(
            gateway_settings(amqp_url=amqp_url, gateway_id="gw"),
            await stack.enter_async_context(traced("ocpp-gateway")),
        )
        await gateway.start()
        stack.push_async_callback(gateway.close)
        await until(lambda: gateway.link.up and desk_of(services[1]).complete)
        yield gateway


@pytest.fixture
async def gateway(amqp_url, sqlite_database_url, collector):
    async with system(amqp_url, sqlite_database_url) as running:
        yield running


async def answered(station: ClientConnection, payload: dict[str, str] = ACCEPTED) -> None:
    """The charge point's part of a command."""
    _, unique_id, *_ = await hear(station)
    await say(station, 3, unique_id, payload)


async def test_a_call_is_one_tree_from_socket_to_store_and_back(gateway, collector, capsys):
    async with await plug_in(gateway, additional_headers={"traceparent": SENDER.traceparent}) as station:
        assert (await call(station, "boot-1", "BootNotification", BOOT))[0] == 3
    boot, connect = await collector.root("Call BootNotification"), await collector.root("connect")
    await collector.named("process ocpp.calls.authorization", trace_id=boot.trace_id)
    await collector.named("receive reply", trace_id=boot.trace_id)
    spans = collector.trace(boot.trace_id)
    assert tree(spans) == {
        "ocpp-gateway: Call BootNotification": {
            "ocpp-gateway: publish ocpp.calls": {
                "ocpp-worker-authorization: process ocpp.calls.authorization": {
                    "ocpp-worker-authorization: store transaction": {},
                    "ocpp-worker-authorization: handle BootNotification": {},
                    "ocpp-worker-authorization: publish reply": {"ocpp-gateway: receive reply": {}},
                }
            }
        }
    }
    kinds = {span.name: span.kind for span in spans}
    assert [kinds[name] for name in ("Call BootNotification", "publish ocpp.calls", "store transaction")] == [
        "SERVER", "PRODUCER", "CLIENT",
    ]  # fmt: skip
    assert boot.attributes == {
        "ocpp.version": "1.6", "ocpp.action": "BootNotification", "ocpp.unique_id": "boot-1", "ocpp.identity": "CP-1",
        "ocpp.session": connect.attributes["ocpp.session"], "ocpp.outcome": "result",
    }  # fmt: skip
    assert boot.events == ("answer written",)
    store = next(span for span in spans if span.name == "store transaction")
    assert store.attributes == {"db.system": "sqlite", "ocpp.batch_calls": 1}
    assert all(boot.start_ns <= span.start_ns <= span.end_ns for span in spans)
    # What came with the handshake is linked to: a charge point has no say in what is recorded.
    assert connect.links == (SENDER.trace,)
    assert connect.trace_id != SENDER.trace
    lines = capsys.readouterr().out.splitlines()
    for event in ("call.handled", "call.answered"):
        assert [f"trace={boot.trace_id}" in line for line in lines if event in line] == [True]


async def test_a_command_continues_its_senders_trace_to_the_charge_point_and_back(gateway, collector, amqp_url):
    async with CommandClient(amqp_url) as client, await plug_in(gateway) as station:
        asked = asyncio.create_task(client.call("CP-1", *RESET, traceparent=SENDER.traceparent))
        await answered(station)
        assert (await asked).ok
    entry = await collector.named("process ocpp.commands")
    await collector.named("receive outcome")
    await collector.named("command Reset")
    await collector.named("publish outcome", parent_id=entry.span_id)
    commands, gateway_name = "ocpp-worker-commands", "ocpp-gateway"
    assert tree(collector.trace(SENDER.trace), f"{SENDER.span_id:016x}") == {
        f"{commands}: {entry.name}": {
            f"{commands}: publish ocpp.gateways": {
                f"{gateway_name}: command Reset": {
                    f"{gateway_name}: charge point": {},
                    f"{gateway_name}: publish outcome": {f"{commands}: receive outcome": {}},
                }
            },
            f"{commands}: publish outcome": {},
        }
    }
    assert entry.attributes["ocpp.outcome"] == "result"


async def test_a_command_without_a_trace_begins_one_that_its_outcome_carries(gateway, collector, amqp_url):
    async with command_caller_on(amqp_url) as caller, await plug_in(gateway) as station:
        asked = caller.ask("CP-1")
        await answered(station)
        assert (await caller.outcome(asked)).ok
        told = carried(caller.deliveries[-1])
    assert told is not None
    entry = await collector.root("process ocpp.commands")
    sent = await collector.named("publish outcome", parent_id=entry.span_id)
    assert (told.trace, f"{told.span_id:016x}") == (sent.trace_id, sent.span_id)


async def test_a_tracked_command_is_dispatched_within_its_senders_trace(gateway, collector, amqp_url):
    async with CommandClient(amqp_url) as client, await plug_in(gateway) as station:
        receipt = await client.track("CP-1", *RESET, traceparent=SENDER.traceparent)
        assert isinstance(receipt, CommandReceipt)
        await answered(station)
        dispatch = await collector.named("dispatch Reset")
    entry = await collector.named("process ocpp.commands")
    assert (entry.trace_id, dispatch.trace_id, dispatch.parent_id) == (SENDER.trace, SENDER.trace, entry.span_id)
    publish = await collector.named("publish ocpp.gateways")
    assert publish.parent_id == dispatch.span_id
    assert (await collector.named("command Reset")).parent_id == publish.span_id
