"""Identities: read from the path once, bounded per version, turned into routing words that nobody shares."""

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import identity
from contracts.identity import BadIdentity
from contracts.versions import Version


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/ocpp/CP1", "CP1"),
        ("/ocpp/RDAM%20123", "RDAM 123"),
        ("/ocpp/a%2Fb", "a/b"),
        ("/ocpp/a%2525", "a%25"),
        ("/ocpp/CP1?x=1", "CP1"),
        ("/ocpp/L%C3%A4den", "Läden"),
        ("/ocpp/*.#", "*.#"),
        ("/ocpp/L\udcc3\udca4den", "Läden"),  # raw bytes, as an ASCII decoder with surrogateescape hands them over
    ],
)
def test_the_identity_is_what_follows_the_endpoint_decoded_once(path: str, expected: str) -> None:
    assert identity.from_path(path, "/ocpp") == expected


@pytest.mark.parametrize(
    "path",
    ["/", "/ocpp", "/ocpp/", "/other/CP1", "/ocpp/a/b", "/ocpp/%zz", "/ocpp/%2", "/ocpp/%ff", "/ocpp/\udcff",
     "/ocpp/a%00b", "/ocpp/a%0Ab", "/ocpp/%20a", "/ocpp/" + "x" * 129, "/ocppCP1", ""],
)  # fmt: skip
def test_paths_that_name_no_charge_point_are_refused_with_a_reason(path: str) -> None:
    verdict = identity.from_path(path, "/ocpp")
    assert isinstance(verdict, BadIdentity)
    assert verdict.reason


@pytest.mark.parametrize("name", ["CP-1", "a*b", "x" * 48, "A_b=c+d|e@f.g"])
def test_2x_allows_identifier_strings(name: str) -> None:
    assert identity.check_version_limits(name, Version.V201) is None


@pytest.mark.parametrize("name", ["a:b", "a b", "x" * 49, "ä", "a/b", "a#b"])
def test_2x_refuses_what_16_allows(name: str) -> None:
    assert identity.check_version_limits(name, Version.V16) is None
    assert isinstance(identity.check_version_limits(name, Version.V21), BadIdentity)


@given(name=st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128))
def test_routing_tokens_are_one_short_word_without_topic_syntax(name: str) -> None:
    token = identity.routing_token(name)
    assert re.fullmatch(r"[A-Za-z0-9_=-]+", token)
    assert len(token) <= 160


@given(
    names=st.lists(st.text(alphabet="aA.*#%=-_/ ä2Eh", min_size=1, max_size=130), min_size=2, max_size=8, unique=True)
)
def test_no_two_identities_share_a_routing_token(names: list[str]) -> None:
    assert len({identity.routing_token(name) for name in names}) == len(names)


@given(name=st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=128))
def test_a_percent_encoded_identity_comes_back_as_it_was(name: str) -> None:
    assert identity.from_path("/ocpp/" + quote(name, safe=""), "/ocpp") == name


@given(path=st.text())
def test_any_path_gives_an_identity_or_a_reason(path: str) -> None:
    verdict = identity.from_path(path, "/ocpp")
    assert isinstance(verdict, str | BadIdentity)
