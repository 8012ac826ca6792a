"""The in-flight window: what is published when, what is kept, what is let go."""

from dataclasses import dataclass, field

from contracts.broker import Delivery
from contracts.envelope import CallEnvelope, ReplyEnvelope
from contracts.errors import LinkDownError
from contracts.versions import Version
from gateway.clock import Clock
from gateway.effects import Relay as RelayEffect
from gateway.relay import REPUBLISH_BYTES, InFlight, Relay
from gateway.session import Session
from gateway.session_rules import SessionRules
from tests.gateway.memory_link import Published, delivery, returned


class Hand(Clock):
    """A clock set by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1000.0

    def now(self) -> float:
        return self.time


@dataclass
class Wire:
    """The link's face, recording."""

    up: bool = True
    writable: bool = True
    blocked: bool = False
    reply_queue: str = "q1"
    published: list[Published] = field(default_factory=list)

    def publish(self, exchange, routing_key, body, *, token=None, mandatory=False, persistent=False,
                correlation_id="", reply_to="", expiration_ms=None, type="", headers=None) -> None:  # fmt: skip  # noqa: A002
        if not self.up:
            raise LinkDownError
        self.published.append(
            Published(
                exchange, routing_key, body, token, correlation_id, reply_to, expiration_ms, mandatory, persistent, type
            )
        )


@dataclass
class Owners:
    """Records what sessions would be told."""

    replies: list[tuple[object, int, ReplyEnvelope]] = field(default_factory=list)
    told: list[tuple[str, object, int]] = field(default_factory=list)
    settled: int = 0
    room: int = 0

    def replied(self, owner: object, number: int, reply: ReplyEnvelope) -> None:
        self.replies.append((owner, number, reply))

    def unroutable(self, owner: object, number: int) -> None:
        self.told.append(("unroutable", owner, number))

    def relay_failed(self, owner: object, number: int) -> None:
        self.told.append(("failed", owner, number))

    def send_settled(self, owner: object) -> None:
        self.settled += 1

    def room_again(self) -> None:
        self.room += 1


class Setting:
    def __init__(self, *, calls: int = 10, size: int = 10**6) -> None:
        self.clock = Hand()
        self.owners = Owners()
        self.wire = Wire()
        self.relay = Relay("gw", self.owners, self.clock, window_calls=calls, window_bytes=size)
        self.relay.link = self.wire
        self.session = Session("CP-1", Version.V16, "sid", 42, SessionRules())

    def take(
        self,
        number: int,
        *,
        transaction: bool = False,
        is_send: bool = False,
        frame: bytes = b"[2]",
        waited: float = 0,
    ) -> Published:
        effect = RelayEffect(
            number=number,
            unique_id=f"u{number}",
            action="A",
            key="ocpp16.A",
            frame=frame,
            received=self.clock.time - waited,
            deadline=self.clock.time + 30,
            expires=not transaction,
            transaction=transaction,
            is_send=is_send,
            violation=None,
        )
        self.relay.take(self.session, effect, "owner")
        return self.wire.published[-1] if self.wire.published else None  # type: ignore[return-value]

    def confirm(self, message: Published) -> None:
        assert isinstance(message.token, InFlight)
        self.relay.confirmed(message.token)

    def refuse(self, message: Published) -> None:
        assert isinstance(message.token, InFlight)
        self.relay.refused(message.token)

    def reply(self, number: int, body: bytes | None = None) -> Delivery:
        return delivery(body or ReplyEnvelope().encode(), correlation_id=f"sid:{number}")

    def accepting(self) -> bool:
        return self.relay.accepting

    def reconnect(self) -> list[Published]:
        self.wire.up = False
        self.relay.link_down()
        self.wire.up = True
        self.wire.reply_queue = "q2"
        self.wire.published.clear()
        self.relay.link_up()
        return self.wire.published


def test_a_call_is_published_mandatory_with_two_thirds_of_its_remaining_time() -> None:
    at = Setting()
    message = at.take(1)
    assert (message.exchange, message.key, message.mandatory) == ("ocpp.calls", "ocpp16.A", True)
    assert (message.correlation_id, message.reply_to, message.expiration_ms) == ("sid:1", "q1", 20_000)
    call = CallEnvelope.decode(message.body)
    assert (call.identity, call.session, call.epoch, call.gateway, call.frame) == ("CP-1", "sid", 42, "gw", b"[2]")
    assert abs(call.received_ms - at.clock.wall_ms(1000.0)) <= 1


def test_billing_data_never_expires() -> None:
    message = Setting().take(1, transaction=True)
    assert message.expiration_ms is None
    assert message.persistent


def test_a_reply_leaves_the_window_and_a_second_one_is_dropped() -> None:
    at = Setting()
    at.take(1)
    at.relay.reply(at.reply(1))
    at.relay.reply(at.reply(1))
    at.relay.reply(at.reply(99))
    assert [(owner, number) for owner, number, _ in at.owners.replies] == [("owner", 1)]
    assert len(at.relay) == 0
    assert at.relay.size_bytes == 0


def test_an_unreadable_reply_counts_as_our_failure() -> None:
    at = Setting()
    at.take(1)
    at.relay.reply(at.reply(1, b"junk"))
    assert at.owners.told == [("failed", "owner", 1)]


def test_a_returned_call_is_unroutable() -> None:
    at = Setting()
    message = at.take(1)
    at.relay.returned(returned("sid:1"))
    at.confirm(message)
    assert at.owners.told == [("unroutable", "owner", 1)]
    assert len(at.relay) == 0


def test_a_new_connection_gets_all_that_is_unanswered_in_order_with_the_new_reply_queue() -> None:
    at = Setting()
    at.confirm(at.take(1))
    at.take(2, transaction=True)
    at.take(3)
    at.relay.reply(at.reply(3))
    at.clock.time += 5
    again = at.reconnect()
    assert [message.correlation_id for message in again] == ["sid:1", "sid:2"]
    assert {message.reply_to for message in again} == {"q2"}
    assert [message.expiration_ms for message in again] == [16_666, None]


def test_a_call_whose_time_is_over_is_not_published_again() -> None:
    at = Setting()
    at.take(1)
    at.take(2, transaction=True)
    at.clock.time += 31
    assert [message.correlation_id for message in at.reconnect()] == ["sid:2"]


def test_calls_taken_while_the_broker_is_away_are_published_when_it_is_back() -> None:
    at = Setting()
    at.wire.up = False
    at.take(1)
    at.take(2)
    assert at.wire.published == []
    at.wire.up = True
    at.relay.link_up()
    assert [message.correlation_id for message in at.wire.published] == ["sid:1", "sid:2"]


def test_a_call_is_published_with_the_time_it_came() -> None:
    at = Setting()
    call = at.take(1, waited=20).call
    assert call.received_ms == at.clock.wall_ms(at.clock.time - 20)


def test_a_full_window_is_published_again_in_portions_and_later_calls_wait_behind_it() -> None:
    at = Setting(size=10**9)
    for number in range(1, 6):
        at.take(number, frame=b"x" * (REPUBLISH_BYTES // 2))
    first = list(at.reconnect())
    assert [message.correlation_id for message in first] == ["sid:1", "sid:2"]
    at.take(6)
    at.confirm(first[0])
    assert len(at.wire.published) == 2
    at.relay.abandon("sid", 3)
    at.refuse(first[1])
    assert [message.correlation_id for message in at.wire.published[2:]] == ["sid:4", "sid:5"]
    at.confirm(at.wire.published[3])
    assert [message.correlation_id for message in at.wire.published[4:]] == ["sid:6"]
    at.confirm(at.wire.published[4])
    assert at.take(7).correlation_id == "sid:7"


def test_calls_that_come_and_go_while_the_broker_is_away_again_leave_nothing_behind() -> None:
    at = Setting(size=10**9)
    for number in range(1, 4):
        at.take(number, frame=b"x" * REPUBLISH_BYTES, transaction=True)
    at.reconnect()
    at.wire.up = False
    at.relay.link_down()
    for number in range(4, 1000):
        at.take(number)
        at.relay.abandon("sid", number)
    assert not at.relay._unpublished
    assert [message.correlation_id for message in at.reconnect()] == ["sid:1"]
    for number in (2, 3):
        at.confirm(at.wire.published[-1])
        assert at.wire.published[-1].correlation_id == f"sid:{number}"


def test_billing_data_queues_behind_what_the_broker_refused() -> None:
    at = Setting()
    at.refuse(at.take(1, transaction=True))
    at.relay.abandon("sid", 1)
    at.take(2, transaction=True)
    assert [message.correlation_id for message in at.wire.published] == ["sid:1"]
    assert at.take(3).correlation_id == "sid:3"
    at.relay.tick(at.clock.time + 1)
    assert [message.correlation_id for message in at.wire.published[2:]] == ["sid:1", "sid:2"]


def test_abandoned_billing_data_is_kept_until_the_broker_confirms_it() -> None:
    at = Setting()
    at.wire.up = False
    at.take(1, transaction=True)
    at.take(2)
    at.relay.abandon("sid", 1)
    at.relay.abandon("sid", 2)
    assert list(at.relay.unconfirmed_transactions()) == ["sid:1"]
    at.wire.up = True
    at.relay.link_up()
    (message,) = at.wire.published
    at.confirm(message)
    assert len(at.relay) == 0
    at.relay.reply(at.reply(1))
    assert at.owners.replies == []


def test_billing_data_confirmed_before_it_is_abandoned_is_let_go() -> None:
    at = Setting()
    at.confirm(at.take(1, transaction=True))
    at.relay.abandon("sid", 1)
    assert len(at.relay) == 0


def test_what_the_broker_refuses_is_published_again_with_growing_pauses() -> None:
    at = Setting()
    message = at.take(1)
    pauses = []
    for _ in range(4):
        at.refuse(message)
        asked = at.clock.time
        at.wire.published.clear()
        while not at.wire.published:
            at.clock.time += 0.01
            at.relay.tick(at.clock.time)
        message = at.wire.published[-1]
        pauses.append(at.clock.time - asked)
    assert pauses[0] <= 0.25
    assert pauses[3] > pauses[0]
    at.relay.reply(at.reply(1))
    assert len(at.owners.replies) == 1


def test_a_queue_that_stays_full_is_asked_ever_less_often_whatever_other_queues_take() -> None:
    at = Setting()
    stuck, number, publishes = at.take(1, transaction=True), 1, 0
    for _ in range(6000):  # a minute
        if at.wire.published and at.wire.published[-1].token is stuck.token:
            at.refuse(at.wire.published[-1])
            publishes += 1
        number += 1
        at.confirm(at.take(number))
        at.relay.reply(at.reply(number))
        at.clock.time += 0.01
        at.relay.tick(at.clock.time)
    assert publishes < 40
    at.refuse(stuck)  # whether or not its last try is still unanswered
    at.wire.published.clear()
    at.clock.time += 10
    at.relay.tick(at.clock.time)
    at.confirm(at.wire.published[-1])
    at.refuse(at.take(number + 1))
    at.wire.published.clear()
    at.clock.time += 0.25
    at.relay.tick(at.clock.time)
    assert at.wire.published, "progress has made the pauses short again"


def test_a_refused_call_that_was_abandoned_is_not_published_again() -> None:
    at = Setting()
    at.refuse(at.take(1))
    at.relay.abandon("sid", 1)
    at.relay.tick(at.clock.time + 60)
    assert len(at.wire.published) == 1


def test_a_full_window_stops_reading_until_it_is_well_below() -> None:
    at = Setting(calls=10)
    for number in range(10):
        assert at.accepting()
        at.take(number)
    assert not at.accepting()
    assert at.relay.full
    at.relay.reply(at.reply(0))
    assert not at.accepting()
    at.relay.reply(at.reply(1))
    assert at.accepting()
    assert at.owners.room == 1


def test_the_window_is_bounded_in_bytes_too() -> None:
    at = Setting(size=5000)
    at.take(1, frame=b"x" * 5000)
    assert not at.accepting()
    at.relay.reply(at.reply(1))
    assert at.accepting()


def test_back_pressure_of_the_link_stops_reading() -> None:
    at = Setting()
    at.wire.writable = False
    at.relay.flow_changed()
    assert not at.accepting()
    at.wire.writable = True
    at.relay.flow_changed()
    assert at.accepting()
    assert at.owners.room == 1


def test_while_the_broker_is_away_sockets_are_read_until_the_window_is_full() -> None:
    at = Setting(calls=2)
    at.wire.up = at.wire.writable = False
    at.relay.flow_changed()
    assert at.accepting()
    at.take(1)
    at.take(2)
    assert not at.accepting()


def test_a_send_waits_for_the_confirm_only_and_not_for_ever() -> None:
    at = Setting()
    message = at.take(1, is_send=True)
    assert message.reply_to == ""
    at.confirm(message)
    assert (len(at.relay), at.owners.settled) == (0, 1)
    at.wire.up = False
    at.take(2, is_send=True)
    at.relay.tick(at.clock.time + 29)
    assert len(at.relay) == 1
    at.relay.tick(at.clock.time + 31)
    assert (len(at.relay), at.owners.settled) == (0, 2)
