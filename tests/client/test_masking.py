"""What a person may see of a message: no token, password or key, wherever OCPP puts one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.client.letters import content_of
from contracts.client.masking import masked

S = "SECRET"


@pytest.mark.parametrize(
    "value",
    [
        {"idTag": S},
        {"idTagInfo": {"parentIdTag": S, "status": "Accepted"}},
        {"idToken": {"idToken": S, "type": "ISO14443", "additionalInfo": [{"additionalIdToken": S, "type": "x"}]}},
        {"id_token": S, "group_token": S},
        {"key": "AuthorizationKey", "value": S},
        {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": S}]},
        {"setVariableData": [{"variable": {"name": "BasicAuthPassword"}, "attributeValue": S}]},
        {"connectionData": {"apn": {"apnPassword": S}, "vpn": {"password": S, "key": S}}},
        {"location": f"ftp://user:{S}@host/firmware.bin"},
        {"headers": {"Authorization": f"Basic {S}"}},
        [2, "1", "Authorize", {"idTag": S}],
    ],
)
def test_secrets_are_masked(value: Any) -> None:
    assert S not in str(masked(value))


@pytest.mark.parametrize(
    "value",
    [
        {"key": ["HeartbeatInterval"]},
        {"key": "HeartbeatInterval", "value": "300"},
        {"setVariableData": [{"variable": {"name": "HeartbeatInterval"}, "attributeValue": "300"}]},
        {"location": "ftp://host/user@example/firmware.bin", "status": "Accepted", "n": [1, None, 2.5]},
    ],
)
def test_everything_else_is_left_as_it_is(value: Any) -> None:
    assert masked(value) == value


@given(body=st.binary())
def test_whatever_a_body_is_it_can_be_looked_at(body: bytes) -> None:
    masked(content_of(body))
