"""Frames as lines: replies carry the action of their Call, and no frame whatever breaks the reading."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.frame_log import Direction, LoggedFrame
from ocppctl.frame_lines import Conversation

IN, OUT = Direction.IN, Direction.OUT


def frame(direction: Direction, body: bytes, session: str = "s1") -> LoggedFrame:
    return LoggedFrame(1_700_000_000_123, "CP-1", session, direction, body)


def texts(*frames: LoggedFrame) -> list[str]:
    conversation = Conversation()
    return [conversation.read(one).as_text().removeprefix("2023-11-14 22:13:20.123 ") for one in frames]


def test_a_reply_is_shown_with_the_action_of_its_call() -> None:
    assert texts(
        frame(IN, b'[2,"1","Heartbeat",{}]'),
        frame(OUT, b'[2,"1","Reset",{"type":"Soft"}]'),
        frame(OUT, b'[3,"1",{"currentTime":"now"}]'),
        frame(IN, b'[4,"1","NotSupported","no reset here",{}]'),
    ) == [
        "→ Heartbeat {}",
        '← Reset {"type":"Soft"}',
        '← Heartbeat result {"currentTime":"now"}',
        "→ Reset error NotSupported 'no reset here' {}",
    ]


def test_a_reply_of_another_session_is_not_taken_for_the_answer() -> None:
    assert texts(frame(IN, b'[2,"1","Heartbeat",{}]'), frame(OUT, b'[3,"1",{}]', "s2"))[1] == "← result {}"


def test_what_was_not_answered_is_forgotten_in_the_end() -> None:
    conversation = Conversation()
    for number in range(2000):
        conversation.read(frame(IN, b'[2,"%d","Heartbeat",{}]' % number))
    assert conversation.read(frame(OUT, b'[3,"0",{}]')).action == ""
    assert conversation.read(frame(OUT, b'[3,"1999",{}]')).action == "Heartbeat"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"[2]", b"[9,1]", b"[[],1]", b"\xff\xfe", b"7", b'[3,"1"]', b"[4,1]"]
    + [b'[2,"1","DataTransfer",{"data":' + b"[" * depth + b"]" * depth + b"}]" for depth in (249, 253, 400)],
)
def test_frames_that_are_no_ocpp_j_are_shown_as_they_are(body: bytes) -> None:
    line = Conversation().read(frame(IN, body))
    orjson.dumps(line.as_json())
    assert line.as_text()


@given(body=st.binary() | st.recursive(
    st.none() | st.integers(-5, 9) | st.text(max_size=4), lambda inner: st.lists(inner, max_size=6)
).map(orjson.dumps))  # fmt: skip
def test_no_frame_breaks_the_reading(body: bytes) -> None:
    line = Conversation().read(frame(OUT, body))
    orjson.dumps(line.as_json())
    line.as_text()
