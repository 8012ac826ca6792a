"""Known deviations: what each rule explains, that nothing else is explained, and that each can be switched off."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from contracts.schemas import Check, Part, check_inbound
from contracts.versions import Version
from gateway import tolerances
from gateway.effects import Notice, Noticed
from gateway.handshake import Accepted, Refused, decide
from gateway.routes import Policy
from gateway.session import Session
from gateway.session_rules import SessionRules
from gateway.tolerances import ALL, HARMLESS, STRICT, Tolerance, explain, holds_nul, named
from gateway.validation import Rulebook
from tests.gateway.sessions import OK, V16, V21, V201, frame, heartbeat, noticed, outcomes, relays, reset, sent
from tests.gateway.station import head_of, raw, upgrade_request

STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
MOMENT = "2026-01-01T00:00:00Z"


def sampled(**sample: Any) -> dict[str, Any]:
    return {"connectorId": 1, "meterValue": [{"timestamp": MOMENT, "sampledValue": [{"value": "1", **sample}]}]}


def sampled_2x(value: Any) -> dict[str, Any]:
    return {"evseId": 1, "meterValue": [{"timestamp": MOMENT, "sampledValue": [{"value": value}]}]}


EXPLAINED: list[tuple[Version, str, dict[str, Any], set[str]]] = [
    (V16, "StatusNotification", {**STATUS, "info": None, "vendorId": None}, {"null_optionals"}),
    (
        V201,
        "BootNotification",
        {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M", "modem": None}},
        {"null_optionals"},
    ),
    (V21, "Heartbeat", {"customData": None}, {"null_optionals"}),
    (V16, "StatusNotification", {**STATUS, "more": 1, "and": {}}, {"unknown_fields"}),
    (V16, "StatusNotification", {**STATUS, "info": "x" * 60}, {"over_length"}),
    (V16, "Authorize", {"idTag": "x" * 21}, {"over_length"}),
    (V16, "StatusNotification", {**STATUS, "errorCode": "FluxCapacitor"}, {"unknown_enum"}),
    (V16, "MeterValues", sampled(value=1.5), {"numeric_value"}),
    (V201, "MeterValues", sampled_2x("1.5"), {"numeric_value"}),
    (V16, "MeterValues", sampled(unit="Hz"), {"hertz"}),
    (V16, "MeterValues", sampled(unit="°C"), {"celsius"}),
    (
        V16,
        "BootNotification",
        {"chargePointVendor": None, "chargePointModel": "M"},
        {"empty_required_text", "null_optionals"},
    ),
    (
        V16,
        "StatusNotification",
        {**STATUS, "info": None, "x": 1, "errorCode": "?"},
        {"null_optionals", "unknown_fields", "unknown_enum"},
    ),
]
UNEXPLAINED: list[tuple[Version, str, Any]] = [
    (V16, "StatusNotification", {**STATUS, "connectorId": "1"}),
    (V16, "StatusNotification", {"errorCode": None, "status": "Available", "connectorId": 1}),  # required, no free text
    (V16, "StatusNotification", {"status": "Available", "info": None}),
    (V16, "Authorize", {"idTag": 5}),
    (V16, "Authorize", {}),
    (V16, "MeterValues", sampled(value=True)),
    (V16, "MeterValues", sampled(value=[])),
    (V201, "MeterValues", sampled_2x("n/a")),
    (V201, "MeterValues", sampled_2x("inf")),
    (V16, "MeterValues", {"connectorId": 1, "meterValue": [None]}),
    (
        V16,
        "MeterValues",
        {"connectorId": 1, "meterValue": [{"timestamp": MOMENT, "sampledValue": [{"value": 1}] * 50}]},
    ),
    (V16, "StatusNotification", {**STATUS, "info": "x" * 20_000}),
    (V16, "Authorize", []),
    (V16, "Authorize", None),
]


def check_of(version: Version, action: str) -> Check:
    found = check_inbound(version, action, Part.REQUEST)
    assert found is not None
    return found


@pytest.mark.parametrize(("version", "action", "payload", "rules"), EXPLAINED)
def test_a_violation_is_explained_by_these_rules_and_by_no_fewer(
    version: Version, action: str, payload: dict[str, Any], rules: set[str]
) -> None:
    check, before = check_of(version, action), json.dumps(payload)
    assert explain(payload, check, ALL) == rules
    assert explain(payload, check, {Tolerance(rule) for rule in rules}) == rules
    for rule in rules:
        assert explain(payload, check, ALL - {rule}) == STRICT
    assert json.dumps(payload) == before


@pytest.mark.parametrize(("version", "action", "payload"), UNEXPLAINED)
def test_what_is_wrong_otherwise_is_not_explained(version: Version, action: str, payload: Any) -> None:
    assert explain(payload, check_of(version, action), ALL) == STRICT


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
SPOILT = st.dictionaries(st.sampled_from(["connectorId", "errorCode", "status", "info", "x"]), JSON, max_size=5)


@given(SPOILT, st.sets(st.sampled_from(list(Tolerance))))
def test_any_payload_is_explained_with_what_is_allowed_or_not_at_all(
    spoilt: dict[str, Any], allowed: set[Tolerance]
) -> None:
    payload = {**STATUS, **spoilt}
    before = json.dumps(payload)
    assert explain(payload, check_of(V16, "StatusNotification"), allowed) <= allowed
    assert json.dumps(payload) == before


def test_names_are_read_from_a_list() -> None:
    assert named("hertz, celsius") == {Tolerance.HERTZ, Tolerance.CELSIUS}
    assert (named("all"), named("none"), named("")) == (ALL, STRICT, STRICT)
    for words in ("hurts", "all,hertz", "hertz;celsius", "None"):
        with pytest.raises(ValueError, match="there are no_subprotocol"):
            named(words)


def test_the_harmless_ones_let_nothing_in_of_which_something_is_lost() -> None:
    lossy = {"empty_required_text", "unknown_fields", "over_length", "unknown_enum"}
    assert lossy == ALL - HARMLESS


# in a session


def of(allowed: frozenset[Tolerance], version: Version = V16, policy: Policy = Policy.ENFORCE) -> Session:
    return Session("CP", version, "s", 1, SessionRules(tolerances=allowed, rulebook=Rulebook(policy)))


@pytest.mark.parametrize(("version", "action", "payload", "rules"), EXPLAINED)
def test_a_tolerated_call_is_relayed_as_it_came_with_its_violation_and_counted(
    version: Version, action: str, payload: dict[str, Any], rules: set[str]
) -> None:
    call = frame(2, "u", action, payload)
    effects = of(ALL, version).frame_received(call, 0)
    (relay,) = relays(effects)
    assert relay.frame == call
    assert relay.violation is not None
    assert {effect.detail for effect in effects if isinstance(effect, Notice)} == rules
    assert set(noticed(effects)) == {Noticed.TOLERATED}
    refused = of(STRICT, version).frame_received(call, 0)
    assert bool(relays(refused)) is (action == "MeterValues"), "billing data is never refused"
    assert Noticed.INVALID_CALL in noticed(refused)


def test_a_tolerated_result_is_a_result() -> None:
    for allowed, code in ((ALL, None), (STRICT, "invalid_result")):
        one = of(allowed)
        one.command_received(reset("c"), 0)
        effects = one.frame_received(frame(3, "c", {"status": "Accepted", "info": None}), 1)
        assert outcomes(effects)[0][2] == code


def test_an_empty_message_id_is_borne_or_unreadable() -> None:
    effects = of(HARMLESS).frame_received(heartbeat(""), 0)
    assert effects[0] == Notice(Noticed.TOLERATED, "empty_unique_id")
    assert relays(effects)
    assert noticed(of(STRICT).frame_received(heartbeat(""), 0)) == [Noticed.MALFORMED]
    assert sent(of(STRICT, V201).frame_received(heartbeat(""), 0))[0][:3] == [4, "-1", "RpcFrameworkError"]


def test_the_same_id_again_before_the_answer_is_borne_or_refused() -> None:
    for allowed, answers in ((HARMLESS, []), (STRICT, [[4, "u", "ProtocolError"]])):
        one = of(allowed)
        (first,) = relays(one.frame_received(heartbeat("u"), 0))
        effects = one.frame_received(heartbeat("u"), 0)
        assert [message[:3] for message in sent(effects)] == answers
        assert bool(relays(one.reply_received(first.number, OK, 0))) is (allowed is HARMLESS)


def test_billing_data_with_the_same_id_is_always_taken() -> None:
    one, stop = of(STRICT), frame(2, "u", "StopTransaction", {"transactionId": 1})
    (first,) = relays(one.frame_received(stop, 0))
    assert sent(one.frame_received(stop, 0)) == []
    assert relays(one.reply_received(first.number, OK, 0))


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        (frame(4, "c", "Odd", "why"), "short_call_error"),
        (frame(4, "c", "Odd", "why", "text"), "odd_details"),
        (frame(4, "c", "Odd", None, {}), "odd_details"),
    ],
)
def test_an_odd_call_error_is_borne_or_dropped(error: bytes, rule: str) -> None:
    one = of(HARMLESS)
    one.command_received(reset("c"), 0)
    effects = one.frame_received(error, 1)
    assert effects[0] == Notice(Noticed.TOLERATED, rule)
    assert outcomes(effects)[0][2] == "Odd"
    one = of(STRICT)
    one.command_received(reset("c"), 0)
    assert one.frame_received(error, 1) == [Notice(Noticed.MALFORMED, rule)]
    assert not one.idle


def test_nul_characters_are_borne_or_refused() -> None:
    call = frame(2, "u", "Authorize", {"idTag": "a\0b"})
    effects = of(HARMLESS).frame_received(call, 0)
    assert effects[0] == Notice(Noticed.TOLERATED, "nul_characters")
    assert relays(effects)[0].violation is None, "no schema forbids them"
    assert sent(of(STRICT).frame_received(call, 0))[0][:3] == [4, "u", "FormationViolation"]
    harmless = frame(2, "u", "Authorize", {"idTag": r"a\u0000b"})
    assert noticed(of(STRICT).frame_received(harmless, 0)) == []
    assert relays(of(STRICT).frame_received(frame(2, "u", "StopTransaction", {"idTag": "\0"}), 0))
    assert relays(of(STRICT, policy=Policy.PASS).frame_received(call, 0))


@pytest.mark.parametrize(
    ("payload", "has"),
    [
        ({"a": "\0"}, True),
        ({"\0": 1}, True),
        ([[["\0"]]], True),
        ({"a": ["b", 1, None]}, False),
        (json.loads("[" * 60 + "]" * 60), True),
    ],
)
def test_nul_characters_are_found_wherever_they_are(payload: Any, has: bool) -> None:
    assert holds_nul(payload) is has


# at the handshake

P = "/ocpp"
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("path", "identity", "rules"),
    [
        ("/ocpp/CP-1", "CP-1", set()),
        ("/ocpp/A%2FB?x=y", "A/B", set()),
        ("/ocpp//CP-1", "CP-1", {"path_slashes"}),
        ("//ocpp/CP-1", "CP-1", {"path_slashes"}),
        ("/ocpp/CP-1/", "CP-1", {"path_slashes"}),
        ("/ocpp/CP-1//?x=1", "CP-1", {"path_slashes"}),
        ("ws://example.com:80/ocpp/CP-1", "CP-1", {"path_full_url"}),
        ("WSS://example.com/ocpp//CP%201/", "CP 1", {"path_full_url", "path_slashes"}),
        ("/ocpp/ws://example.com/ocpp/CP-1", "CP-1", {"path_full_url"}),
        ("/ocpp?identity=CP-1", "CP-1", {"query_identity"}),
        ("/ocpp/?x=1&chargePointId=CP%201", "CP 1", {"query_identity"}),
        ("/ocpp/CP-1?identity=other", "CP-1", set()),
    ],
)
def test_a_path_is_read_as_it_was_meant(path: str, identity: str, rules: set[str]) -> None:
    verdict = decide(path, ["ocpp1.6"], P, HARMLESS)
    assert isinstance(verdict, Accepted)
    assert (verdict.identity, set(verdict.tolerated)) == (identity, rules)
    for rule in rules:
        assert isinstance(decide(path, ["ocpp1.6"], P, HARMLESS - {rule}), Refused)


def test_an_escaped_url_is_an_identity_where_it_is_not_tolerated() -> None:
    path = "/ocpp/wss%3A%2F%2Fexample.com%2Fother%2FCP-1"
    assert decide(path, ["ocpp1.6"], P, HARMLESS) == Accepted("CP-1", V16)
    assert decide(path, ["ocpp1.6"], P) == Accepted("wss://example.com/other/CP-1", V16)


@pytest.mark.parametrize(
    "path",
    ["/", "/ocpp", "/ocpp/", "/ocpp//", "/ocpp/a/b", "/ocppX/a", "/ocpp?id=", "/ocpp?x=1", "/ocpp/ws://", "/ocpp/ws://h",
     "/ocpp/http://[", "/ocpp?id=a%2Fb%00", "ws://h/elsewhere/CP-1", "/ocpp?" + "a=1&" * 40, "/other?id=CP-1"],
)  # fmt: skip
def test_what_names_no_charge_point_is_refused_all_the_same(path: str) -> None:
    assert isinstance(decide(path, ["ocpp1.6"], P, ALL), Refused)


@given(st.text(max_size=60), st.sampled_from(["/", "/ocpp", "/a/b/"]))
def test_any_path_has_a_meaning_or_none(path: str, endpoint: str) -> None:
    mended = tolerances.path(path, endpoint, ALL)
    assert mended.path == path or mended.used


def test_no_subprotocol_means_16_and_none_is_echoed() -> None:
    for offered in ([], [""], [" , "]):
        verdict = decide("/ocpp/CP-1", offered, P, HARMLESS)
        assert verdict == Accepted("CP-1", V16)
        assert isinstance(verdict, Accepted)
        assert verdict.subprotocol is None
        assert isinstance(decide("/ocpp/CP-1", offered, P), Refused)
    foreign = decide("/ocpp/CP-1", ["ocpp0.1"], P, ALL)
    assert isinstance(foreign, Refused)
    chosen = decide("/ocpp/CP-1", ["ocpp2.0.1"], P, ALL)
    assert isinstance(chosen, Accepted)
    assert chosen.subprotocol == "ocpp2.0.1"


def test_the_documentation_names_each_rule_and_whether_it_is_on() -> None:
    lines = (ROOT / "docs" / "validation.md").read_text().splitlines()
    rows = [line.split("|") for line in lines if "| on |" in line or "| off |" in line]
    told = {name.strip(" `"): row[2].strip() for row in rows for name in row[1].split(",")}
    assert told == {rule.value: "on" if rule in HARMLESS else "off" for rule in Tolerance}


BARE = upgrade_request("//ocpp/CP-1/").replace(b"Sec-WebSocket-Protocol: ocpp1.6\r\n", b"")


async def test_a_handshake_that_deviates_is_borne_unless_nothing_is(edge_alone):
    gateway, _ = await edge_alone()
    before = counted("no_subprotocol"), counted("path_slashes")
    reader, writer = await raw(gateway, BARE)
    status, headers = await head_of(reader)
    assert (status, headers.get("sec-websocket-protocol")) == (101, None)
    assert (counted("no_subprotocol"), counted("path_slashes")) == (before[0] + 1, before[1] + 1)
    (session,) = (connection.session for connection in gateway.edge.registry)
    assert (session.identity, session.version) == ("CP-1", V16)
    writer.close()
    gateway, _ = await edge_alone(tolerate="none")
    reader, _writer = await raw(gateway, upgrade_request().replace(b"Sec-WebSocket-Protocol: ocpp1.6\r\n", b""))
    assert (await head_of(reader))[0] == 400


def counted(rule: str) -> float:
    return REGISTRY.get_sample_value("ocpp_tolerated_total", {"rule": rule}) or 0.0
