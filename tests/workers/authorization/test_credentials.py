"""Keys and profiles on both databases: what operators ask, what gateways are told, where a rotation may break off."""

from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from contracts.envelope import OutcomeEnvelope, OutcomeKind
from contracts.operator import Operation
from tests.support.security import SecurityWorld, result, security_world
from tests.support.worker_store import all_rows, told
from workers.store import registration
from workers.store.provisioning import apply_plan, read_plan
from workers.store.schema import metadata

PASSWORD = "Correct-Horse-Battery"
HEX = "00112233445566778899aabbccddeeff00112233"


async def put_on_record(world: SecurityWorld, ocpp_version: str | None = "1.6", identity: str = "CP-1") -> None:
    async with world.store.transaction() as transaction:
        await registration.create(transaction, [identity], world.now)
        if ocpp_version is not None:
            facts = {"vendor": "ACME", "model": "W", "ocpp_version": ocpp_version, "booted_at": world.now}
            await registration.record_boot(transaction, identity, facts, world.now)


def states(item: dict[str, Any]) -> list[tuple[str, str]]:
    return [(key["state"], key["delivery"]) for key in item["keys"]]


def _same(outcome: OutcomeEnvelope, _identity: str) -> OutcomeEnvelope:
    return outcome


def secret_sent(world: SecurityWorld) -> bytes:
    """As the charge point will send it."""
    payload = world.payloads[-1]
    if "value" in payload:
        return bytes.fromhex(payload["value"])
    text: str = payload["setVariableData"][0]["attributeValue"]
    return text.encode()


async def test_a_password_that_an_operator_sets_is_in_force_at_once_and_the_old_one_is_not(database_url):
    async with security_world(database_url) as world:
        await put_on_record(world)
        await world.item(Operation.SET_KEY, identity="CP-1", password="The-Old-One-4711")
        item = await world.item(Operation.SET_KEY, identity="CP-1", password=PASSWORD)
        assert states(item) == [("current", "provisioned"), ("retired", "provisioned")]
        assert await world.lets_in(PASSWORD.encode()) == "current"
        assert await world.lets_in(b"The-Old-One-4711") is None
        assert world.log == ["changed CP-1", "changed CP-1"]
        again = await world.item(Operation.SET_KEY, identity="CP-1", password=PASSWORD)
        assert (again["keys"], len(world.log)) == (item["keys"], 2)
        events = await told(world.store, "credential.changed")
        assert [(event["what"], event["cause"]) for event in events] == [("key", "set")] * 2


async def test_a_generated_password_is_shown_once_and_no_table_holds_one(sqlite_database_url):
    async with security_world(sqlite_database_url) as world:
        await put_on_record(world, "2.0.1")
        item = await world.item(Operation.SET_KEY, identity="CP-1")
        assert len(item["password"]) == 40
        assert await world.lets_in(item["password"].encode()) == "current"
        assert "password" not in await world.item(Operation.SECURITY, identity="CP-1")
        rows = [await all_rows(world.store, table) for table in metadata.sorted_tables]
        assert item["password"] not in repr(rows)


async def test_while_the_version_is_unknown_a_hexadecimal_password_is_taken_in_both_forms(sqlite_database_url):
    async with security_world(sqlite_database_url) as world:
        await put_on_record(world, None)
        await world.item(Operation.SET_KEY, identity="CP-1", password=HEX)
        assert await world.lets_in(HEX.encode()) == "current"
        assert await world.lets_in(bytes.fromhex(HEX)) == "pending"
        keys = (await world.item(Operation.SECURITY, identity="CP-1"))["keys"]
        await world.notice(next(key["key_id"] for key in keys if key["state"] == "pending"))
        assert await world.lets_in(bytes.fromhex(HEX)) == "current"
        assert await world.lets_in(HEX.encode()) is None


async def test_a_password_is_not_set_again_by_a_request_that_is_delivered_again(sqlite_database_url):
    async with security_world(sqlite_database_url) as world:
        await put_on_record(world)
        shown = (await world.item(Operation.SET_KEY, identity="CP-1"))["password"]
        for given in ({}, {"password": PASSWORD}):
            answer = await world.redelivered(Operation.SET_KEY, identity="CP-1", **given)
            assert (answer.ok, answer.error) == (False, "unavailable")
        assert await world.lets_in(bytes.fromhex(shown)) == "current"
        assert (await world.redelivered(Operation.SECURITY, identity="CP-1")).ok


@pytest.mark.parametrize("by", ["operator", "file"])
async def test_a_password_that_is_set_while_another_is_under_way_locks_nobody_out(database_url, by):
    """The command may come after what was entered by hand: the charge point has either of the two then."""
    by_hand = "By-Hand-4711-0815"

    async def set_another() -> None:
        if by == "operator":
            await world.item(Operation.SET_KEY, identity="CP-1", password=by_hand)
        else:
            await provision(world, PLAN.replace(PASSWORD, by_hand))

    async with security_world(database_url) as world:
        await provision(world)
        await put_on_record(world)
        world.meanwhile = set_another
        await world.ask(Operation.ROTATE_KEY, identity="CP-1")
        sent = secret_sent(world)
        seen = [await world.lets_in(secret) for secret in (by_hand.encode(), sent, PASSWORD.encode())]
        assert seen == ["current", "pending", None]
        keys = (await world.item(Operation.SECURITY, identity="CP-1"))["keys"]
        await world.notice(next(key["key_id"] for key in keys if key["state"] == "pending"))
        assert [await world.lets_in(secret) for secret in (by_hand.encode(), sent)] == [None, "current"]


@pytest.mark.parametrize("password", ["short", "x" * 41, "with spaces in it ok", "a" * 20, "pässword-pässword"])
async def test_a_weak_password_is_refused_without_being_repeated(sqlite_database_url, password):
    async with security_world(sqlite_database_url) as world:
        await put_on_record(world)
        answer = await world.ask(Operation.SET_KEY, identity="CP-1", password=password)
        assert (answer.ok, answer.error) == (False, "bad_request")
        assert password not in answer.description


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
async def test_a_rotation_is_in_force_once_the_charge_point_comes_with_it(database_url, version):
    async with security_world(database_url) as world:
        await put_on_record(world, version)
        await world.item(Operation.SET_KEY, identity="CP-1", password=PASSWORD)
        world.log.clear()
        if version != "1.6":
            world.answer = lambda identity: result(identity, {"setVariableResult": [{"attributeStatus": "Accepted"}]})
        await world.ask(Operation.ROTATE_KEY, identity="CP-1")
        action = "ChangeConfiguration" if version == "1.6" else "SetVariables"
        assert world.log == ["changed CP-1", f"sent {action}"]  # gateways know before the charge point does
        new = secret_sent(world)
        assert len(new) == (20 if version == "1.6" else 40)
        assert (await world.lets_in(PASSWORD.encode()), await world.lets_in(new)) == ("current", "pending")
        keys = (await world.item(Operation.SECURITY, identity="CP-1"))["keys"]
        assert keys[1]["delivery"] == "Accepted"
        for _ in range(2):  # a notice may come twice
            await world.notice(keys[1]["key_id"])
            assert (await world.lets_in(PASSWORD.encode()), await world.lets_in(new)) == (None, "current")
        assert world.log.count("changed CP-1") == 2
        confirmed = [event for event in await told(world.store, "credential.changed") if event["cause"] == "confirmed"]
        assert [event["key_id"] for event in confirmed] == [keys[1]["key_id"]]


async def test_a_rejected_key_is_retired_and_the_old_one_stays(sqlite_database_url):
    async with security_world(sqlite_database_url) as world:
        await put_on_record(world)
        await world.item(Operation.SET_KEY, identity="CP-1", password=PASSWORD)
        world.answer = lambda identity: result(identity, {"status": "Rejected"})
        await world.ask(Operation.ROTATE_KEY, identity="CP-1")
        assert await world.lets_in(secret_sent(world)) is None
        assert await world.lets_in(PASSWORD.encode()) == "current"
        assert world.log[-1] == "changed CP-1"


async def test_a_key_of_which_nobody_knows_is_let_in_like_the_one_before(database_url):
    async with security_world(database_url) as world:
        await put_on_record(world)
        await world.item(Operation.SET_KEY, identity="CP-1", password=PASSWORD)
        secrets = [PASSWORD.encode()]
        for kind in (OutcomeKind.TIMEOUT, OutcomeKind.UNKNOWN):
            outcome = OutcomeEnvelope("c", "CP-1", kind, "", error_code="x")
            world.answer = partial(_same, outcome)
            await world.ask(Operation.ROTATE_KEY, identity="CP-1")
            secrets.append(secret_sent(world))
        assert [await world.lets_in(secret) for secret in secrets] == ["current", "pending", "pending"]
        keys = (await world.item(Operation.SECURITY, identity="CP-1"))["keys"]
        await world.notice(keys[1]["key_id"])  # it had taken the first; the second may have come since
        assert [await world.lets_in(secret) for secret in secrets] == [None, "current", "pending"]


async def test_a_worker_that_dies_before_the_command_leaves_a_charge_point_that_is_let_in(database_url):
    async with security_world(database_url) as world:
        await put_on_record(world)
        await world.item(Operation.SET_KEY, identity="CP-1", password=PASSWORD)
        await world.ask(Operation.ROTATE_KEY, identity="CP-1", run=False)
        assert await world.lets_in(PASSWORD.encode()) == "current"
        item = await world.item(Operation.ROTATE_KEY, identity="CP-1")  # the request comes again: it is the same one
        assert (states(item)[1:], "sent ChangeConfiguration" in world.log) == ([("pending", "requested")], False)
        world.now = world.now.replace(minute=30)
        await world.ask(Operation.ROTATE_KEY, identity="CP-1")
        assert await world.lets_in(secret_sent(world)) == "pending"


async def test_nothing_is_sent_while_gateways_cannot_be_told(sqlite_database_url):
    async with security_world(sqlite_database_url) as world:
        await put_on_record(world)
        world.told = False
        await world.ask(Operation.ROTATE_KEY, identity="CP-1")
        assert (world.log, (await world.verdict()).keys) == ([], ())


async def test_more_than_five_unheard_keys_are_refused_until_a_person_sets_one(sqlite_database_url):
    async with security_world(sqlite_database_url) as world:
        await put_on_record(world)
        for _ in range(5):
            assert (await world.ask(Operation.ROTATE_KEY, identity="CP-1")).ok
        assert not (await world.ask(Operation.ROTATE_KEY, identity="CP-1")).ok
        assert len((await world.verdict()).keys) == 5
        await world.item(Operation.SET_KEY, identity="CP-1", password=PASSWORD)
        assert len((await world.verdict()).keys) == 1
        assert (await world.ask(Operation.ROTATE_KEY, identity="CP-1")).ok


async def test_a_notice_of_a_key_that_is_retired_or_anothers_says_nothing(sqlite_database_url):
    async with security_world(sqlite_database_url) as world:
        await put_on_record(world)
        await put_on_record(world, identity="CP-2")
        old = (await world.item(Operation.SET_KEY, identity="CP-1", password="The-Old-One-4711"))["keys"][0]["key_id"]
        await world.item(Operation.SET_KEY, identity="CP-1", password=PASSWORD)
        await world.item(Operation.RAISE_PROFILE, identity="CP-1", profile=2, send=False)
        await world.notice(old, profile=2)
        await world.notice(old, profile=2, identity="CP-2")
        await world.notice(None, profile=3, identity="nobody")
        verdict = await world.verdict()
        assert (verdict.profile, verdict.target_profile) == (0, 2)
        assert await world.lets_in(PASSWORD.encode()) == "current"


async def test_a_profile_is_raised_by_coming_with_it_and_lowered_by_an_operator_alone(database_url):
    async with security_world(database_url) as world:
        await put_on_record(world)
        refused = await world.ask(Operation.RAISE_PROFILE, identity="CP-1", profile=2)
        assert "password" in refused.description
        await world.item(Operation.SET_KEY, identity="CP-1", password=PASSWORD)
        await world.ask(Operation.RAISE_PROFILE, identity="CP-1", profile=2)
        assert world.payloads == [{"key": "SecurityProfile", "value": "2"}]
        item = await world.item(Operation.SECURITY, identity="CP-1")
        assert (item["profile"], item["target_profile"], item["target_delivery"]) == (0, 2, "Accepted")
        await world.notice(None, profile=1)
        assert (await world.verdict()).profile == 0
        await world.notice(None, profile=2)
        await world.notice(None, profile=1)
        verdict = await world.verdict()
        assert (verdict.profile, verdict.target_profile) == (2, None)
        assert not (await world.ask(Operation.RAISE_PROFILE, identity="CP-1", profile=1)).ok
        assert (await world.item(Operation.SET_SECURITY, identity="CP-1", profile=1))["profile"] == 1


async def test_a_profile_that_the_charge_point_refuses_is_no_target_any_more(sqlite_database_url):
    async with security_world(sqlite_database_url) as world:
        await put_on_record(world)
        await world.item(Operation.SET_KEY, identity="CP-1", password=PASSWORD)
        world.answer = lambda identity: result(identity, {"status": "NotSupported"})
        await world.ask(Operation.RAISE_PROFILE, identity="CP-1", profile=2)
        item = await world.item(Operation.SECURITY, identity="CP-1")
        assert (item["target_profile"], item["target_delivery"]) == (None, "NotSupported")


def pem(*, private: bool = False) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    if private:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


async def test_names_policies_and_message_keys_reach_the_gateways(database_url):
    async with security_world(database_url) as world:
        await put_on_record(world)
        keys = [pem(), pem()]
        item = await world.item(
            Operation.SET_SECURITY,
            identity="CP-1",
            certificate_name="SN-1",
            message_policy="verify",
            add_message_keys=keys,
        )
        verdict = await world.verdict()
        assert (verdict.certificate_name, verdict.message_policy) == ("SN-1", "verify")
        assert (sorted(verdict.message_keys), verdict.vendor, verdict.model) == (sorted(keys), "ACME", "W")
        gone = item["message_keys"][0]
        await world.item(Operation.SET_SECURITY, identity="CP-1", certificate_name="", remove_message_keys=[gone])
        verdict = await world.verdict()
        assert (verdict.certificate_name, len(verdict.message_keys)) == ("", 1)
        secret = pem(private=True)
        for wrong in (secret, "no key at all"):
            answer = await world.ask(Operation.SET_SECURITY, identity="CP-1", add_message_keys=[wrong], profile=3)
            assert (answer.error, wrong in answer.description) == ("bad_request", False)
        assert (await world.verdict()).profile == 0


@pytest.mark.parametrize("operation", [Operation.SECURITY, Operation.SET_KEY, Operation.ROTATE_KEY])
async def test_who_is_not_on_record_is_not_found(sqlite_database_url, operation):
    async with security_world(sqlite_database_url) as world:
        assert (await world.ask(operation, identity="nobody")).error == "not_found"
        assert not (await world.verdict("nobody")).known


PLAN = f"""
[[charge_points]]
identity = "CP-1"
password = "{PASSWORD}"
security_profile = 1
certificate_name = "SN-1"
message_policy = "verify"
message_keys = ['''{pem()}''']
"""


async def provision(world: SecurityWorld, text: str = PLAN) -> None:
    async with world.store.transaction() as transaction:
        await apply_plan(transaction, read_plan(text), world.now)


async def test_provisioning_again_undoes_neither_a_rotation_nor_a_profile(database_url):
    async with security_world(database_url) as world:
        await provision(world)
        verdict = await world.verdict()
        assert (verdict.profile, verdict.certificate_name, len(verdict.message_keys)) == (1, "SN-1", 1)
        assert await world.lets_in(PASSWORD.encode()) == "current"
        await world.item(Operation.SET_KEY, identity="CP-1", password="A-Newer-One-4711")
        await world.item(Operation.SET_SECURITY, identity="CP-1", profile=2)
        await provision(world)
        assert (await world.lets_in(b"A-Newer-One-4711"), await world.lets_in(PASSWORD.encode())) == ("current", None)
        assert (await world.verdict()).profile == 2
        await provision(world, PLAN.replace(PASSWORD, "Yet-Another-One-4711"))
        assert await world.lets_in(b"Yet-Another-One-4711") == "current"
