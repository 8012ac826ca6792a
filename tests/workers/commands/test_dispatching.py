"""The decisions about commands under way, without a broker."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contracts.announcements import Announcement, Opened
from contracts.commands import Reason
from contracts.envelope import OutcomeEnvelope, OutcomeKind
from contracts.versions import Version
from workers.commands.directory import LEAST_WAIT_S, Directory
from workers.commands.dispatching import PATIENCE_MS, Command, Dispatch, Dispatching, End
from workers.commands.memory import Memory, Remembered

NOW = 1_000_000


def world(*identities: str, complete: bool = True) -> tuple[Dispatching, Directory, Memory]:
    directory, memory = Directory(), Memory()
    directory.asked(0.0)
    opened = tuple(Opened(identity, "s-1", 1, Version.V16, "", 0) for identity in identities)
    directory.announced(Announcement("gw-1", opened, snapshot=True, last=True), 0.0, asked=True)
    if complete:
        assert directory.check_complete(LEAST_WAIT_S)
    return Dispatching(directory, memory), directory, memory


def command(command_id: str = "c-1", identity: str = "CP-1", **values: Any) -> Command:
    return Command(identity, command_id, "ClearCache", b"{}", NOW + 1000, NOW, **values)


def ended(steps: Any) -> tuple[OutcomeKind, str | None]:
    (step,) = steps
    assert isinstance(step, End)
    return step.outcome.kind, step.outcome.error_code


def dispatched(steps: Any) -> Dispatch:
    (step,) = steps
    assert isinstance(step, Dispatch)
    return step


def said(kind: OutcomeKind, code: str | None = None) -> OutcomeEnvelope:
    return OutcomeEnvelope("c-1", "CP-1", kind, "gw-1", error_code=code)


def test_what_somebody_else_may_have_dispatched_says_so_and_is_never_called_offline_or_expired():
    dispatching, _, _ = world("CP-1")
    assert dispatched(dispatching.offer(command(again=True), NOW + 2000)).envelope.again
    assert ended(dispatching.answered(1, said(OutcomeKind.OFFLINE, "session_gone"), NOW)) == (
        OutcomeKind.UNKNOWN,
        Reason.REDELIVERED,
    )
    absent = command(identity="CP-2", again=True)
    assert ended(dispatching.offer(absent, NOW)) == (OutcomeKind.UNKNOWN, Reason.REDELIVERED)


def test_of_one_that_is_for_a_single_session_that_session_knows_whether_it_was_sent():
    dispatching, _, _ = world("CP-1")
    assert not dispatched(dispatching.offer(command(again=True, session="s-1"), NOW)).envelope.again
    gone = command("c-2", again=True, session="s-0")
    assert ended(dispatching.offer(gone, NOW)) == (OutcomeKind.UNKNOWN, Reason.REDELIVERED)


def test_that_somebody_else_may_have_dispatched_it_is_remembered_over_our_own_dispatch():
    dispatching, _, memory = world("CP-1")
    dispatching.offer(command(again=True), NOW)
    dispatching.link_down()
    assert memory.find(("CP-1", "c-1")) == Remembered(command().digest, "gw-1", "s-1", again=True)


def test_what_waits_when_the_link_goes_down_certainly_was_not_sent():
    dispatching, _, memory = world(complete=False)
    assert dispatching.offer(command(), NOW) == []
    assert dispatching.link_down()
    assert memory.find(("CP-1", "c-1")) == Remembered(command().digest)
    assert len(dispatching) == 0


def test_a_dispatch_that_is_returned_waits_for_its_gateway_while_gateways_are_asked():
    dispatching, directory, _ = world("CP-1", complete=False)
    dispatched(dispatching.offer(command(), NOW))
    assert dispatching.returned(1) == []
    directory.announced(Announcement("gw-1", (Opened("CP-1", "s-1", 1, Version.V16, "", 0),)), 0.1, asked=False)
    assert dispatched(dispatching.opened(["CP-1"], NOW)).number == 2


def test_what_missed_its_session_does_not_come_after_a_later_command():
    dispatching, directory, _ = world("CP-1")
    dispatching.offer(command(), NOW)
    directory.announced(Announcement("gw-2", (Opened("CP-1", "s-2", 2, Version.V16, "", 0),)), 0.1, asked=False)
    assert dispatched(dispatching.offer(command("c-2"), NOW)).gateway == "gw-2"
    assert ended(dispatching.answered(2, said(OutcomeKind.RESULT), NOW)) == (OutcomeKind.RESULT, None)
    assert ended(dispatching.answered(1, said(OutcomeKind.OFFLINE, "not_here"), NOW)) == (
        OutcomeKind.OFFLINE,
        Reason.SESSION_CLOSED,
    )
    assert dispatched(dispatching.offer(command("c-3"), NOW)).gateway == "gw-2"


def test_what_missed_its_session_goes_to_the_next_one_when_nothing_later_did():
    dispatching, directory, _ = world("CP-1")
    dispatching.offer(command(), NOW)
    directory.announced(Announcement("gw-2", (Opened("CP-1", "s-2", 2, Version.V16, "", 0),)), 0.1, asked=False)
    assert dispatched(dispatching.answered(1, said(OutcomeKind.OFFLINE, "not_here"), NOW)).gateway == "gw-2"


def test_an_answer_that_comes_twice_or_too_late_ends_nothing():
    dispatching, _, _ = world("CP-1")
    dispatching.offer(command(), NOW)
    assert ended(dispatching.answered(1, said(OutcomeKind.RESULT), NOW)) == (OutcomeKind.RESULT, None)
    assert dispatching.answered(1, said(OutcomeKind.RESULT), NOW) == []
    dispatching.offer(command("c-2"), NOW)
    assert dispatching.tick(NOW + 1000 + PATIENCE_MS - 1) == []
    assert ended(dispatching.tick(NOW + 1000 + PATIENCE_MS)) == (OutcomeKind.UNKNOWN, Reason.NO_OUTCOME)
    assert dispatching.answered(2, said(OutcomeKind.RESULT), NOW) == []


STEPS = st.lists(
    st.sampled_from(["offer", "again", "answer", "miss", "return", "lost", "complete", "tick", "open"]), max_size=40
)


@given(STEPS, st.booleans())
def test_every_command_ends_exactly_once(moves, complete):
    dispatching, directory, _ = world("CP-1", complete=complete)
    offered: list[Command] = []
    ends: list[Command] = []
    numbers: list[int] = []
    now = NOW

    def note(steps: Any) -> None:
        ends.extend(step.command for step in steps if isinstance(step, End))
        numbers.extend(step.number for step in steps if isinstance(step, Dispatch))

    for count, move in enumerate(moves):
        now += 100
        number = numbers[-1] if numbers else 0
        if move in {"offer", "again"}:
            offered.append(Command(f"CP-{count % 2}", f"c-{count}", "ClearCache", b"{}", now + 300, now))
            offered[-1].again = move == "again"
            note(dispatching.offer(offered[-1], now))
        elif move == "answer":
            note(dispatching.answered(number, said(OutcomeKind.RESULT), now))
        elif move == "miss":
            note(dispatching.answered(number, said(OutcomeKind.OFFLINE, "not_here"), now))
        elif move == "return":
            note(dispatching.returned(number))
        elif move == "lost":
            note(dispatching.gateway_lost("gw-1"))
        elif move == "complete" and directory.check_complete(10.0):
            note(dispatching.directory_complete(now))
        elif move == "open":
            opened = (Opened("CP-1", f"s-{count}", count + 2, Version.V16, "", 0),)
            directory.announced(Announcement("gw-1", opened), 0.0, asked=False)
            note(dispatching.opened(["CP-1"], now))
        elif move == "tick":
            note(dispatching.tick(now))
    note(dispatching.tick(now + 300 + PATIENCE_MS))
    assert sorted(one.command_id for one in ends) == sorted(one.command_id for one in offered)
    assert len(dispatching) == 0
