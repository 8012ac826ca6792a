"""What a boot tells, and which rule decides on it."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import OutcomeEnvelope, OutcomeKind
from contracts.versions import Version
from workers.authorization.boot_decision import (
    boot_reply,
    facts_of,
    is_anothers_certificate,
    jittered,
    registration_of,
)
from workers.authorization.initial_configuration import again_at, request_of, to_push, values_for
from workers.store.configuration import Push, Wanted
from workers.store.registration import BootRule

NOW = datetime(2026, 5, 1, 12, 0, 0, 123_456, tzinfo=UTC)
FACTS = {"vendor": "ACME", "model": "Wallbox 2", "firmware_version": "1.9.3"}


def rule(registration, vendor="*", model="*", firmware="*", identity="*") -> Any:
    return BootRule(identity, vendor, model, firmware, registration)


@pytest.mark.parametrize(
    ("rules", "registration"),
    [
        ([], "accepted"),
        ([rule("rejected", vendor="acme")], "rejected"),
        ([rule("pending", firmware="1.*"), rule("rejected")], "pending"),
        ([rule("pending", firmware="2.*"), rule("rejected", model="wall*")], "rejected"),
        ([rule("rejected", vendor="ACME", model="Other")], "accepted"),
        ([rule("rejected", identity="TEST-*")], "accepted"),
        ([rule("rejected", identity="cp-?")], "rejected"),
    ],
)
def test_the_first_matching_rule_decides_and_without_one_all_are_accepted(rules, registration):
    assert registration_of(rules, "CP-1", FACTS) == registration


def test_a_boot_of_either_version_tells_the_same_columns():
    old = facts_of(Version.V16, {"chargePointVendor": "ACME", "chargePointModel": "W", "meterType": "M"})
    station = {"vendorName": "ACME", "model": "W", "modem": {"iccid": "89", "imsi": "26"}}
    new = facts_of(Version.V201, {"reason": "PowerUp", "chargingStation": station})
    assert (old["vendor"], old["model"], old["meter_type"], old["iccid"]) == ("ACME", "W", "M", None)
    assert (new["vendor"], new["model"], new["boot_reason"], new["iccid"]) == ("ACME", "W", "PowerUp", "89")


@pytest.mark.parametrize("payload", [{}, {"chargingStation": None}, {"chargingStation": [1]}])
def test_a_boot_that_tells_nothing_is_read_as_nothing(payload):
    assert facts_of(Version.V21, payload)["vendor"] is None


def test_the_reply_has_utc_milliseconds_and_the_retry_wait_until_accepted():
    accepted = boot_reply("accepted", NOW, interval_s=300, retry_s=60)
    assert accepted == {"status": "Accepted", "currentTime": "2026-05-01T12:00:00.123Z", "interval": 300}
    assert boot_reply("pending", NOW, interval_s=300, retry_s=60)["interval"] == 60


def want(key, value, vendor="*", model="*") -> Any:
    return Wanted(key, value, vendor, model)


def push(key, value, status, *, attempts=1) -> Any:
    return Push(key, value, status, attempts, NOW)


def test_what_the_charge_point_accepted_is_not_pushed_again_until_its_value_changes():
    wanted = [want("A", "1"), want("B", "2"), want("C", "3"), want("D", "4")]
    pushed = {
        "A": push("A", "1", "Accepted"),
        "B": push("B", "1", "Accepted"),
        "C": push("C", "3", "offline"),
        "D": push("D", "4", "RebootRequired"),
    }
    assert to_push(values_for(wanted, FACTS), pushed) == {"B": "2", "C": "3"}


def test_a_value_for_this_model_goes_before_one_for_all():
    wanted = [want("A", "all"), want("A", "this", vendor="acme", model="wallbox*"), want("B", "x", vendor="other")]
    assert values_for(wanted, FACTS) == {"A": "this"}


def test_a_value_is_set_in_the_words_of_each_version():
    assert request_of(Version.V16, "MaxChargingPower", "11000") == (
        "ChangeConfiguration",
        {"key": "MaxChargingPower", "value": "11000"},
    )
    action, payload = request_of(Version.V201, "SmartChargingCtrlr.LimitChangeSignificance", "5")
    assert action == "SetVariables"
    assert payload["setVariableData"][0]["component"] == {"name": "SmartChargingCtrlr"}


@pytest.mark.parametrize(
    ("kind", "code", "later"),
    [
        (OutcomeKind.RESULT, None, False),
        (OutcomeKind.CALL_ERROR, "NotSupported", False),
        (OutcomeKind.REJECTED, "invalid_payload", False),
        (OutcomeKind.REJECTED, "queue_full", True),
        (OutcomeKind.OFFLINE, "gateway_gone", True),
        (OutcomeKind.TIMEOUT, "deadline", True),
        (OutcomeKind.UNKNOWN, "broker_lost", True),
        (OutcomeKind.EXPIRED, "deadline", True),
    ],
)
def test_a_value_is_pushed_again_until_the_charge_point_has_spoken_or_was_away_for_a_week(kind, code, later):
    outcome = OutcomeEnvelope("c", "CP-1", kind, "g", error_code=code)
    again = again_at(outcome, push("A", "1", "requested"), NOW)
    assert (again is not None and again > NOW) if later else again is None
    assert again_at(outcome, push("A", "1", "requested"), NOW + timedelta(days=8)) is None


@given(st.integers(1, 86400), st.floats(0, 0.5), st.floats(0, 1))
def test_an_interval_is_spread_by_its_share_and_never_below_a_second(seconds, share, chance):
    spread = jittered(seconds, share, chance)
    assert spread >= 1
    assert seconds * (1 - share) - 1 <= spread <= seconds * (1 + share) + 1
    assert jittered(seconds, 0, chance) == seconds


def test_a_fleets_intervals_do_not_line_up():
    chance = random.Random(1).random
    intervals = [jittered(300, 0.1, chance()) for _ in range(1000)]
    assert (min(intervals), max(intervals)) == (270, 330)
    assert max(Counter(intervals).values()) < 50
    assert abs(sum(intervals) / 1000 - 300) < 3


@pytest.mark.parametrize(
    ("certificate", "serial", "anothers"),
    [
        (None, "SN-1", False),
        ("SN-1", "SN-1", False),
        ("sn-1", "SN-1 ", False),
        ("CP-1", "SN-1", False),
        ("SN-2", "SN-1", True),
        ("SN-2", None, False),
    ],
)
def test_a_certificate_is_of_the_charge_point_that_boots(certificate, serial, anothers):
    assert is_anothers_certificate(certificate, "CP-1", serial) is anothers
