"""Commands that would lock a charge point out: which they are, and that only what is on record goes out."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.commands import Reason
from contracts.credentials import StoredKey
from contracts.envelope import OutcomeKind
from tests.support.commanding import command_caller_on, commands_service
from tests.support.scripted_gateway import gateway_on
from tests.support.worker_store import all_rows, migrated_store
from workers.commands.reserved import ReservedSettings, on_record, reserved_settings
from workers.store import command_tables, credentials

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HEX = "00112233445566778899aabbccddeeff00112233"


def variable(name: object, value: object = "x", component: str = "SecurityCtrlr") -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": name}, "attributeValue": value}


@pytest.mark.parametrize(
    ("action", "payload", "found"),
    [
        ("ChangeConfiguration", {"key": "AuthorizationKey", "value": "p"}, ReservedSettings(("p",))),
        ("ChangeConfiguration", {"key": " authorizationKEY ", "value": 7}, ReservedSettings((7,))),
        ("ChangeConfiguration", {"key": "AuthorizationKey\0x", "value": "p"}, ReservedSettings(("p",))),
        ("ChangeConfiguration", {"key": "SecurityProfile", "value": "2"}, ReservedSettings(profiles=("2",))),
        ("ChangeConfiguration", {"key": "MaxChargingPower", "value": "2"}, None),
        ("ChangeConfiguration", {}, None),
        (
            "SetVariables",
            {"setVariableData": [variable("A"), variable("basicauthPASSWORD", "p"), variable("SecurityProfile", "3")]},
            ReservedSettings(("p",), ("3",)),
        ),
        (
            "SetVariables",
            {"setVariableData": [variable("BasicAuthPassword", "p", "NetworkConfiguration")]},
            ReservedSettings(("p",)),
        ),
        ("SetVariables", {"setVariableData": [variable("Interval"), 7, {"variable": 1}]}, None),
        ("SetVariables", {"setVariableData": 7}, None),
        (
            "SetNetworkProfile",
            {"configurationSlot": 1, "connectionData": {"securityProfile": 2, "basicAuthPassword": "p"}},
            ReservedSettings(("p",), network_profiles=(2,)),
        ),
        ("GetVariables", {"getVariableData": [variable("BasicAuthPassword")]}, None),
    ],
)
def test_what_a_command_sets_is_found_whatever_its_letter_case(action, payload, found):
    assert reserved_settings(action, payload) == found
    assert "'p'" not in repr(reserved_settings(action, payload))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["key", "value", "variable", "name"]), inner),
    max_leaves=10,
)


@given(
    st.sampled_from(["ChangeConfiguration", "SetVariables", "SetNetworkProfile", "Reset"]),
    st.dictionaries(st.sampled_from(["key", "value", "setVariableData", "connectionData"]), JSON),
)
def test_any_payload_can_be_judged(action, payload):
    reserved_settings(action, payload)


async def note(store: Any, identity: str = "CP-1") -> None:
    """A pending key, profile 1, target 2."""
    async with store.transaction() as transaction:
        await credentials.lock(transaction, identity, NOW)
        keys = [StoredKey.of(bytes.fromhex(HEX), pending=True)]
        await credentials.add_keys(transaction, identity, keys, "requested", NOW)
        await credentials.save(transaction, identity, {"profile": 1, "target_profile": 2}, NOW)


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (ReservedSettings((HEX,)), True),
        (ReservedSettings((HEX.upper(),)), True),
        (ReservedSettings(("another-password",)), False),
        (ReservedSettings((HEX, "another-password")), False),
        (ReservedSettings((None,)), False),
        (ReservedSettings(("\ud800",)), False),
        (ReservedSettings(profiles=("2",)), True),
        (ReservedSettings(profiles=("1",)), True),
        (ReservedSettings(profiles=("3",)), False),
        (ReservedSettings(profiles=("0",)), False),
        (ReservedSettings(profiles=("None",)), False),
        (ReservedSettings(profiles=(2,)), False),
        (ReservedSettings(network_profiles=(2,)), True),
        (ReservedSettings(network_profiles=(0,)), False),
        (ReservedSettings(network_profiles=(None,)), False),
    ],
)
async def test_only_what_gateways_let_in_may_be_set(sqlite_database_url, asked, allowed):
    async with migrated_store(sqlite_database_url) as store:
        await note(store)
        async with store.transaction() as transaction:
            assert await on_record(transaction, "CP-1", asked) is allowed
            assert not await on_record(transaction, "CP-2", ReservedSettings((HEX,)))


@asynccontextmanager
async def world(amqp_url: str, database_url: str) -> Any:
    async with (
        gateway_on(amqp_url, "CP-1") as gateway,
        commands_service(amqp_url, database_url),
        command_caller_on(amqp_url) as caller,
        migrated_store(database_url) as store,
    ):
        yield gateway, caller, store


async def test_a_backend_can_set_no_password_and_no_profile_in_any_way(amqp_url, database_url):
    async with world(amqp_url, database_url) as (gateway, caller, store):
        await note(store)
        payloads = [
            ("ChangeConfiguration", {"key": "authorizationkey", "value": "another-password"}),
            ("SetVariables", {"setVariableData": [variable("BasicAuthPassword", "another-password")]}),
            ("ChangeConfiguration", {"key": "SecurityProfile", "value": "0"}),
            ("SetNetworkProfile", {"configurationSlot": 1, "connectionData": {"securityProfile": 0}}),
        ]
        for action, payload in payloads:
            for more in ({}, {"tracked": True}):
                outcome = await caller.command("CP-1", action, payload, **more)
                assert (outcome.outcome, outcome.reason) == (OutcomeKind.REJECTED, Reason.RESERVED_KEY)
                assert "another-password" not in repr(outcome)
        assert (await caller.command("CP-1")).outcome is OutcomeKind.RESULT
        assert [command.action for command in gateway.commands] == ["Reset"]
        assert await all_rows(store, command_tables.commands) == []


async def test_what_is_on_record_goes_out_in_its_order(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (gateway, caller, store):
        await note(store)
        asked = [
            caller.ask("CP-1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": HEX}),
            caller.ask("CP-1"),
        ]
        assert [(await caller.outcome(one)).outcome for one in asked] == [OutcomeKind.RESULT] * 2
        assert [command.action for command in gateway.commands] == ["ChangeConfiguration", "Reset"]
