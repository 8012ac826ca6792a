"""The Authorization header, well-formed and otherwise."""

from base64 import b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.credentials_shown import MOST_CHARACTERS, Shown, read


def basic(raw: bytes, scheme: str = "Basic ") -> str:
    return scheme + b64encode(raw).decode()


@given(st.binary(max_size=200).filter(lambda name: b":" not in name), st.binary(max_size=200))
@example(b"", b"")
@example(b"CP-1", b":\x00\xff:")
def test_any_bytes_come_through_split_at_the_first_colon_with_or_without_padding(name: bytes, secret: bytes) -> None:
    header = basic(name + b":" + secret)
    assert read(header) == Shown(name, secret)
    assert read(header.rstrip("=")) == Shown(name, secret)
    assert read(f"  {header.replace('Basic', 'bAsIc')}  ") == Shown(name, secret)


@given(st.text(max_size=300) | st.text("Basic Zm9vOmJhcg==:", max_size=60).map("Basic ".__add__))
def test_no_header_raises(header: str) -> None:
    shown = read(header)
    assert shown is None or isinstance(shown, Shown)


@pytest.mark.parametrize("header", [None, "", "Bearer abc", "Digest username=x", "Basi"])
def test_other_schemes_show_nothing(header: str | None) -> None:
    assert read(header) is None


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic ",
        "Basic !!!",
        "Basic Q1A6eA===",
        "Basic Q1A6 eA==",
        "Basic Q1A6e",
        "Basic Q1-_eA",
        basic(b"no colon"),
        basic(b"a:" + b"x" * MOST_CHARACTERS),
        "Basic \u0665",
        "BasicQ1A6eA==",
    ],
)
def test_what_is_no_proper_basic_matches_nothing(header: str) -> None:
    shown = read(header)
    assert shown is not None
    assert not shown.readable


def test_hexadecimal_text_is_a_candidate_in_both_meanings_where_that_is_tolerated() -> None:
    assert Shown(b"", b"00Ff").candidates(hex_literal=True) == (b"00Ff", b"\x00\xff")
    assert Shown(b"", b"00Ff").candidates(hex_literal=False) == (b"00Ff",)
    for odd in (b"", b"0", b"0g", b"00 ff"):
        assert Shown(b"", odd).candidates(hex_literal=True) == (odd,)


def test_nothing_that_was_shown_is_in_the_repr() -> None:
    text = repr(read(basic(b"CP-1:hunter2hunter2")))
    assert "hunter2" not in text
    assert "CP-1" not in text
