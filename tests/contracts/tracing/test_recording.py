"""Which traces are recorded, and what a span is; the sink is a list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.broker import Delivery
from contracts.broker.codec import encode_headers
from contracts.tracing import Kind, Span, TraceContext, Tracing, carried, trace_of
from contracts.tracing.sampling import Sampler, Sampling

SENT = TraceContext(5, 7, sampled=True, state="a=b", remote=True)


def delivery(context: TraceContext | None) -> Delivery:
    return Delivery("", "", raw_headers=b"" if context is None else encode_headers(context.headers))


def recorded(share: float = 1.0, *, by_parent: bool = True) -> tuple[Tracing, list[Span]]:
    spans: list[Span] = []
    return Tracing(Sampling(share, by_parent=by_parent), spans.append), spans


@pytest.mark.parametrize(
    ("sampler", "argument", "expected"),
    [
        (None, None, Sampling(0.01)),
        (None, 0.5, Sampling(0.5)),
        (Sampler.PARENT_RATIO, None, Sampling(1.0)),
        (Sampler.PARENT_RATIO, 0.25, Sampling(0.25)),
        (Sampler.RATIO, 0.25, Sampling(0.25, by_parent=False)),
        (Sampler.ALWAYS_ON, 0.25, Sampling(1.0, by_parent=False)),
        (Sampler.ALWAYS_OFF, None, Sampling(0.0, by_parent=False)),
        (Sampler.PARENT_ALWAYS_OFF, None, Sampling(0.0)),
    ],
)
def test_samplers_mean_what_the_specification_says(
    sampler: Sampler | None, argument: float | None, expected: Sampling
) -> None:
    assert Sampling.of(sampler, argument) == expected


def test_about_the_share_of_all_traces_is_recorded() -> None:
    tracing, _ = recorded(0.1)
    assert 700 < sum(tracing.begin() is not None for _ in range(10_000)) < 1300


@given(st.integers(1, 2**128 - 1), st.floats(0, 1))
def test_two_processes_with_one_ratio_record_the_same_traces(trace_id: int, share: float) -> None:
    sampling = Sampling(share, by_parent=False)
    assert sampling.begins(trace_id) == sampling.follows(TraceContext(trace_id, 1, sampled=False))


@pytest.mark.parametrize("sampled", [True, False])
def test_a_trace_that_another_process_began_is_recorded_as_that_decided(sampled: bool) -> None:
    for share in (0.0, 1.0):
        tracing, _ = recorded(share)
        context = TraceContext(5, 7, sampled)
        span = tracing.processing(delivery(context), "q", dict, {}, begins=True)
        assert (span is not None) is sampled


def test_without_a_context_only_who_begins_traces_records_one() -> None:
    tracing, _ = recorded()
    assert tracing.processing(delivery(None), "q", dict, {}) is None
    begun = tracing.processing(delivery(None), "q", dict, {}, begins=True)
    assert begun is not None
    assert begun.parent is None


def test_a_span_belongs_to_its_senders_trace_and_passes_its_state_on() -> None:
    tracing, spans = recorded()
    span = tracing.processing(delivery(SENT), "q", dict, {"a": 1})
    assert span is not None
    publishing = span.publishing("there")
    publishing.end()
    span.end("broken")
    assert spans == [publishing, span]
    assert (span.name, span.kind, span.parent, span.error) == ("process q", Kind.CONSUMER, SENT, "broken")
    assert publishing.parent == span.context
    onward = carried(Delivery("", "", raw_headers=encode_headers(publishing.headers)))
    assert onward is not None
    assert (onward.trace_id, onward.span_id, onward.state) == (5, publishing.context.span_id, "a=b")
    assert trace_of(span) == f"{5:032x}"
    assert trace_of(None) is None


def test_a_span_ends_once_and_never_before_it_began() -> None:
    tracing, spans = recorded()
    span = tracing.joined(SENT, "one", Kind.INTERNAL, {})
    span.end(end_ns=span.start_ns - 5)
    span.end("late")
    assert spans == [span]
    assert (span.end_ns, span.error) == (span.start_ns, None)


def test_what_comes_back_from_another_trace_is_still_the_spans_own() -> None:
    tracing, _ = recorded()
    context = tracing.begin()
    assert context is not None
    root = tracing.root(context, "root", Kind.SERVER, {})
    assert root.receiving("reply", delivery(SENT)).parent == root.context
    own = TraceContext(context.trace_id, 99, sampled=True, remote=True)
    assert root.receiving("reply", delivery(own)).parent == own
