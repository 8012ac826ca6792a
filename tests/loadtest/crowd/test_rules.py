"""The pure parts: words, timelines, mix, calendar, answers to commands."""

from collections import Counter
from itertools import takewhile
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.actions import table
from contracts.schemas import Part, outbound_violation
from contracts.versions import Version
from loadtest.crowd.calendar import Calendar
from loadtest.crowd.commands import answer
from loadtest.crowd.mix import DAY_MIX, DAY_S, Mix, calls_per_second
from loadtest.crowd.speech import SPEECH_16, SPEECH_201, Charging, Speech, Stamps
from loadtest.crowd.timeline import Pace, Step, natural_rate, timeline
from loadtest.roundtrips import RoundTrips, bucket_of

VERSIONS = [pytest.param(Version.V16, SPEECH_16, id="1.6"), pytest.param(Version.V201, SPEECH_201, id="2.0.1")]
STAMP = Stamps().of(1_764_200_000_007)


def valid(version: Version, said: tuple[str, bytes], number: int = 5) -> dict[str, Any]:
    action, body = said
    payload: dict[str, Any] = orjson.loads(body % number if b"%d" in body else body)
    assert outbound_violation(version, action, Part.REQUEST, payload) is None
    return payload


@pytest.mark.parametrize(("version", "speech"), VERSIONS)
@given(tag=st.text(min_size=1, max_size=20))
def test_every_message_is_valid(version: Version, speech: Speech, tag: str):
    charging = Charging(tag, 1000)
    valid(version, speech.boot(f"{tag}%d"))
    valid(version, speech.authorize(tag))
    for step in (Step.AVAILABLE, Step.PREPARING, Step.CHARGING, Step.FINISHING):
        valid(version, speech.status(step, 1, STAMP))
    valid(version, speech.start(charging, STAMP))
    charging.advance()
    meter = valid(version, speech.meter(charging, STAMP))
    assert len(meter["meterValue"][0]["sampledValue"]) == 3
    for reason in ("Local", "Remote", "PowerLoss"):
        charging.advance()
        valid(version, speech.stop(charging, STAMP, reason))
    valid(version, speech.start(Charging(tag, 0, remote_start=7), STAMP))


def test_stamps_are_utc_with_milliseconds():
    stamps = Stamps()
    assert stamps.of(1_764_200_000_007) == b"2025-11-26T23:33:20.007Z"
    assert stamps.of(1_764_200_000_999) == b"2025-11-26T23:33:20.999Z"


def test_no_two_messages_of_a_transaction_have_the_same_time():
    charging = Charging("tag", 0)
    assert [charging.moment(at) for at in (5, 5, 6, 20)] == [5, 6, 7, 20]


MIXES = [
    DAY_MIX,
    Mix(heartbeat_s=60, sample_s=900, session_s=2700, sessions_per_day=5, boots_per_day=2),
    Mix(heartbeat_s=3600, sample_s=30, session_s=14_000, sessions_per_day=0.7, boots_per_day=1),
]


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("speaks_201", [False, True])
def test_timelines_keep_the_proportions_of_the_mix(speaks_201: bool, mix: Mix):
    points, days = 15, 6
    steps: Counter[Step] = Counter()
    for number in range(points):
        endless = timeline("mix", number, speaks_201=speaks_201, mix=mix)
        mine = list(takewhile(lambda one: one[0] < days * DAY_S, endless))
        assert mine == sorted(mine, key=lambda one: one[0])
        steps.update(step for _, step in mine)
    rates = calls_per_second(mix, points, share_201=float(speaks_201))
    seconds = days * DAY_S
    boots = steps[Step.BOOT]
    status = steps[Step.PREPARING] + steps[Step.CHARGING] + steps[Step.FINISHING] + steps[Step.AVAILABLE]
    sent = {
        "Heartbeat": steps[Step.HEARTBEAT],
        "Authorize": steps[Step.AUTHORIZE],
        "StatusNotification": status + boots * (1 if speaks_201 else 2),
    }
    if speaks_201:
        sent["TransactionEvent"] = steps[Step.START] + steps[Step.METER] + steps[Step.STOP]
    else:
        sent |= {"MeterValues": steps[Step.METER], "StopTransaction": steps[Step.STOP]}
    for action, count in sent.items():
        assert count / seconds == pytest.approx(rates[action], rel=0.12, abs=2 * points / seconds)
    assert natural_rate("mix", points, share_201=float(speaks_201), mix=mix) == pytest.approx(sum(rates.values()))


def test_a_mix_must_fit_into_a_day():
    assert DAY_MIX.charging_share == pytest.approx(0.125)
    assert Mix.charging(0.3).charging_share == pytest.approx(0.3)
    with pytest.raises(ValueError, match="fit"):
        Mix(sessions_per_day=13)
    with pytest.raises(ValueError, match="above 0"):
        Mix(sample_s=0)


@given(fold=st.floats(0.01, 10_000), first=st.floats(0, 1e6), at=st.floats(0, 1e6))
def test_a_pace_goes_both_ways_and_can_change_without_a_jump(fold: float, first: float, at: float):
    pace = Pace(first, 0.0, fold)
    real_ms = pace.real_ms(at)
    assert pace.at_s(real_ms / 1000) == pytest.approx(at, abs=2e-3 * fold + 1e-6 * max(at, first * fold))
    faster = Pace(real_ms / 1000, pace.at_s(real_ms / 1000), fold * 2)
    assert faster.real_ms(at) <= real_ms + 1


def test_a_calendar_runs_what_is_due_in_order_and_arms_for_the_earliest():
    armed: list[int] = []
    done: list[tuple[str, int]] = []
    calendar = Calendar(armed.append)
    calendar.plan(30, lambda at: done.append(("late", at)))

    def first(at_ms: int) -> None:
        done.append(("first", at_ms))
        calendar.plan(5, lambda at: done.append(("again", at)))

    calendar.plan(10, first)
    calendar.plan(10, lambda at: done.append(("second", at)))
    assert armed == [30, 10]
    assert calendar.late_ms(12.5) == 2.5
    calendar.run(20)
    assert done == [("first", 10), ("second", 10)]
    assert armed == [30, 10, 5]
    calendar.run(30)
    assert done[2:] == [("again", 5), ("late", 30)]
    assert calendar.late_ms(99.0) == 0.0


class Idle:
    charging: Charging | None = None

    def __init__(self) -> None:
        self.did: list[Any] = []

    def start(self, tag: str, remote_start: int | None = None) -> None:
        self.did.append((tag, remote_start))

    def stop(self, reason: str = "Local") -> None:
        self.did.append(reason)

    def tell(self, step: Step) -> None:
        self.did.append(step)


_VARIABLE = {"component": {"name": "A"}, "variable": {"name": "B"}}
COMMANDS = [
    (Version.V16, "ChangeConfiguration", {"key": "a", "value": "b"}, None),
    (Version.V16, "GetConfiguration", {}, None),
    (Version.V16, "GetConfiguration", {"key": ["HeartbeatInterval", "x"]}, None),
    (Version.V16, "RemoteStartTransaction", {"idTag": "T"}, ("T", None)),
    (Version.V16, "TriggerMessage", {"requestedMessage": "Heartbeat"}, Step.HEARTBEAT),
    (Version.V16, "TriggerMessage", {"requestedMessage": "DiagnosticsStatusNotification"}, None),
    (Version.V201, "GetVariables", {"getVariableData": [_VARIABLE]}, None),
    (Version.V201, "SetVariables", {"setVariableData": [_VARIABLE | {"attributeValue": "1"}]}, None),
    (Version.V201, "RequestStartTransaction", {"idToken": {"idToken": "T", "type": "Central"}, "remoteStartId": 3},
     ("T", 3)),
]  # fmt: skip


@pytest.mark.parametrize(("version", "action", "payload", "effect"), COMMANDS)
def test_commands_are_answered_by_the_schema_and_then_done(version, action, payload, effect):
    point = Idle()
    said = answer(point, action, payload, is_201=version is Version.V201)
    assert said is not None
    reply, follow_up = said
    assert outbound_violation(version, action, Part.RESPONSE, reply) is None
    if follow_up is not None:
        follow_up()
    assert point.did == ([] if effect is None else [effect])


def test_a_remote_stop_is_for_the_transaction_that_runs():
    point = Idle()
    assert answer(point, "RemoteStopTransaction", {"transactionId": 9}, is_201=False) == ({"status": "Rejected"}, None)
    point.charging = Charging("T", 0)
    point.charging.number = 9
    said = answer(point, "RemoteStopTransaction", {"transactionId": 9}, is_201=False)
    assert said is not None
    assert said[0] == {"status": "Accepted"}
    key = point.charging.key.decode()
    said = answer(point, "RequestStopTransaction", {"transactionId": key}, is_201=True)
    assert said is not None
    assert said[0] == {"status": "Accepted"}


@pytest.mark.parametrize("version", [Version.V16, Version.V201])
def test_every_fixed_answer_is_valid(version):
    unknown = 0
    for action in (one for one in table().values() if one.version is version and one.to_charge_point):
        try:
            said = answer(Idle(), action.name, {}, is_201=version is Version.V201)
        except KeyError:
            continue  # it needs what the Call brings, and has a case of its own above
        unknown += said is None
        if said is not None:
            assert outbound_violation(version, action.name, Part.RESPONSE, said[0]) is None
    assert unknown


def test_round_trips_of_buckets_have_the_same_percentiles():
    whole = RoundTrips()
    for milliseconds in range(1, 1000):
        whole.add(milliseconds / 1000)
    again = RoundTrips.of(whole.buckets)
    assert again.count == whole.count
    assert again.quantile(0.5) == whole.quantile(0.5)
    assert again.quantile(1.0) == pytest.approx(whole.quantile(1.0), rel=0.05)
    assert RoundTrips.of({}).quantile(0.5) == 0.0
    assert bucket_of(0.0) == 0
