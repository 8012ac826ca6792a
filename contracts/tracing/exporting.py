"""OpenTelemetry's SDK behind our spans. Imported only when tracing is on: it takes 0.3 s and 25 MB.

Spans come here when they have ended, and are made anew as the SDK's, with the ids that they have had all the time; a
thread of the SDK sends them in batches.
"""

import logging
import sys
import threading
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from contracts.tracing.context import TraceContext
from contracts.tracing.recording import Span, Tracing
from contracts.tracing.sampling import Sampling
from contracts.tracing.sdk_log import SDK, SdkLog
from contracts.tracing.settings import TracesExporter, TracingSettings

_log = logging.getLogger(SDK)  # bounded, as what the SDK itself has to say

FLUSH_S = 3.0
"""How long the end of a process may wait for a collector that takes the last spans slowly, or not at all."""


class Exporting:
    """One process's way to its collector: a sink for ended spans. Owns the SDK's thread until `close`."""

    def __init__(self, exporter: SpanExporter, component: str, instance: str) -> None:
        """Raises ValueError when OTEL_BSP_* contradict each other."""
        self._ids = _GivenIds()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # what comes here has been chosen
            resource=_resource(component, instance),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("ocpp-gateway", version("ocpp-gateway"))

    def take(self, span: Span) -> None:
        """Queue an ended span; with a full queue the SDK drops the oldest. Raises nothing: a Call is on its way."""
        try:
            self._take(span)
        except Exception:  # noqa: BLE001 - whatever the SDK makes of a span, no Call may go without its answer for it
            _log.exception("A span was lost.")

    def _take(self, span: Span) -> None:
        parent = None if span.parent is None else set_span_in_context(NonRecordingSpan(_sdk_context(span.parent)))
        self._ids.next_trace_id, self._ids.next_span_id = span.context.trace_id, span.context.span_id
        exported = self._tracer.start_span(
            span.name,
            set_span_in_context(NonRecordingSpan(_NOWHERE)) if parent is None else parent,
            SpanKind(span.kind.value),
            span.attributes,
            None if span.link is None else [Link(_sdk_context(span.link))],
            span.start_ns,
        )
        for name, at_ns in span.events:
            exported.add_event(name, timestamp=at_ns)
        if span.error is not None:
            exported.set_status(Status(StatusCode.ERROR, span.error))
        exported.end(span.end_ns)

    def close(self) -> None:
        """Send what is queued, for `FLUSH_S` at most. Blocks."""
        # In a thread, since the SDK itself would wait ten times as long; what is not done then is given up.
        closing = threading.Thread(target=self._provider.shutdown, name="traces-end", daemon=True)
        closing.start()
        closing.join(FLUSH_S)


class _GivenIds(IdGenerator):
    """Gives the next span the ids that it has on the wire already."""

    next_trace_id = next_span_id = 1

    def generate_trace_id(self) -> int:
        return self.next_trace_id

    def generate_span_id(self) -> int:
        return self.next_span_id


_NOWHERE = SpanContext(0, 0, is_remote=False)


def _sdk_context(context: TraceContext) -> SpanContext:
    return SpanContext(
        context.trace_id,
        context.span_id,
        is_remote=context.remote,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header([context.state]) if context.state else None,
    )


def _resource(component: str, instance: str) -> Resource:
    """Who we are, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES say otherwise."""
    ours = {"service.name": component, "service.version": version("ocpp-gateway"), "service.instance.id": instance}
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})


def exporting(settings: TracingSettings, sampling: Sampling, component: str, instance: str) -> Tracing:
    """Tracing to the exporter of the settings. Raises ValueError when a variable that the SDK reads is unusable."""
    SdkLog.install()  # first: what the SDK says of a header that it cannot read names the header
    otlp = settings.traces_exporter is TracesExporter.OTLP
    exporter: SpanExporter = OTLPSpanExporter() if otlp else ConsoleSpanExporter(out=sys.stdout)
    way = Exporting(exporter, component, instance)
    return Tracing(sampling, way.take, way.close)
