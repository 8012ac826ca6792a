"""Which trace an attempt at a tracked command belongs to."""

from contracts.broker import Delivery
from contracts.tracing import Span, Tracing
from contracts.tracing.sampling import Sampling
from workers.commands.dispatching import Command
from workers.commands.tracing import CommandTraces


def command(identity: str) -> Command:
    return Command(
        identity=identity, command_id="1", action="Reset", payload=b"{}", deadline_ms=9, queued_ms=1, session=None
    )


def test_charge_points_whose_commands_have_the_same_id_have_traces_of_their_own() -> None:
    spans: list[Span] = []
    traces = CommandTraces()
    traces.tracing = Tracing(Sampling(1.0), spans.append)
    taken = {identity: command(identity) for identity in ("CP-1", "CP-2")}
    for one in taken.values():
        traces.taken(Delivery("", ""), one, tracked=True)
    for identity, one in taken.items():
        attempt = command(identity)
        traces.attempted(attempt)
        assert attempt.span is not None
        assert one.span is not None
        assert attempt.span.parent == one.span.context
