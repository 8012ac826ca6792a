"""W3C Trace Context in AMQP headers: what goes out comes back, what a peer makes up counts as not sent."""

import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState
from pamqp import encode

from contracts.broker import Delivery
from contracts.broker.codec import encode_headers
from contracts.tracing import TraceContext, carried
from contracts.tracing.context import MOST_STATE, read
from contracts.tracing.current import backend_headers

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"
CONTEXTS = st.builds(
    TraceContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.sampled_from(["", "congo=t61rcWkgMzE", "a=1,b=2"]),
    st.just(True),
)


def carrying(headers: dict[str, object]) -> Delivery:
    return Delivery("", "", raw_headers=encode.field_table(headers))  # type: ignore[arg-type]


@given(CONTEXTS)
def test_a_context_that_is_sent_is_the_one_that_comes(context: TraceContext) -> None:
    assert carried(Delivery("", "", raw_headers=encode_headers(context.headers))) == context


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "00",
        GOOD.upper(),
        f" {GOOD}",
        f"{GOOD}\n",
        f"{GOOD}-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE[:-1]}\u0661-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01x",
        7,
        None,
        [GOOD],
        {"traceparent": GOOD},
    ],
)
def test_a_malformed_traceparent_counts_as_none(traceparent: object) -> None:
    assert read(traceparent) is None
    assert carried(carrying({"traceparent": traceparent, "x-delivery-count": 1})) is None


@pytest.mark.parametrize("raw", [b"\x00\x00\x00\x0d\x0btraceparentq", b"\x00\x00\x00\x02\x01atraceparent"])
def test_headers_that_cannot_be_read_carry_no_context(raw: bytes) -> None:
    assert carried(Delivery("", "", raw_headers=raw)) is None


@given(st.text() | st.binary() | st.integers() | st.none())
def test_whatever_comes_as_a_traceparent_is_read_or_ignored(given_: object) -> None:
    read(given_, given_)


def test_a_later_version_with_more_fields_is_read_as_far_as_we_know_it() -> None:
    assert read(f"cc-{TRACE}-{SPAN}-09-what-the-future-will-be") == read(GOOD)


@pytest.mark.parametrize("state", ["a=" + "x" * MOST_STATE, "a=b\r\nX: y", "a=\u00e4", b"a=b", 1])
def test_a_tracestate_that_must_not_be_passed_on_is_left_out_alone(state: object) -> None:
    context = read(GOOD, state)
    assert context is not None
    assert (context.traceparent, context.state) == (GOOD, "")


@pytest.fixture
def _inside_a_span() -> Iterator[None]:
    state = TraceState.from_header(["congo=t61"])
    context = SpanContext(int(TRACE, 16), int(SPAN, 16), is_remote=False, trace_flags=TraceFlags(1), trace_state=state)
    with trace.use_span(NonRecordingSpan(context)):
        yield


@pytest.mark.usefixtures("_inside_a_span")
def test_a_backends_own_span_is_what_its_command_belongs_to() -> None:
    assert backend_headers() == {"traceparent": GOOD, "tracestate": "congo=t61"}


def test_a_backend_without_a_span_or_without_the_library_sends_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    assert backend_headers() == {}
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    assert backend_headers() == {}
