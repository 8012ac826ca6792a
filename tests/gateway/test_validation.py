"""Policies by vendor, model, action and direction: the rules of the file, and what a session makes of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from contracts.envelope import OutcomeKind
from contracts.process.settings import check
from contracts.versions import Version
from gateway import validation
from gateway.commands import Command
from gateway.effects import Notice, Noticed, Outcome
from gateway.routes import Policy
from gateway.session import Session
from gateway.session_rules import SessionRules
from gateway.settings import GatewaySettings
from gateway.tolerances import STRICT
from gateway.validation import MOST_TABLES, Direction, Rulebook, ValidationRule
from tests.gateway.sessions import OK, V16, V21, V201, frame, noticed, outcomes, relays, sent, session

FILE = """
[[rule]]
vendor = "ABB*"
action = "StatusNotification"
direction = "in"
policy = "warn"

[[rule]]
vendor = "abb"
model = "Terra ??"
policy = "pass"

[[rule]]
action = "Reset"
direction = "out"
policy = "relay"
"""
STATUS = {"connectorId": 1, "errorCode": "FluxCapacitor", "status": "Available"}
BAD_RESET = b'{"type":"Tomorrow"}'


def book(text: str = FILE, default: Policy = Policy.ENFORCE) -> Rulebook:
    rules = [rule for rule in validation.read(text) if isinstance(rule, ValidationRule)]
    assert rules
    return Rulebook(default, rules)


def of(rulebook: Rulebook, version: Version = V16, *, vendor: str = "", model: str = "") -> Session:
    rules = SessionRules(rulebook=rulebook, tolerances=STRICT)
    return Session("CP", version, "s", 1, rules, vendor=vendor, model=model)


def test_a_file_is_read_in_order() -> None:
    assert validation.read(FILE) == [
        ValidationRule("ABB*", "*", "StatusNotification", Direction.IN, Policy.WARN),
        ValidationRule("abb", "Terra ??", "*", Direction.BOTH, Policy.PASS),
        ValidationRule("*", "*", "Reset", Direction.OUT, Policy.WARN),
    ]
    assert validation.read("") == []


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("[[rule]]\n", ["rule 1: policy is missing"]),
        ('[[rule]]\npolicy="pass"\n[[rule]]\npolicy="perhaps"\nvendor=1\ncolour="red"', 3),
        ('[[rule]]\npolicy=["pass"]\ndirection={}', 2),
        ('[[rule]]\npolicy="pass"\ndirection="up"', ["rule 1: direction must be one of in, out, both"]),
        ('[[rule]]\npolicy="pass"\naction=""', 1),
        ('[rule]\npolicy="pass"', ["rule: write [[rule]], a table for each"]),
        ('policy="pass"', ["unknown key 'policy': a file holds [[rule]] tables alone"]),
        ("rule = [1]", 1),
        ("[[rule", 1),
        ('[[rule]]\npolicy="pass"\n' * 1001, ["more than 1000 rules"]),
    ],
)
def test_each_problem_of_a_file_is_a_line(text: str, problems: int | list[str]) -> None:
    found = validation.read(text)
    assert all(isinstance(problem, str) and "\n" not in problem for problem in found)
    assert len(found) == problems if isinstance(problems, int) else found == problems


@pytest.mark.parametrize(
    ("vendor", "model", "action", "incoming"),
    [
        ("", "", "StatusNotification", Policy.ENFORCE),
        ("ABB", "", "StatusNotification", Policy.WARN),
        ("abb b.v.", "x", "StatusNotification", Policy.WARN),
        ("ABB", "terra 54", "StatusNotification", Policy.WARN),  # the first that matches
        ("ABB", "terra 54", "Heartbeat", Policy.PASS),
        ("ABB", "terra 540", "Heartbeat", Policy.ENFORCE),
        ("Other", "terra 54", "Heartbeat", Policy.ENFORCE),
        ("[", "]*", "Heartbeat", Policy.ENFORCE),
    ],
)
def test_the_first_rule_that_matches_decides(vendor: str, model: str, action: str, incoming: Policy) -> None:
    route = book().routes(V16, vendor, model).of(action)
    seen = {Policy.ENFORCE: (True, True), Policy.WARN: (False, True), Policy.PASS: (False, False)}
    assert (route.enforced, route.request is not None) == seen[incoming]


def test_what_is_sent_is_checked_strictly_whatever_the_default() -> None:
    assert Rulebook(Policy.PASS).routes(V16).of("Reset").commands_enforced
    assert not book().routes(V16).of("Reset").commands_enforced
    assert book().routes(V16).of("Reset").enforced


def test_charge_points_that_are_judged_alike_share_a_table_and_tables_do_not_pile_up() -> None:
    rules = book()
    assert rules.routes(V16, "ABB", "x") is rules.routes(V16, "abbey", "y")
    assert rules.routes(V16, "ABB", "x") is not rules.routes(V201, "ABB", "x")
    many = Rulebook(
        Policy.ENFORCE, [ValidationRule(f"*{n}*", "*", "*", Direction.IN, Policy.WARN) for n in range(MOST_TABLES + 9)]
    )
    assert len({id(many.routes(V16, f"<{n}>")) for n in range(9)}) == 9
    assert len(many._tables) <= MOST_TABLES


def test_a_violation_is_refused_taken_with_a_word_or_taken_unseen() -> None:
    call = frame(2, "u", "StatusNotification", STATUS)
    strict, warned, passed = (of(Rulebook(policy)) for policy in Policy)
    assert sent(strict.frame_received(call, 0))[0][:3] == [4, "u", "PropertyConstraintViolation"]
    (relay,) = relays(warned.frame_received(call, 0))
    assert relay.violation is not None
    effects = passed.frame_received(call, 0)
    assert [relay.violation for relay in relays(effects)] == [None]
    assert noticed(effects) == []


def test_a_warning_is_counted_each_time_and_logged_once_per_action() -> None:
    one = of(Rulebook(Policy.WARN))
    seen = []
    for name, payload in (("StatusNotification", STATUS), ("StatusNotification", STATUS), ("Authorize", {})):
        effects = one.frame_received(frame(2, "u", name, payload), 0)
        seen.append(noticed(effects))
        one.reply_received(relays(effects)[0].number, OK, 0)
    assert seen == [
        [Noticed.INVALID_CALL, Noticed.INVALID_TAKEN],
        [Noticed.INVALID_CALL],
        [Noticed.INVALID_CALL, Noticed.INVALID_TAKEN],
    ]


@pytest.mark.parametrize("policy", list(Policy))
def test_billing_data_is_relayed_under_any_policy(policy: Policy) -> None:
    (relay,) = relays(of(Rulebook(policy)).frame_received(frame(2, "u", "StopTransaction", {"meterStop": "x"}), 0))
    assert relay.transaction
    assert (relay.violation is None) is (policy is Policy.PASS)


def test_vendor_and_model_on_record_or_told_by_the_boot_decide() -> None:
    call = frame(2, "u", "StatusNotification", STATUS)
    assert relays(of(book(), vendor="ABB").frame_received(call, 0))
    one = of(book())
    assert not relays(one.frame_received(call, 0))
    boot = {"chargePointVendor": "ABB", "chargePointModel": "Terra 54", "unexpected": 1}
    (relay,) = relays(one.frame_received(frame(2, "b", "BootNotification", boot), 0))
    assert relay.violation is None, "the boot is judged as its own vendor's already"
    one.reply_received(relay.number, OK, 0)
    assert relays(one.frame_received(call, 0))


@pytest.mark.parametrize(
    ("version", "payload", "told"),
    [
        (V16, {"chargePointVendor": "V", "chargePointModel": "M"}, ("V", "M")),
        (V16, {"chargePointVendor": 1}, ("", "")),
        (V201, {"chargingStation": {"vendorName": "V", "model": "M" * 200}}, ("V", "M" * 100)),
        (V21, {"chargingStation": "V"}, ("", "")),
    ],
)
def test_what_a_boot_tells_of_the_maker(version: Version, payload: dict[str, Any], told: tuple[str, str]) -> None:
    assert validation.who(version, payload) == told


def test_a_policy_that_is_set_holds_for_what_comes_then() -> None:
    one, other = session(), Rulebook(Policy.WARN)
    one.command_received(Command("c", "Reset", b'{"type":"Soft"}', 9), 0)
    one.policy = other.routes(V16)
    assert relays(one.frame_received(frame(2, "u", "StatusNotification", STATUS), 0))
    assert outcomes(one.frame_received(frame(3, "c", {"status": "Perhaps"}), 1)) == [("c", OutcomeKind.RESULT, None)]


def test_a_command_that_a_schema_forbids_is_sent_where_a_rule_says_so() -> None:
    strict = of(Rulebook()).command_received(Command("c", "Reset", BAD_RESET, 9), 0)
    assert outcomes(strict) == [("c", OutcomeKind.REJECTED, "bad_payload")]
    effects = of(book()).command_received(Command("c", "Reset", BAD_RESET, 9), 0)
    assert sent(effects) == [[2, "c", "Reset", {"type": "Tomorrow"}]]
    assert noticed(effects) == [Noticed.INVALID_COMMAND, Noticed.INVALID_TAKEN]
    one = of(book(), vendor="abb", model="terra aa")
    assert noticed(one.command_received(Command("c", "Reset", BAD_RESET, 9), 0)) == []
    unknown = Command("d", "Nothing", b"{}", 9)
    assert outcomes(one.command_received(unknown, 0)) == [("d", OutcomeKind.REJECTED, "unknown_action")]
    for body in (b"[]", b"7", b"{"):
        assert outcomes(one.command_received(Command(f"e{body!r}", "Reset", body, 9), 0))[0][2] == "bad_payload"


@pytest.mark.parametrize("version", [V201, V21])
@pytest.mark.parametrize("policy", [Policy.WARN, Policy.PASS])
def test_a_result_that_violates_its_schema_counts_where_the_policy_says_so(version: Version, policy: Policy) -> None:
    one = of(Rulebook(policy), version)
    one.command_received(Command("c", "Reset", b'{"type":"Immediate"}', 9), 0)
    effects = one.frame_received(frame(3, "c", {"status": "Perhaps"}), 1)
    (outcome,) = (effect for effect in effects if isinstance(effect, Outcome))
    assert (outcome.kind, outcome.error_code, outcome.payload) == (OutcomeKind.RESULT, None, b'{"status":"Perhaps"}')
    assert bool(json.loads(outcome.details)) is (policy is Policy.WARN)
    assert sent(effects) == []
    assert Notice(Noticed.INVALID_RESULT, "Reset") in effects or policy is Policy.PASS


# the settings


def test_relay_is_another_word_for_warn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCPP_GATEWAY_VALIDATION", "relay")
    assert GatewaySettings().validation is Policy.WARN


def test_rules_come_from_the_file_of_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(FILE)
    monkeypatch.setenv("OCPP_GATEWAY_VALIDATION_FILE", str(file))
    assert not GatewaySettings().rulebook.routes(V16, "ABB").of("StatusNotification").enforced
    file.write_text('[[rule]]\npolicy="maybe"\n[[rule]]\n')
    (problem,) = check(GatewaySettings)[1]
    assert [line.partition("OCPP_GATEWAY_VALIDATION_FILE: ")[2] for line in problem.splitlines()] == [
        "rule 1: policy must be one of enforce, warn, pass",
        "rule 2: policy is missing",
    ]
    for path in (tmp_path / "none.toml", tmp_path):
        monkeypatch.setenv("OCPP_GATEWAY_VALIDATION_FILE", str(path))
        assert len(check(GatewaySettings)[1]) == 1
    file.write_bytes(b"\xff")
    monkeypatch.setenv("OCPP_GATEWAY_VALIDATION_FILE", str(file))
    assert len(check(GatewaySettings)[1]) == 1
    monkeypatch.setenv("OCPP_GATEWAY_VALIDATION_FILE", "")
    assert GatewaySettings().validation_file is None
