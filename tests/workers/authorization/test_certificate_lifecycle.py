"""What answers mean for a certificate, and how charge points of each version are told."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import OutcomeEnvelope, OutcomeKind
from contracts.schemas import Part, outbound_violation
from contracts.versions import Version
from workers.authorization import certificate_orders as orders
from workers.authorization.certificate_lifecycle import (
    GIVE_UP_AFTER,
    Ending,
    Heard,
    again_at,
    heard,
    renewal_request,
    signed_request,
)
from workers.store.certificate_orders import Order

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HASHES = {"hashAlgorithm": "SHA256", "issuerNameHash": "a1", "issuerKeyHash": "b2", "serialNumber": "c3"}


def outcome(kind: OutcomeKind, payload: object = None, code: str = "") -> OutcomeEnvelope:
    return OutcomeEnvelope("c", "CP-1", kind, "gw", payload=orjson.dumps(payload or {}), error_code=code)


@pytest.mark.parametrize(
    ("kind", "code", "ending"),
    [
        (OutcomeKind.CALL_ERROR, "NotImplemented", Ending.FAILED),
        (OutcomeKind.REJECTED, "unknown_action", Ending.FAILED),
        (OutcomeKind.REJECTED, "queue_full", Ending.AGAIN),
        (OutcomeKind.OFFLINE, "not_connected", Ending.AGAIN),
        (OutcomeKind.EXPIRED, "deadline", Ending.AGAIN),
        (OutcomeKind.TIMEOUT, "no_answer", Ending.AGAIN),
        (OutcomeKind.UNKNOWN, "gateway_lost", Ending.AGAIN),
    ],
)
def test_only_what_will_never_be_taken_fails(kind, code, ending):
    assert heard(outcome(kind, code=code)) == Heard(ending, kind.value, code, {})


def test_the_charge_points_own_word_and_reason_are_kept():
    payload = {"status": "Rejected", "statusInfo": {"reasonCode": "CertChainError", "additionalInfo": "root"}}
    found = heard(outcome(OutcomeKind.RESULT, payload))
    assert (found.ending, found.status, found.detail) == (Ending.ANSWERED, "Rejected", "CertChainError root")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 9) | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    ["status", "statusInfo", "certificateHashData", "certificateHashDataChain", "certificateType"]
                ),
                x,
            )
        ),
    )
)
def test_any_answer_is_read_somehow(payload):
    found = heard(outcome(OutcomeKind.RESULT, payload))
    assert found.ending is Ending.ANSWERED
    orders.reported_in({"certificateType": "X"}, found.payload)


def test_attempts_become_rarer_and_end_after_a_week():
    first, later = (again_at(NOW, NOW, attempts, "key") for attempts in (1, 20))
    assert first is not None
    assert later is not None
    assert first - NOW < timedelta(seconds=5) < later - NOW <= timedelta(minutes=10)
    assert again_at(NOW + GIVE_UP_AFTER, NOW, 3, "key") is None


@pytest.mark.parametrize("version", Version)
def test_a_chain_is_sent_in_the_versions_own_words(version):
    action, payload = signed_request(version, "PEM", "ChargingStationCertificate", 7)
    assert outbound_violation(version, action, Part.REQUEST, payload) is None
    assert payload.get("requestId") == (7 if version is Version.V21 else None)


@pytest.mark.parametrize("version", Version)
def test_orders_are_sent_in_the_versions_own_words(version):
    details = {"type": "CSMSRootCertificate", "pem": "PEM", "hash_data": HASHES}
    for kind in orders.KINDS:
        order = Order("key", "CP-1", kind, "", details, 1, NOW)
        for action, payload in orders.requests_for(version, order):
            assert outbound_violation(version, action, Part.REQUEST, payload) is None
    action, payload = renewal_request(version)
    assert "connectorId" not in payload
    assert (action == "TriggerMessage") is version.is_2x


def test_what_is_installed_is_read_with_the_types_that_were_asked_for_or_named():
    assert orders.reported_in(
        {"certificateType": "ManufacturerRootCertificate"}, {"certificateHashData": [HASHES]}
    ) == [("ManufacturerRootCertificate", HASHES)]
    child = {**HASHES, "serialNumber": "d4"}
    chain = {
        "certificateType": "V2GCertificateChain",
        "certificateHashData": HASHES,
        "childCertificateHashData": [child],
    }
    assert orders.reported_in({}, {"certificateHashDataChain": [chain, {"certificateType": "X"}]}) == [
        ("V2GCertificateChain", HASHES),
        ("V2GCertificateChain", child),
    ]
