"""Schemas: every action of every version has them, and violations are named in OCPP's terms without values."""

import json
import subprocess
import sys
from importlib.resources import files

import pytest

from contracts import actions, schemas
from contracts.actions import Service
from contracts.schemas import Part
from contracts.versions import ErrorKind, Version

V16 = Version.V16


def test_every_action_of_the_table_has_the_schemas_its_direction_needs() -> None:
    for action in actions.table().values():
        assert schemas.exists(action.version, action.name, Part.REQUEST)
        assert schemas.exists(action.version, action.name, Part.RESPONSE) is not action.is_send


def test_the_table_names_every_action_that_the_schema_files_know() -> None:
    for version, package in ((V16, "ocpp.v16"), (Version.V201, "ocpp.v201"), (Version.V21, "ocpp.v21")):
        names = {file.name.removesuffix(".json") for file in (files(package) / "schemas").iterdir()}
        requests = {name.removesuffix("Request") for name in names if not name.endswith("Response")}
        assert requests == {name for (known, name) in actions.table() if known is version}


def test_the_counts_are_those_of_the_specifications() -> None:
    counts = [sum(1 for (known, _) in actions.table() if known is version) for version in Version]
    assert counts == [39, 64, 91]


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        ({}, ErrorKind.OCCURRENCE),
        ({"idTag": 1}, ErrorKind.TYPE),
        ({"idTag": "secret" * 9}, ErrorKind.PROPERTY),
        ({"idTag": "secret", "more": 1}, ErrorKind.FORMAT),
    ],
)
def test_violations_carry_the_kind_and_never_the_value(payload: object, kind: ErrorKind) -> None:
    violation = schemas.inbound_violation(V16, "Authorize", Part.REQUEST, payload)
    assert violation is not None
    assert violation.kind is kind
    assert "secret" not in violation.description


def test_inbound_dates_are_left_to_the_worker_and_outbound_dates_are_not() -> None:
    payload = {"currentTime": "yesterday"}
    assert schemas.inbound_violation(V16, "Heartbeat", Part.RESPONSE, payload) is None
    assert schemas.outbound_violation(V16, "Heartbeat", Part.RESPONSE, payload) is not None


def test_one_decimal_limits_pass() -> None:
    profile = {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.1}],
            },
        },
    }  # fmt: skip
    assert schemas.outbound_violation(V16, "SetChargingProfile", Part.REQUEST, profile) is None


def test_unknown_actions_have_no_violation_inbound_and_are_refused_outbound() -> None:
    assert schemas.inbound_violation(V16, "Nonsense", Part.REQUEST, {}) is None
    violation = schemas.outbound_violation(V16, "Nonsense", Part.REQUEST, {})
    assert violation is not None
    assert violation.kind is ErrorKind.NOT_IMPLEMENTED


def test_hostile_property_names_do_not_reach_the_description_unescaped() -> None:
    payload = json.loads('{"idTag":"x","\\u0000\\u001b[31m\\n' + "y" * 500 + '":1}')
    violation = schemas.inbound_violation(V16, "Authorize", Part.REQUEST, payload)
    assert violation is not None
    assert violation.description.isprintable()
    assert len(violation.description) <= 255


def test_transaction_messages_belong_to_metering_and_never_expire() -> None:
    for (_, name), action in actions.table().items():
        if name in actions.TRANSACTION_ACTIONS:
            assert action.owner is Service.METERING
            assert not actions.expires(action)


def test_a_payload_full_of_violations_costs_no_more_than_its_first() -> None:
    """Memory, measured in a process of its own: half a gigabyte is a quarter of what all the errors took."""
    check = (
        "import resource\n"
        "from contracts import schemas\n"
        "from contracts.versions import Version\n"
        "report = {'requestId': 1, 'generatedAt': 'x', 'seqNo': 0, 'reportData': [{} for _ in range(330_000)]}\n"
        "found = schemas.inbound_violation(Version.V201, 'NotifyReport', schemas.Part.REQUEST, report)\n"
        "print(found.kind, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 512 * 1024)\n"
    )
    ran = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [ErrorKind.OCCURRENCE.value, "True"]
