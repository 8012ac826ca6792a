"""Domain events: typed data, and keys that reach exactly what they name."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts import identity
from contracts.commands import CommandOutcome
from contracts.envelope import OutcomeKind
from contracts.errors import BodyError
from contracts.events import EVENTS, Event, binding_key, event_key

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
identities = st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable())


def an_event(kind: str, data: dict[str, Any]) -> Event:
    return Event(event_id="e", type=kind, identity="CP", seq=1, occurred_at=NOW, recorded_at=NOW, data=data)


def test_every_type_is_two_words_so_that_keys_have_three() -> None:
    for name, data in EVENTS.items():
        assert name == data.TYPE
        assert len(event_key(name, "CP").split(".")) == 3


def test_data_is_read_as_its_types_class() -> None:
    outcome = CommandOutcome(command_id="c", identity="CP", outcome=OutcomeKind.RESULT)
    event = an_event("command.completed", {"outcome": outcome.model_dump(mode="json"), "new": 1})
    typed = Event.decode(event.encode()).typed()
    assert typed is not None
    assert typed.model_dump()["outcome"]["command_id"] == "c"


def test_a_type_of_a_newer_version_has_no_class_and_wrong_data_is_an_error() -> None:
    assert an_event("new.thing", {"x": 1}).typed() is None
    with pytest.raises(ValidationError):
        an_event("session.opened", {}).typed()


@pytest.mark.parametrize("field", ["occurred_at", "recorded_at", "seq", "data", "event_id"])
def test_an_event_lacks_nothing(field: str) -> None:
    content = an_event("a.b", {}).model_dump(mode="json", exclude={field})
    with pytest.raises(ValidationError):
        Event.model_validate(content)


def test_a_time_beyond_all_calendars_is_a_body_error() -> None:
    content = an_event("a.b", {}).encode().replace(b"2026-01-02", b"99999-01-02")
    with pytest.raises(BodyError):
        Event.decode(content)


@given(one=identities, other=identities)
def test_no_charge_point_has_anothers_key(one: str, other: str) -> None:
    key = event_key("a.b", one)
    assert len(key.encode()) <= 255
    assert not set(key) & set("*# ")
    assert (event_key("a.b", other) == key) == (one == other)


def test_binding_keys_name_a_type_a_charge_point_both_or_all() -> None:
    token = identity.routing_token("CP.*")
    assert binding_key() == "*.*.*"
    assert binding_key("a.b") == "a.b.*"
    assert binding_key(identity="CP.*") == f"*.*.{token}"
    assert binding_key("a.b", "CP.*") == event_key("a.b", "CP.*") == f"a.b.{token}"
