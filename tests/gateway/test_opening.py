"""The first bytes of a connection, in whatever pieces they come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.opening import BAD_REQUEST, MOST_BYTES, TOO_LARGE, Head, Opening
from tests.gateway.station import upgrade_request


def test_a_head_is_complete_with_its_empty_line_and_what_follows_is_kept() -> None:
    opening = Opening()
    assert opening.feed(b"GET / HTTP/1.1\r\n\r") is None
    assert opening.feed(b"\nmore") == Head(b"GET / HTTP/1.1\r\n\r\n", b"more")


@pytest.mark.parametrize("start", [b"\x16\x03\x01", b"POST /", b"PROXY TCP4", b"\r\n\r\n\0\r\nQUIT\n", b"get /"])
def test_what_cannot_become_a_request_is_refused_at_once(start: bytes) -> None:
    refused = Opening().feed(start)
    assert refused == BAD_REQUEST or isinstance(refused, Head)  # a complete one is for the parser to judge


def test_a_head_is_bounded_complete_or_not() -> None:
    line = b"GET /" + b"x" * MOST_BYTES
    assert Opening().feed(line) == TOO_LARGE
    assert Opening().feed(line + b"\r\n\r\n") == TOO_LARGE
    fits = b"GET /".ljust(MOST_BYTES - 4, b"x") + b"\r\n\r\n"
    assert Opening().feed(fits) == Head(fits, b"")


@given(st.lists(st.integers(1, 60), max_size=12))
def test_pieces_make_no_difference(sizes: list[int]) -> None:
    data = upgrade_request() + b"\x81\x80\0\0\0\0"
    opening, at, found = Opening(), 0, None
    for size in [*sizes, len(data)]:
        found = opening.feed(data[at : at + size])
        at += size
        if found is not None:
            break
    assert isinstance(found, Head)
    assert found.head == upgrade_request()
    assert found.head + found.rest + data[at:] == data


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_end_in_one_of_the_documented_results(pieces: list[bytes]) -> None:
    opening = Opening()
    for piece in pieces:
        found = opening.feed(piece)
        assert found is None or found in {BAD_REQUEST, TOO_LARGE} or isinstance(found, Head)
        if found is not None:
            return
