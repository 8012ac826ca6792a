"""The spans of a Call in a worker: the handler, the transaction that it shares, and what follows the commit."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from contracts.actions import label
from contracts.tracing import Kind, Span
from contracts.tracing import current as current_span
from contracts.tracing.attributes import of_call
from contracts.tracing.recording import Value
from workers.runtime.calls import Effect, IncomingCall
from workers.runtime.context import ServiceContext


def attributes_of(call: IncomingCall) -> dict[str, Value]:
    """What names a Call in its trace."""
    return of_call(call.identity, call.session, call.version, call.unique_id, call.action)


@contextmanager
def handling(span: Span, call: IncomingCall) -> Iterator[None]:
    """The handler's decision, inside the transaction."""
    with _ended(span.child(f"handle {label(call.action)}")):
        yield


@contextmanager
def storing(recorded: Sequence[Span | None], database: str) -> Iterator[None]:
    """The transaction of a batch of Calls, for each that is recorded: they share the time and the commit."""
    attributes: dict[str, Value] = {"db.system": database, "ocpp.batch_calls": len(recorded)}
    spans = [span.child("store transaction", Kind.CLIENT, {**attributes}) for span in recorded if span is not None]
    if not spans:
        yield
        return
    with _ended(*spans):
        yield


def under(span: Span, effect: Effect) -> Effect:
    """The effect, such that the commands it sends belong to the Call's trace."""

    async def run(context: ServiceContext) -> None:
        current_span.span.set(span)  # each effect runs in a task of its own, and so does this variable
        await effect(context)

    return run


@contextmanager
def _ended(*spans: Span) -> Iterator[None]:
    error: str | None = "cancelled"
    try:
        yield
        error = None
    except Exception as raised:
        error = type(raised).__name__
        raise
    finally:
        for span in spans:
            span.end(error)
