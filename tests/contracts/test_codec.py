"""The AMQP codec: its frames are those pamqp reads, and it reads those pamqp writes, however they are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import base, body, commands, common, encode, frame, header

from contracts.broker import codec
from contracts.broker.codec import Delivery, Returned
from contracts.errors import BrokerRefusedError

SHORT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)


class Recorder:
    def __init__(self) -> None:
        self.seen: list[object] = []

    def on_delivery(self, delivery: Delivery) -> None:
        self.seen.append(delivery)

    def on_return(self, returned: Returned) -> None:
        self.seen.append(returned)

    def on_confirm(self, tag: int, multiple: bool, taken: bool) -> None:
        self.seen.append((tag, multiple, taken))

    def on_method(self, channel: int, method: base.Frame) -> None:
        self.seen.append((channel, method.name))


def unmarshal_all(data: bytes) -> list[object]:
    frames: list[object] = []
    while data:
        size, channel, value = frame.unmarshal(data)
        assert channel == codec.CHANNEL
        frames.append(value)
        data = data[size:]
    return frames


@given(
    exchange=SHORT, key=SHORT, content=st.binary(max_size=5000), correlation_id=SHORT, reply_to=SHORT, message_id=SHORT,
    kind=SHORT, expiration=st.none() | st.integers(0, 10**9), persistent=st.booleans(), mandatory=st.booleans(),
    headers=st.none() | st.dictionaries(SHORT, st.text(max_size=300), max_size=3),
    content_type=st.sampled_from(["", "a/b"]),
)  # fmt: skip
def test_a_publish_is_what_the_amqp_library_reads(
    exchange: str, key: str, content: bytes, correlation_id: str, reply_to: str, message_id: str, kind: str,
    expiration: int | None, persistent: bool, mandatory: bool, headers: dict[str, str] | None, content_type: str,
) -> None:  # fmt: skip
    data = codec.encode_publish(
        exchange, key, content, frame_max=1024, mandatory=mandatory, persistent=persistent, content_type=content_type,
        correlation_id=correlation_id, reply_to=reply_to, message_id=message_id, type=kind, expiration_ms=expiration,
        headers=headers,
    )  # fmt: skip
    method, head, *chunks = unmarshal_all(data)
    assert isinstance(method, commands.Basic.Publish)
    assert (method.exchange, method.routing_key, method.mandatory) == (exchange, key, mandatory)
    assert isinstance(head, header.ContentHeader)
    properties = head.properties
    assert (properties.content_type or "") == content_type
    assert (properties.headers or {}) == (headers or {})
    assert properties.delivery_mode == (2 if persistent else 1)
    assert (properties.correlation_id or "") == correlation_id
    assert (properties.reply_to or "") == reply_to
    assert (properties.message_id or "") == message_id
    assert (properties.message_type or "") == kind
    assert properties.expiration == (None if expiration is None else str(expiration))
    assert head.body_size == len(content)
    assert b"".join(chunk.value for chunk in chunks if isinstance(chunk, body.ContentBody)) == content


def test_a_short_string_over_255_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="255"):
        codec.encode_publish("", "ä" * 128, b"", frame_max=1024)


@given(tag=st.integers(1, 2**60), flag=st.booleans())
def test_ack_and_reject_are_what_the_amqp_library_reads(tag: int, flag: bool) -> None:
    (ack,) = unmarshal_all(codec.encode_ack(tag, multiple=flag))
    (reject,) = unmarshal_all(codec.encode_reject(tag, requeue=flag))
    assert isinstance(ack, commands.Basic.Ack)
    assert (ack.delivery_tag, ack.multiple) == (tag, flag)
    assert isinstance(reject, commands.Basic.Reject)
    assert (reject.delivery_tag, reject.requeue) == (tag, flag)


def broker_bytes(content: bytes, headers: common.FieldTable | None) -> bytes:
    properties = commands.Basic.Properties(
        content_type="t/x", content_encoding="e", headers=headers, delivery_mode=2, priority=3, correlation_id="c",
        reply_to="r", expiration="5", message_id="m", message_type="k", app_id="ignored",
    )  # fmt: skip
    chunks = [content[at : at + 700] for at in range(0, len(content), 700)]
    frames: tuple[frame.FrameTypes, ...] = (
        commands.Basic.Deliver("q", 7, True, "ex", "key"),
        header.ContentHeader(0, len(content), properties),
        *(body.ContentBody(chunk) for chunk in chunks),
        commands.Basic.Return(312, "NO_ROUTE", "ex", "key"),
        header.ContentHeader(0, 0, properties),
        commands.Basic.Ack(3, True),
        commands.Basic.Nack(4, False),
        commands.Channel.OpenOk(),
    )
    return b"".join(frame.marshal(value, codec.CHANNEL) for value in frames)


@given(content=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 4000), max_size=12),
       count=st.none() | st.integers(0, 9))  # fmt: skip
def test_what_the_broker_writes_is_read_however_it_is_cut(content: bytes, cuts: list[int], count: int | None) -> None:
    data = broker_bytes(content, None if count is None else {"x-delivery-count": count, "x": "y"})
    recorder = Recorder()
    reader = codec.FrameReader(recorder)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, stop in pairwise(edges):
        reader.feed(data[start:stop])
    delivery, returned, *others = recorder.seen
    assert isinstance(delivery, Delivery)
    assert (delivery.queue, delivery.tag, delivery.redelivered, delivery.exchange) == ("q", 7, True, "ex")
    assert (delivery.body, delivery.routing_key, delivery.delivery_count) == (content, "key", count or 0)
    assert isinstance(returned, Returned)
    assert (returned.reply_code, returned.reply_text, returned.body) == (312, "NO_ROUTE", b"")
    for message in (delivery, returned):
        assert (message.content_type, message.correlation_id, message.reply_to) == ("t/x", "c", "r")
        assert (message.message_id, message.type) == ("m", "k")
    assert others == [(3, True, True), (4, False, False), (1, "Channel.OpenOk")]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "x", "xx"]), SHORT, st.booleans()), max_size=8))
def test_each_delivery_has_its_own_names_whatever_the_one_before_had(
    deliveries: list[tuple[str, str, str, bool]],
) -> None:
    recorder = Recorder()
    reader = codec.FrameReader(recorder)
    for tag, (consumer, exchange, key, redelivered) in enumerate(deliveries):
        for value in (
            commands.Basic.Deliver(consumer, tag, redelivered, exchange, key),
            header.ContentHeader(0, 0, commands.Basic.Properties()),
        ):
            reader.feed(frame.marshal(value, codec.CHANNEL))
    read = [
        (one.queue, one.exchange, one.routing_key, one.redelivered)
        for one in recorder.seen
        if isinstance(one, Delivery)
    ]
    assert read == deliveries
    assert [one.tag for one in recorder.seen if isinstance(one, Delivery)] == list(range(len(deliveries)))


def nested(depth: int) -> bytes:
    """A headers table in a table, and so on, which a broker passes on unread."""
    table = b""
    for _ in range(depth):
        table = b"\x01aF" + len(table).to_bytes(4) + table
    return len(table).to_bytes(4) + table


@pytest.mark.parametrize(
    "raw", [b"\x00\x00\x00\x02\x01a", b"\x00\x00\x00\x03\x01aq", nested(3000)], ids=["cut", "of no type", "deep"]
)
def test_headers_that_cannot_be_read_count_as_no_delivery_before(raw: bytes) -> None:
    assert Delivery("", "", raw_headers=raw).delivery_count == 0


def test_a_publishers_own_delivery_count_of_another_type_is_ignored() -> None:
    raw = encode.field_table({"x-delivery-count": "many"})
    assert Delivery("", "", raw_headers=raw).delivery_count == 0


@pytest.mark.parametrize(
    "data",
    [
        b"AMQP\x00\x00\x09\x01",
        b"\x01\x00\x01\xff\xff\xff\xff",
        b"\x01\x00\x01\x00\x00\x00\x04\x00\x3c\x00\x50X",
        frame.marshal(header.ContentHeader(0, 5, commands.Basic.Properties()), 1),
        frame.marshal(body.ContentBody(b"x"), 1),
    ],
)
def test_bytes_that_are_not_amqp_are_refused(data: bytes) -> None:
    with pytest.raises(BrokerRefusedError):
        codec.FrameReader(Recorder()).feed(data)
