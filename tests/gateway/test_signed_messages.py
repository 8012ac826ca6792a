"""Signed messages: which are believed, which are refused and why, and what a session makes of them."""

import json
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.envelope import MessagePolicy, OutcomeKind
from contracts.ocppj import CALL, CALL_RESULT, SEND
from contracts.versions import Version
from gateway.commands import Command
from gateway.effects import Notice, Noticed
from gateway.session import Session
from gateway.session_rules import SessionRules
from gateway.signed_messages import MOST_HEADER, MOST_KEYS, Opened, Signatures, SignedResult, bare
from tests.gateway.sessions import OK, V16, V21, V201, frame, heartbeat, noticed, outcomes, relays, sent
from tests.gateway.signing import Signer, b64, signer

BOOT = {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}
ALGORITHMS = ["ES256", "ES384", "RS256", "RS384", "PS256"]


def keys(*signers: Signer, policy: MessagePolicy = MessagePolicy.VERIFY) -> Signatures:
    return Signatures(policy, [one.certificate_pem for one in signers])


def opened(jws: Any, known: Signatures | None = None, kind: int = CALL) -> Opened | SignedResult:
    return (known or keys(signer())).open(kind, "u-1", "BootNotification", jws)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_message_that_was_signed_with_a_key_on_record_is_believed(algorithm: str) -> None:
    one = signer(algorithm)
    for pem, header in (
        (one.certificate_pem, {}),
        (one.certificate_pem, {"x5t#S256": None}),
        (one.public_pem, {}),
    ):
        found = opened(one.jws(CALL, "BootNotification", BOOT, **header), Signatures(MessagePolicy.VERIFY, [pem]))
        assert isinstance(found, Opened)
        assert found.payload == BOOT == orjson.loads(found.body)
        assert (found.thumbprint == one.thumbprint) is (pem == one.certificate_pem)


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"OCPPMessageTypedId": None, "OCPPMessageTypeId": 2},
        {"OCPPMessageTypedId": None, "OCPPMessageType": 2},
        {"OCPPMessageTypeId": 2, "OCPPMessageId": "u-1"},
        {"typ": "JOSE", "cty": "json"},
    ],
)
def test_the_message_type_is_read_in_each_spelling_and_the_id_where_there_is_one(header: dict[str, Any]) -> None:
    assert isinstance(opened(signer().jws(CALL, "BootNotification", BOOT, **header)), Opened)


@pytest.mark.parametrize(
    ("header", "result"),
    [
        ({"alg": "none"}, SignedResult.ALGORITHM),
        ({"alg": "HS256"}, SignedResult.ALGORITHM),
        ({"alg": "ES512"}, SignedResult.ALGORITHM),
        ({"alg": None}, SignedResult.ALGORITHM),
        ({"alg": ["ES256"]}, SignedResult.ALGORITHM),
        ({"alg": "RS256"}, SignedResult.UNKNOWN_KEY),
        ({"alg": "ES384"}, SignedResult.UNKNOWN_KEY),
        ({"crit": ["exp"]}, SignedResult.MALFORMED),
        ({"crit": ["b64"], "b64": False}, SignedResult.MALFORMED),
        ({"OCPPAction": "Heartbeat"}, SignedResult.OTHER_MESSAGE),
        ({"OCPPAction": "BootNotification-Signed"}, SignedResult.OTHER_MESSAGE),
        ({"OCPPAction": None}, SignedResult.OTHER_MESSAGE),
        ({"OCPPMessageTypedId": 3}, SignedResult.OTHER_MESSAGE),
        ({"OCPPMessageTypedId": "2"}, SignedResult.OTHER_MESSAGE),
        ({"OCPPMessageTypedId": 2.0}, SignedResult.OTHER_MESSAGE),
        ({"OCPPMessageTypedId": None}, SignedResult.OTHER_MESSAGE),
        ({"OCPPMessageTypeId": 3}, SignedResult.OTHER_MESSAGE),
        ({"OCPPMessageId": "u-2"}, SignedResult.OTHER_MESSAGE),
        ({"x5t#S256": "somebody-else's"}, SignedResult.UNKNOWN_KEY),
        ({"x5t#S256": 7}, SignedResult.UNKNOWN_KEY),
        ({"x": "y" * MOST_HEADER}, SignedResult.MALFORMED),
    ],
)
def test_a_header_that_does_not_fit_is_refused(header: dict[str, Any], result: SignedResult) -> None:
    assert opened(signer().jws(CALL, "BootNotification", BOOT, **header)) is result


@pytest.mark.parametrize(
    ("change", "result"),
    [
        ({"payload": b64(b'{"reason":"Unknown"}')}, SignedResult.BAD_SIGNATURE),
        ({"signature": b64(bytes(64))}, SignedResult.BAD_SIGNATURE),
        ({"signature": b64(b"\xff" * 64)}, SignedResult.BAD_SIGNATURE),
        ({"signature": b64(bytes(63))}, SignedResult.BAD_SIGNATURE),
        ({"signature": ""}, SignedResult.BAD_SIGNATURE),
        ({"signature": "=="}, SignedResult.MALFORMED),
        ({"signature": "A"}, SignedResult.MALFORMED),
        ({"signature": "A" * 2000}, SignedResult.MALFORMED),
        ({"signature": None}, SignedResult.MALFORMED),
        ({"payload": {"reason": "PowerUp"}}, SignedResult.MALFORMED),
        ({"payload": "a+b/"}, SignedResult.MALFORMED),
        ({"protected": b64(b"[]")}, SignedResult.MALFORMED),
        ({"protected": b64(b"\xff")}, SignedResult.MALFORMED),
        ({"protected": "é"}, SignedResult.MALFORMED),
        ({"protected": ""}, SignedResult.MALFORMED),
    ],
)
def test_what_was_changed_is_refused(change: dict[str, Any], result: SignedResult) -> None:
    assert opened({**signer().jws(CALL, "BootNotification", BOOT), **change}) is result


@pytest.mark.parametrize("payload", [{}, BOOT, None, [], {"payload": "x", "protected": "y"}, "text"])
def test_what_is_no_signature_at_all_is_malformed(payload: Any) -> None:
    assert opened(payload) is SignedResult.MALFORMED


@pytest.mark.parametrize("body", [b"[]", b"null", b"{", b"", b'{"a":' * 2000])
def test_a_signed_payload_that_is_no_object_is_malformed(body: bytes) -> None:
    assert opened(signer().jws(CALL, "BootNotification", body)) is SignedResult.MALFORMED


def test_the_signature_of_another_key_is_refused() -> None:
    stranger = signer("ES256", "CS-2")
    jws = stranger.jws(CALL, "BootNotification", BOOT)
    assert opened(jws) is SignedResult.UNKNOWN_KEY
    assert opened(stranger.jws(CALL, "BootNotification", BOOT, **{"x5t#S256": None})) is SignedResult.BAD_SIGNATURE
    assert opened(stranger.jws(CALL, "BootNotification", BOOT, **{"x5t#S256": signer().thumbprint})) is (
        SignedResult.BAD_SIGNATURE
    )
    assert isinstance(opened(jws, keys(signer(), stranger)), Opened)


def test_a_der_signature_is_none_of_jws() -> None:
    one = signer()
    jws = one.jws(CALL, "BootNotification", BOOT)
    der = b64(bytes.fromhex("3006020101020101"))
    assert opened({**jws, "signature": der}) is SignedResult.BAD_SIGNATURE


def pem_of(key: Any) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    pem: bytes = key.public_key().public_bytes(encoding, form)
    return pem.decode()


def test_keys_that_are_of_no_use_are_counted_and_not_used() -> None:
    weak = pem_of(rsa.generate_private_key(65537, 1024))  # noqa: S505 - which is the point
    curves = [pem_of(ec.generate_private_key(ec.SECP521R1())), pem_of(ed25519.Ed25519PrivateKey.generate())]
    broken = ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", signer().public_pem[:60], "é\0"]
    known = Signatures(MessagePolicy.VERIFY, [weak, *curves, *broken])
    assert known.unusable == 8
    assert opened(signer().jws(CALL, "BootNotification", BOOT), known) is SignedResult.UNKNOWN_KEY
    assert Signatures(MessagePolicy.VERIFY, [signer().public_pem] * (MOST_KEYS + 2)).unusable == 2


def test_nobody_looks_at_signatures_where_the_policy_is_off() -> None:
    assert Signatures.of("off", [signer().certificate_pem]) is None
    found = Signatures.of("require", [])
    assert found is not None
    assert found.required


@pytest.mark.parametrize(
    ("action", "name"),
    [("A-Signed", "A"), ("A-Signed-Signed", "A-Signed"), ("-Signed", None), ("A", None), ("A-signed", None)],
)
def test_the_bare_action_of_a_signed_one(action: str, name: str | None) -> None:
    assert bare(action) == name


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["alg", "crit", "x5t#S256", "OCPPAction", "OCPPMessageTypedId", "OCPPMessageType", "OCPPMessageId"]
    ),
    JSON | st.sampled_from([*ALGORITHMS, 2, "BootNotification", "u-1"]),
)
PARTS = st.text(max_size=40) | st.binary(max_size=80).map(b64) | HEADERS.map(lambda header: b64(orjson.dumps(header)))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.fixed_dictionaries({"protected": PARTS | JSON, "payload": PARTS | JSON, "signature": PARTS | JSON}) | JSON)
def test_whatever_comes_is_refused_in_one_of_the_named_ways(payload: Any) -> None:
    everybody = keys(*(signer(algorithm) for algorithm in ALGORITHMS))
    assert opened(payload, everybody) in set(SignedResult) - {SignedResult.VERIFIED, SignedResult.UNSIGNED}


NAMES = st.sampled_from(["payload", "protected", "signature"])


@given(st.dictionaries(st.text(max_size=10), JSON, max_size=4), st.integers(0, 200), NAMES)
def test_a_signed_payload_comes_out_as_it_went_in_and_not_with_a_letter_changed(
    payload: dict[str, Any], at: int, part: str
) -> None:
    jws = signer().jws(CALL, "BootNotification", payload)
    found = opened(jws)
    assert isinstance(found, Opened)
    assert found.payload == payload
    text = jws[part]
    at %= len(text) - 1  # the last letter may hold bits that count for nothing
    changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
    assert isinstance(opened({**jws, part: changed}), SignedResult)


# in a session


def of(policy: str = "verify", version: Version = V201, **rules: Any) -> Session:
    signatures = Signatures.of(policy, [signer().certificate_pem])
    return Session("CS", version, "s", 1, SessionRules(**rules), signatures=signatures)


def call(payload: Any = BOOT, action: str = "BootNotification", kind: int = CALL, **header: Any) -> bytes:
    return frame(kind, "u", f"{action}-Signed", signer().jws(kind, action, payload, **header))


def test_a_verified_call_is_relayed_as_the_bare_action() -> None:
    effects = of().frame_received(call(), 0)
    (relay,) = relays(effects)
    assert json.loads(relay.frame) == [2, "u", "BootNotification", BOOT]
    assert (relay.action, relay.key, relay.signed_by) == (
        "BootNotification", "ocpp201.BootNotification", signer().thumbprint,
    )  # fmt: skip
    assert effects[0] == Notice(Noticed.SIGNED, "verified")


def test_the_answer_to_a_signed_call_is_not_signed() -> None:
    one = of()
    (relay,) = relays(one.frame_received(call(), 0))
    assert sent(one.reply_received(relay.number, OK, 0)) == [[3, "u", {"ok": 1}]]


def test_what_was_signed_is_validated_like_everything_else() -> None:
    effects = of().frame_received(call({"reason": "PowerUp"}), 0)
    assert sent(effects)[0][:3] == [4, "u", "OccurrenceConstraintViolation"]
    (relay,) = relays(of().frame_received(call({"seqNo": 1}, "TransactionEvent"), 0))
    assert relay.transaction
    assert relay.violation is not None


@pytest.mark.parametrize("action", ["BootNotification", "TransactionEvent", "Nothing"])
def test_a_signature_that_is_wrong_is_a_security_error_whatever_it_is_for(action: str) -> None:
    one = of()
    effects = one.frame_received(call(action=action, OCPPAction="Heartbeat"), 0)
    assert sent(effects)[0][:3] == [4, "u", "SecurityError"]
    assert noticed(effects) == [Noticed.SIGNED, Noticed.SIGNATURE_REFUSED]
    assert Notice(Noticed.SIGNED, "other_message") in effects
    assert one.idle


def test_unsigned_calls_are_taken_where_signatures_are_not_required() -> None:
    assert relays(of().frame_received(heartbeat(), 0))[0].signed_by is None


@pytest.mark.parametrize("version", list(Version))
def test_unsigned_calls_are_refused_where_signatures_are_required(version: Version) -> None:
    effects = of("require", version).frame_received(heartbeat(), 0)
    assert sent(effects)[0][:3] == [4, "h", "SecurityError"]
    assert Notice(Noticed.SIGNED, "unsigned") in effects
    assert relays(of("require", V201).frame_received(call(), 0))


def test_16_has_no_signed_messages() -> None:
    effects = of(version=V16).frame_received(call(), 0)
    assert relays(effects)[0].action == "BootNotification-Signed", "whom nobody serves"


def test_where_nobody_looks_at_signatures_a_signed_action_is_one_that_nobody_serves() -> None:
    one = of("off")
    (relay,) = relays(one.frame_received(call(), 0))
    assert relay.action == "BootNotification-Signed"
    assert sent(one.unroutable(relay.number, 0))[0][:3] == [4, "u", "NotImplemented"]


def test_a_call_that_waited_is_verified_at_its_turn_and_billing_data_is_kept_at_the_close() -> None:
    one = of()
    (first,) = relays(one.frame_received(heartbeat(), 0))
    assert one.frame_received(call({"seqNo": 1}, "TransactionEvent"), 0) == []
    (kept,) = relays(one.close(1))
    assert kept.number != first.number
    assert (kept.action, kept.signed_by) == ("TransactionEvent", signer().thumbprint)


def test_signed_billing_data_is_taken_even_when_its_id_is_in_use() -> None:
    one = of(tolerances=frozenset())
    relays(one.frame_received(call(), 0))
    assert sent(one.frame_received(call(), 0))[0][:3] == [4, "u", "ProtocolError"]
    assert one.frame_received(call({"seqNo": 1}, "TransactionEvent"), 0) == []
    assert [relay.action for relay in relays(one.close(1))] == ["TransactionEvent"]


def test_a_signed_result_counts_when_it_verifies() -> None:
    answer = {"status": "Accepted"}
    for jws, kind, version, code in (
        (signer().jws(CALL_RESULT, "Reset", answer), OutcomeKind.RESULT, V201, None),
        (signer().jws(CALL_RESULT, "Reset", {"status": "?"}), OutcomeKind.RESULT, V201, "invalid_result"),
        (signer().jws(CALL, "Reset", answer), OutcomeKind.CALL_ERROR, V201, "invalid_result"),
        (signer().jws(CALL_RESULT, "ClearCache", answer), OutcomeKind.CALL_ERROR, V21, "invalid_result"),
    ):
        one = of("require", version)
        one.command_received(Command("c", "Reset", b'{"type":"Immediate"}', 9), 0)
        effects = one.frame_received(frame(3, "c", jws), 1)
        assert outcomes(effects) == [("c", kind, code)]
        assert [message[:3] for message in sent(effects)] == ([[5, "c", "SecurityError"]] if version is V21 else [])


def test_an_unsigned_result_is_taken_as_our_command_was_not_signed_either() -> None:
    one = of("require")
    one.command_received(Command("c", "Reset", b'{"type":"Immediate"}', 9), 0)
    assert outcomes(one.frame_received(frame(3, "c", {"status": "Accepted"}), 1)) == [("c", OutcomeKind.RESULT, None)]


def test_a_signed_send_is_relayed_bare_or_not_at_all() -> None:
    stream = {"id": 1, "pending": 0, "basetime": "2026-01-01T00:00:00Z", "data": [{"t": 0, "v": "1"}]}
    one = of(version=V21)
    (relay,) = relays(one.frame_received(call(stream, "NotifyPeriodicEventStream", SEND), 0))
    assert json.loads(relay.frame) == [6, "u", "NotifyPeriodicEventStream", stream]
    assert (relay.is_send, relay.signed_by) == (True, signer().thumbprint)
    bad = one.frame_received(call(stream, "NotifyPeriodicEventStream", SEND, OCPPMessageTypedId=2), 0)
    assert (relays(bad), sent(bad), noticed(bad)[-1]) == ([], [], Noticed.REFUSED_SEND)
