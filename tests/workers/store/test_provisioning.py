"""A provisioning file is checked whole, and putting it on record twice changes nothing."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.worker_store import all_rows, migrated_store
from workers.errors import ProvisioningError
from workers.store import tables
from workers.store.provisioning import apply_plan, read_plan

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
GOOD = """
[[charge_points]]
identity = "CP-1"
[[charge_points]]
identity = "CP-2"
registration = "pending"
[[tokens]]
id_token = "Tag"
expires = 2030-01-01T00:00:00+01:00
[[boot_rules]]
vendor = "ACME*"
registration = "rejected"
[[initial_configuration]]
ocpp = "2.x"
key = "OCPPCommCtrlr.HeartbeatInterval"
value = ""
[[data_transfer]]
vendor = "Com.ACME"
"""


async def state(store) -> Any:
    names = (tables.charge_points, tables.tokens, tables.boot_rules, tables.initial_configuration)
    return [await all_rows(store, table) for table in (*names, tables.data_transfer_vendors)]


async def test_provisioning_twice_is_provisioning_once(database_url):
    async with migrated_store(database_url) as store:
        for _ in range(2):
            async with store.transaction() as transaction:
                counts = await apply_plan(transaction, read_plan(GOOD), NOW)
        points, tokens, rules, configuration, vendors = await state(store)
    assert counts["charge points"] == 2
    assert [(row["identity"], row["registration"], row["registration_fixed"]) for row in points] == [
        ("CP-1", "accepted", False),
        ("CP-2", "pending", True),
    ]
    assert tokens[0]["token_key"] == "tag"
    assert tokens[0]["expires_at"] == datetime(2029, 12, 31, 23, tzinfo=UTC)
    assert (rules[0]["position"], rules[0]["vendor_pattern"], rules[0]["model_pattern"]) == (1, "ACME*", "*")
    assert (configuration[0]["value"], vendors[0]["vendor_key"]) == ("", "com.acme")


async def test_a_file_changes_only_what_it_names(database_url):
    async with migrated_store(database_url) as store:
        async with store.transaction() as transaction:
            await apply_plan(transaction, read_plan(GOOD), NOW)
            await apply_plan(transaction, read_plan('[[tokens]]\nid_token = "TAG"\nstatus = "Blocked"'), NOW)
        points, tokens, rules, *_ = await state(store)
        assert (len(points), len(rules), len(tokens), tokens[0]["status"]) == (2, 1, 1, "Blocked")
        async with store.transaction() as transaction:
            await apply_plan(transaction, read_plan("boot_rules = []"), NOW)
        assert (await state(store))[2] == []


def test_every_mistake_is_named_at_once():
    with pytest.raises(ProvisioningError) as caught:
        read_plan(
            """
            [[charge_points]]
            registration = "maybe"
            [[tokens]]
            id_token = 7
            status = "Ok"
            expires = 2030-01-01T00:00:00
            concurrent = "yes"
            color = "red"
            [[initial_configuration]]
            ocpp = "2.x"
            key = "NoDot"
            value = "1"
            [[boot_rules]]
            vendor = ""
            [colors]
            red = 1
            """
        )
    text = "\n".join(caught.value.problems)
    for mistake in (
        "charge_points #1: identity is required",
        "charge_points #1: registration must be one of",
        "tokens #1: id_token must be a text",
        "tokens #1: status must be one of Accepted, Blocked, Invalid",
        "tokens #1: expires must be a date-time with a zone",
        "tokens #1: concurrent must be true or false",
        "tokens #1: unknown key 'color'",
        "initial_configuration #1: key of OCPP 2.x must read Component.Variable",
        "boot_rules #1: vendor is required",
        "boot_rules #1: registration must be one of",
        "colors: no such list",
    ):
        assert mistake in text


@pytest.mark.parametrize("text", ["not toml", "[[tokens]]\n[tokens"])
def test_what_is_no_toml_is_said_so(text):
    with pytest.raises(ProvisioningError, match="not TOML"):
        read_plan(text)
