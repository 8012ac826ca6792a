"""Who is where: the directory against a model of what gateways hold."""

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.announcements import Announcement, Closed, Heartbeat, Opened
from contracts.versions import Version
from workers.commands.directory import LEAST_WAIT_S, MOST_WAIT_S, Directory

V = Version.V16


def opened(identity: str, session: str = "s-1", epoch: int = 1) -> Opened:
    return Opened(identity, session, epoch, V, "127.0.0.1", epoch)


def closed(identity: str, session: str = "s-1", epoch: int = 1) -> Closed:
    return Closed(identity, session, epoch, 0, 1000, "")


def tell(directory: Directory, gateway: str, *entries: Any, asked: bool = False, now: float = 0.0, **more: Any) -> None:
    opens = tuple(entry for entry in entries if isinstance(entry, Opened))
    closes = tuple(entry for entry in entries if isinstance(entry, Closed))
    directory.announced(Announcement(gateway, opens, closes, **more), now, asked=asked)


def where(directory: Directory, identity: str) -> tuple[str, str] | None:
    place = directory.find(identity)
    return None if place is None else (place.gateway, place.session)


def test_the_newest_session_is_where_a_charge_point_is_whatever_is_heard_first():
    directory = Directory()
    tell(directory, "b", opened("CP", "new", 2))
    tell(directory, "a", opened("CP", "old", 1))
    assert where(directory, "CP") == ("b", "new")
    tell(directory, "a", closed("CP", "old", 1))
    assert where(directory, "CP") == ("b", "new")
    tell(directory, "b", closed("CP", "new", 2))
    assert where(directory, "CP") is None
    assert len(directory) == 0


def test_what_a_snapshot_does_not_name_is_gone_at_its_end():
    directory = Directory()
    tell(directory, "a", opened("KEPT"), opened("GONE"))
    tell(directory, "a", opened("KEPT"), snapshot=True)
    assert where(directory, "GONE")
    tell(directory, "a", opened("NEW"))
    tell(directory, "a", opened("LAST"), snapshot=True, last=True)
    assert where(directory, "GONE") is None
    assert [bool(where(directory, identity)) for identity in ("KEPT", "NEW", "LAST")] == [True] * 3
    assert len(directory) == 3


def test_the_end_of_a_snapshot_whose_beginning_was_missed_costs_nothing_of_the_one_asked_for():
    directory = Directory()
    directory.asked(0)
    tell(directory, "a", opened("CP-1"), snapshot=True, asked=True)
    tell(directory, "a", opened("CP-2"), snapshot=True)
    tell(directory, "a", opened("CP-3"), snapshot=True, last=True)
    assert not directory.check_complete(LEAST_WAIT_S)
    tell(directory, "a", opened("CP-2"), opened("CP-3"), snapshot=True, last=True, asked=True)
    assert directory.check_complete(LEAST_WAIT_S)
    assert all(where(directory, identity) for identity in ("CP-1", "CP-2", "CP-3"))


def test_it_is_not_complete_by_the_end_of_a_snapshot_when_the_one_asked_for_has_begun():
    directory = Directory()
    directory.asked(0)
    tell(directory, "a", opened("CP-2"), snapshot=True, last=True)
    tell(directory, "a", opened("CP-1"), snapshot=True, asked=True)
    assert not directory.check_complete(LEAST_WAIT_S)
    tell(directory, "a", opened("CP-2"), snapshot=True, last=True, asked=True)
    assert directory.check_complete(LEAST_WAIT_S)


def test_a_gateway_that_took_no_command_and_lives_is_asked_what_it_holds():
    directory = Directory()
    directory.asked(0)
    tell(directory, "a", opened("CP-1"), snapshot=True, last=True, asked=True)
    assert directory.check_complete(LEAST_WAIT_S)
    directory.returned("a")
    directory.heartbeat(Heartbeat("a", 1, 1, 2000), 2)
    assert directory.strangers()
    tell(directory, "a", opened("CP-1"), snapshot=True, last=True, asked=True)
    assert where(directory, "CP-1")
    assert not directory.strangers()


def test_two_snapshots_of_a_gateway_at_once_do_not_cost_each_other_anything():
    directory = Directory()
    identities = [f"CP-{number}" for number in range(4)]
    tell(directory, "a", *map(opened, identities[:2]), snapshot=True)
    tell(directory, "a", *map(opened, identities[:3]), snapshot=True, asked=True)
    tell(directory, "a", *map(opened, identities[2:]), snapshot=True, last=True)
    tell(directory, "a", *map(opened, identities[3:]), snapshot=True, last=True, asked=True)
    assert all(where(directory, identity) for identity in identities)
    assert len(directory) == 4


@pytest.mark.parametrize("forget", ["lost", "returned"])
def test_a_gateway_that_is_gone_takes_its_sessions_along_and_may_come_back(forget):
    directory = Directory()
    tell(directory, "a", opened("A"), snapshot=True, last=True)
    tell(directory, "b", opened("B"), snapshot=True, last=True)
    getattr(directory, forget)("a")
    assert (where(directory, "A"), where(directory, "B")) == (None, ("b", "s-1"))
    assert len(directory) == 1
    tell(directory, "a", opened("A"), snapshot=True, last=True)
    assert where(directory, "A") == ("a", "s-1")
    assert len(directory) == 2


def test_what_is_cut_off_is_swept_out_of_memory():
    directory = Directory()
    tell(directory, "a", *(opened(f"A-{number}") for number in range(500)))
    tell(directory, "b", *(opened(f"B-{number}") for number in range(500)))
    directory.lost("a")
    assert directory.remembered == 1000
    for _ in range(20):
        directory.sweep(100)
    assert (directory.remembered, len(directory)) == (500, 500)


def test_not_here_concerns_the_session_that_was_asked_for_alone():
    directory = Directory()
    tell(directory, "a", opened("CP", "new", 2))
    directory.not_here("CP", "a", "old")
    directory.not_here("CP", "b", "new")
    assert where(directory, "CP")
    directory.not_here("CP", "a", "new")
    assert where(directory, "CP") is None


def test_it_is_complete_once_every_gateway_that_is_heard_has_told_everything():
    directory = Directory()
    directory.asked(10.0)
    tell(directory, "a", opened("A"), snapshot=True, asked=True, now=10.1)
    assert not directory.check_complete(10.0 + LEAST_WAIT_S)
    tell(directory, "a", snapshot=True, last=True, asked=True, now=11.5)
    directory.heartbeat(Heartbeat("b", 5, 1, 2000), 11.6)
    assert not directory.check_complete(11.7)
    tell(directory, "b", snapshot=True, last=True, now=11.8)
    assert directory.check_complete(11.9)
    assert directory.complete
    assert not directory.check_complete(12.0)
    directory.asked(20.0)
    assert not directory.check_complete(20.0 + LEAST_WAIT_S)
    assert where(directory, "A")


def test_it_waits_a_moment_for_those_it_has_not_heard_and_not_for_ever_for_those_that_hang():
    directory = Directory()
    directory.asked(10.0)
    assert not directory.check_complete(10.0 + LEAST_WAIT_S - 0.1)
    tell(directory, "a", opened("A"), snapshot=True, asked=True, now=10.1)
    assert not directory.check_complete(10.0 + MOST_WAIT_S - 0.1)
    assert directory.check_complete(10.0 + MOST_WAIT_S)


def test_silence_is_three_intervals_and_begins_anew_with_our_own_link():
    directory = Directory()
    directory.heartbeat(Heartbeat("a", 0, 1, 1000), 0.0)
    assert not directory.silent(3.9)
    assert directory.silent(4.1) == ["a"]
    directory.asked(4.1)
    assert not directory.silent(8.0)
    directory.lost("a")
    assert not directory.silent(100.0)


def test_a_gateway_heard_again_is_a_stranger_until_it_has_told_what_it_holds():
    directory = Directory()
    tell(directory, "a", snapshot=True, last=True)
    assert not directory.strangers()
    directory.lost("a")
    directory.heartbeat(Heartbeat("a", 5, 1, 1000), 0.0)
    assert directory.strangers()
    tell(directory, "a", snapshot=True, last=True, asked=True)
    assert not directory.strangers()


GATEWAYS, IDENTITIES = st.sampled_from("ab"), st.sampled_from(["CP-1", "CP-2", "CP-3"])
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("open"), GATEWAYS, IDENTITIES),
        st.tuples(st.just("close"), GATEWAYS, IDENTITIES),
        st.tuples(st.sampled_from(["lost", "returned", "snapshot"]), GATEWAYS, st.just("")),
        st.tuples(st.just("sweep"), GATEWAYS, st.just("")),
    ),
    max_size=60,
)


@given(MOVES)
def test_it_holds_what_gateways_hold_and_counts_it(moves):
    directory, held = Directory(), dict[str, tuple[str, str, int]]()
    for epoch, (what, gateway, identity) in enumerate(moves):
        if what == "open":
            held[identity] = (gateway, f"s-{epoch}", epoch)
            tell(directory, gateway, opened(identity, f"s-{epoch}", epoch))
        elif what == "close" and held.get(identity, ("",))[0] == gateway:
            _, session, of = held.pop(identity)
            tell(directory, gateway, closed(identity, session, of))
        elif what in {"lost", "returned"}:
            getattr(directory, what)(gateway)
            held = {name: place for name, place in held.items() if place[0] != gateway}
        elif what == "snapshot":
            mine = [opened(name, session, of) for name, (of_, session, of) in held.items() if of_ == gateway]
            tell(directory, gateway, *mine, snapshot=True, last=True)
        else:
            directory.sweep(2)
        for name in ("CP-1", "CP-2", "CP-3"):
            assert where(directory, name) == (held[name][:2] if name in held else None)
        assert len(directory) == len(held)
    for _ in range(10):
        directory.sweep(100)
    assert directory.remembered == len(held)


def test_a_session_costs_a_few_hundred_bytes():
    directory, count = Directory(), 20_000
    tracemalloc.start()
    try:
        for first in range(0, count, 1000):
            tell(
                directory, "a", *(opened(f"CHARGER-{n:08}", f"{n:016x}", 2**40 + n) for n in range(first, first + 1000))
            )
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used / count < 450
