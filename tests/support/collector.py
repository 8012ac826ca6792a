"""A collector of traces as OpenTelemetry describes it: OTLP over HTTP, everything kept."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.support.calling import until


@dataclass(frozen=True)
class Seen:
    """A span as it came."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    events: tuple[str, ...]
    links: tuple[str, ...]
    start_ns: int
    end_ns: int
    failed: bool


@dataclass
class Collector:
    """What was exported to it so far; `status` is what it answers."""

    url: str = ""
    spans: list[Seen] = field(default_factory=list)
    status: int = 200
    posts: int = 0

    async def take(self, request: web.Request) -> web.Response:
        self.posts += 1
        sent = ExportTraceServiceRequest.FromString(await request.read())
        if self.status == 200:
            self.spans += _read(sent)
        return web.Response(status=self.status, body=ExportTraceServiceResponse().SerializeToString())

    def has_heard(self, posts: int) -> bool:
        """Whether so many batches came, whatever was answered."""
        return self.posts >= posts

    def trace(self, trace_id: str) -> list[Seen]:
        return [span for span in self.spans if span.trace_id == trace_id]

    async def root(self, name: str) -> Seen:
        """The span of that name without a parent, once it is here."""
        return await self.named(name, parent_id="")

    async def named(self, name: str, **more: str) -> Seen:
        """The first span of that name, once it is here."""

        def found() -> Seen | None:
            wanted = {"name": name, **more}
            return next((one for one in self.spans if all(getattr(one, k) == v for k, v in wanted.items())), None)

        seen: Seen = await until(found)
        return seen


def tree(spans: list[Seen], parent_id: str = "") -> dict[str, Any]:
    """Service and name of each span, with its children by the time at which they began."""
    children = sorted((span for span in spans if span.parent_id == parent_id), key=lambda span: span.start_ns)
    return {f"{span.service}: {span.name}": tree(spans, span.span_id) for span in children}


@asynccontextmanager
async def collector_on() -> AsyncIterator[Collector]:
    """A collector on a free port of this machine."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()


def _read(sent: ExportTraceServiceRequest) -> list[Seen]:
    return [
        Seen(
            service=_values(resource.resource.attributes)["service.name"],
            name=span.name,
            kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            attributes=_values(span.attributes),
            events=tuple(event.name for event in span.events),
            links=tuple(link.trace_id.hex() for link in span.links),
            start_ns=span.start_time_unix_nano,
            end_ns=span.end_time_unix_nano,
            failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        )
        for resource in sent.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
