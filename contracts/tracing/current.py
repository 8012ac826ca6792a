"""The span that code is under which is not told: work that follows a commit, and backends with tracing of their own."""

import sys
from contextvars import ContextVar

from contracts.tracing.context import TRACEPARENT, TRACESTATE
from contracts.tracing.recording import Span

span: ContextVar[Span | None] = ContextVar("span", default=None)
"""Of the Call whose consequences the present task carries out, when it is recorded."""


def backend_headers() -> dict[str, str]:
    """The context of the OpenTelemetry span that the calling backend is in; empty when it has none, or no such library.

    Nothing is imported for it: who has a span has imported the library.
    """
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return {}
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags) & 1:02x}"
    state = context.trace_state.to_header()
    return {TRACEPARENT: traceparent, TRACESTATE: state} if state else {TRACEPARENT: traceparent}
