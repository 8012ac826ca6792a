"""The cache of records: what is fresh, what is stale, what is forgotten, and what can never push out what."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from contracts import topology
from contracts.envelope import AdmissionChanged, AdmissionNotice, AdmissionQuery, AdmissionVerdict
from gateway.admission import MOST_PENDING, MOST_UNKNOWN, UNKNOWN_SECONDS, Admissions
from tests.gateway.memory_link import delivery
from tests.gateway.test_relay import Wire

FRESH, STALE, TIMEOUT = 30.0, 3600.0, 5.0


class Lookups:
    def __init__(self, fresh: float = FRESH, stale: float = STALE, most_known: int = 100) -> None:
        self.wire = Wire()
        self.room = Admissions("gw", timeout=TIMEOUT, fresh=fresh, stale=stale, most_known=most_known)
        self.room.link = self.wire
        self.heard: list[str | None] = []

    def ask(self, identity: str = "CP", now: float = 0) -> None:
        self.room.ask(identity, lambda record: self.heard.append(said(record)), now)

    @property
    def queries(self) -> list[Any]:
        return [message for message in self.wire.published if message.correlation_id]

    def answer(self, vendor: str = "", *, known: bool = True, now: float = 0, number: int = -1) -> None:
        query = self.queries[number]
        verdict = AdmissionVerdict(AdmissionQuery.decode(query.body).identity, known=known, vendor=vendor)
        self.room.verdict(delivery(verdict.encode(), correlation_id=query.correlation_id), now)

    def know(self, identity: str = "CP", vendor: str = "", *, known: bool = True, now: float = 0) -> None:
        self.ask(identity, now)
        self.answer(vendor, known=known, now=now)
        self.heard.clear()

    def change(self, identity: str | None = None) -> None:
        self.room.changed(delivery(AdmissionChanged(identity).encode()))


def said(record: AdmissionVerdict | None) -> str | None:
    return None if record is None else record.vendor if record.known else "unknown"


def test_lookups_of_one_identity_share_a_question_and_an_answer() -> None:
    at = Lookups()
    at.ask()
    at.ask()
    (query,) = at.queries
    assert (query.exchange, query.key, query.expiration_ms) == (topology.ADMISSIONS, topology.ADMISSION_KEY, 5000)
    at.answer("V")
    assert at.heard == ["V", "V"]


def test_a_record_is_used_at_once_while_it_is_fresh_and_then_asked_for_again() -> None:
    at = Lookups()
    at.know(vendor="V", now=1)
    at.ask(now=30.9)
    assert at.heard == ["V"]
    at.ask(now=31.1)
    assert len(at.queries) == 2
    at.answer("W", now=31.2)
    assert at.heard == ["V", "W"]


def test_a_stale_record_serves_when_nobody_answers_but_not_for_ever() -> None:
    at = Lookups()
    at.know(vendor="V")
    at.ask(now=40)
    assert at.heard == []
    at.room.tick(45)
    assert at.heard == ["V"]
    at.ask(now=STALE - 1)
    at.room.tick(STALE + 4)
    assert at.heard == ["V", None]


def test_a_stale_record_never_serves_where_that_is_switched_off() -> None:
    at = Lookups(stale=0)
    at.know(vendor="V")
    at.ask(now=40)
    at.room.tick(45)
    assert at.heard == [None]


def test_silence_a_lost_link_and_a_crowd_leave_strangers_undecided_and_let_the_known_in() -> None:
    at = Lookups()
    at.know("OLD", "V")
    for identity in ("CP", "OLD"):
        at.ask(identity, now=50)
    at.room.tick(54.9)
    assert at.heard == []
    at.room.tick(55)
    assert at.heard == [None, "V"]
    at.ask(now=56)
    at.ask("OLD", now=56)
    at.room.link_down(57)
    assert at.heard == [None, "V"] * 2
    at.wire.up = False
    at.ask(now=58)
    at.ask("OLD", now=58)
    assert at.heard == [None, "V"] * 3
    at.wire.up = True
    for number in range(MOST_PENDING):
        at.ask(f"CP-{number}", now=60)
    at.ask(now=60)
    at.ask("OLD", now=60)
    assert at.heard == [None, "V"] * 4


def test_an_answer_that_comes_too_late_counts_for_nothing() -> None:
    at = Lookups()
    at.ask()
    at.room.tick(5)
    at.answer("V", now=6)
    at.ask(now=7)
    assert at.heard == [None]
    at.answer("V", now=8, number=0)  # to the first question
    assert at.heard == [None]
    at.answer("W", now=8)
    assert at.heard == [None, "W"]


def test_made_up_names_are_forgotten_soon_and_push_out_no_record() -> None:
    at = Lookups(most_known=10)
    at.know(vendor="V")
    for number in range(MOST_UNKNOWN + 50):
        at.know(f"x{number}", known=False)
    asked = len(at.queries)
    at.ask("x0")
    assert len(at.queries) == asked + 1  # pushed out by others of its kind
    at.answer(known=False)
    at.heard.clear()
    at.ask(f"x{MOST_UNKNOWN}", now=UNKNOWN_SECONDS - 0.1)
    at.ask(now=UNKNOWN_SECONDS)
    assert at.heard == ["unknown", "V"]
    at.ask(f"x{MOST_UNKNOWN}", now=UNKNOWN_SECONDS + 0.1)
    assert len(at.queries) == asked + 2


def test_the_records_used_last_stay() -> None:
    at = Lookups(most_known=2)
    at.know("a", "A")
    at.know("b", "B")
    at.ask("a")
    at.know("c", "C")
    at.ask("a")
    at.ask("c")
    assert at.heard == ["A", "C"]
    at.ask("b")
    assert len(at.queries) == 4


def test_a_change_makes_it_forget_one_or_all_the_unknown_among_them() -> None:
    at = Lookups()
    for identity in ("a", "b"):
        at.know(identity, identity)
    at.know("x", known=False)
    at.know("y", known=False)
    at.change("a")
    at.change("x")
    for identity in ("a", "b", "x", "y"):
        at.ask(identity, now=1)
    assert at.heard == ["b", "unknown"]
    at.room.tick(6)
    assert at.heard == ["b", "unknown", None, None]  # what has changed does not serve as stale either
    at.change()
    for identity in ("b", "y"):
        at.ask(identity, now=7)
    assert len(at.heard) == 4


def test_an_answer_that_may_be_older_than_a_change_is_asked_for_again() -> None:
    at = Lookups()
    for whom in ("CP", None):
        at.ask()
        at.change(whom)
        at.answer("old")
        assert at.heard == []
        at.answer("new")
        assert at.heard == ["new"]
        at.change()
        at.heard.clear()


def test_after_a_lost_link_nothing_counts_as_fresh_and_the_unknown_are_forgotten() -> None:
    at = Lookups()
    at.know(vendor="V")
    at.know("x", known=False)
    at.room.link_down(1)
    at.ask(now=2)
    at.ask("x", now=2)
    assert (at.heard, len(at.queries)) == ([], 4)
    at.room.tick(7)
    assert at.heard == ["V", None]


def test_a_notice_is_told_and_the_record_asked_for_anew() -> None:
    at = Lookups()
    at.know(vendor="V")
    notice = AdmissionNotice("CP", "gw", 2, 1, "k")
    at.room.tell(notice)
    told = at.wire.published[-1]
    assert (told.exchange, told.key, told.reply_to) == (topology.ADMISSIONS, topology.ADMISSION_KEY, "")
    assert AdmissionNotice.decode(told.body) == notice
    at.ask(now=1)
    assert (at.heard, len(at.queries)) == ([], 2)
    at.wire.up = False
    at.room.tell(notice)


def test_what_cannot_be_read_is_survived() -> None:
    at = Lookups()
    at.ask()
    at.room.verdict(delivery(b"junk", correlation_id="admission:1"), 1)
    at.room.changed(delivery(b"junk"))
    at.answer("V", now=1)
    assert at.heard == ["V"]


class Cache(RuleBasedStateMachine):
    """Against the records as they are: nothing older than the last change is ever taken for fresh."""

    names = st.sampled_from(["a", "b", "c"])

    def __init__(self) -> None:
        super().__init__()
        self.at = Lookups(most_known=2)
        self.now = 0.0
        self.records = dict.fromkeys("abc", 0)
        self.in_flight: list[tuple[int, int]] = []
        self.asked = self.answered = 0

    @rule(name=names, seconds=st.sampled_from([0.0, 1.0, 29.0, 31.0]))
    def ask(self, name: str, seconds: float) -> None:
        self.now += seconds
        self.at.room.tick(self.now)
        least = self.records[name]
        self.asked += 1
        silent = self.now + TIMEOUT

        def heard(record: AdmissionVerdict | None) -> None:
            self.answered += 1
            if record is not None and self.now < silent and self.at.wire.up:
                assert int(record.vendor) >= least

        before = len(self.at.queries)
        self.at.room.ask(name, heard, self.now)
        self._note(before)

    def _note(self, before: int) -> None:
        for number in range(before, len(self.at.queries)):
            name = AdmissionQuery.decode(self.at.queries[number].body).identity
            self.in_flight.append((number, self.records[name]))

    @rule(name=names)
    def change(self, name: str) -> None:
        self.records[name] += 1
        self.at.change(name)

    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        if self.in_flight:
            picked = self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1)))
            before = len(self.at.queries)
            self.at.answer(str(picked[1]), now=self.now, number=picked[0])
            self._note(before)

    @rule()
    def lose_the_link(self) -> None:
        self.at.wire.up = False
        self.at.room.link_down(self.now)
        self.at.wire.up = True

    @invariant()
    def bounded_and_nothing_lost(self) -> None:
        room = self.at.room
        assert len(room._known) <= 2
        waiting = sum(len(pending.answers) for pending in room._pending.values())
        assert self.asked == self.answered + waiting


TestCache = Cache.TestCase
TestCache.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
