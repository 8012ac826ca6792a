"""The only room that knows OpenTelemetry: traces of Calls and commands, and the W3C context that joins their spans."""

from contracts.tracing.context import TraceContext, carried
from contracts.tracing.recording import Kind, Span, Tracing, trace_of

__all__ = ["Kind", "Span", "TraceContext", "Tracing", "carried", "trace_of"]
