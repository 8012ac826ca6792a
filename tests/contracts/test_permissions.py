"""Least permissions as data: anchored, complete, and nobody in another's room."""

import base64
import hashlib
import re
from pathlib import Path

import pytest

from contracts import topology
from contracts.broker.grant import definitions, hash_of, new_password, read_passwords
from contracts.permissions import DEFAULT_EXCHANGE, NOTHING, PERMISSIONS, BrokerUser
from contracts.topology import TOPOLOGY

EXCHANGES = [exchange.name for exchange in TOPOLOGY.exchanges]
QUEUES = [queue.name for queue in TOPOLOGY.queues]
POWERFUL = {BrokerUser.DECLARE, BrokerUser.REPAIR}


def allowed(pattern: str, name: str) -> bool:
    return re.search(pattern, name) is not None  # as RabbitMQ does: anchors are the pattern's own business


def users(right: str, name: str) -> set[BrokerUser]:
    return {user for user, permission in PERMISSIONS.items() if allowed(getattr(permission, right), name)}


def test_every_user_has_anchored_patterns_that_let_nothing_slip_by():
    assert set(PERMISSIONS) == set(BrokerUser)
    for permission in PERMISSIONS.values():
        for pattern in (permission.configure, permission.write, permission.read):
            assert pattern == NOTHING or (pattern[0], pattern[-1]) == ("^", "$")
            assert not allowed(pattern, "other")
            assert not allowed(pattern, f"x{DEFAULT_EXCHANGE}")
            assert not allowed(pattern, "ocppXcalls")


@pytest.mark.parametrize("queue", QUEUES)
def test_each_durable_queue_has_one_reader(queue):
    readers = users("read", queue) - POWERFUL
    assert len(readers) == (0 if queue == topology.DEAD_LETTERS else 1), readers


@pytest.mark.parametrize(
    ("exchange", "writers"),
    [
        (topology.CALLS, {"gateway"}),
        (topology.SESSIONS, {"gateway", "commands"}),
        (topology.ADMISSIONS, {"gateway"}),
        (topology.GATEWAYS, {"commands"}),
        (topology.EVENTS, {"commands"}),
        (topology.ADMISSION_CHANGED, {"authorization", "commands"}),
        (topology.COMMANDS, {"commands", "authorization", "firmware", "diagnostics", "backend", "operator"}),
        (topology.SERVICES, {"backend", "operator"}),
        (topology.OPERATIONS, {"operator"}),
        (topology.DEAD, set()),
        (DEFAULT_EXCHANGE, {"gateway", "operator", *topology.RELAY_SERVICES, "commands"}),
    ],
)
def test_each_exchange_has_the_writers_that_it_needs(exchange, writers):
    assert users("write", exchange) - POWERFUL == writers


def test_nobody_but_declare_configures_what_is_shared():
    for name in (*EXCHANGES, *QUEUES, topology.FRAMES, "ocpp.new"):
        assert users("configure", name) == {BrokerUser.DECLARE}


def test_private_queues_are_their_owners_alone():
    for name, owner in (
        ("ocpp.gateway.gw-1.abc", BrokerUser.GATEWAY),
        ("ocpp.outcomes.metering.abc", BrokerUser.METERING),
    ):
        for right in ("configure", "write", "read"):
            assert users(right, name) == {owner, BrokerUser.DECLARE}


def test_monitoring_touches_no_message():
    permission = PERMISSIONS[BrokerUser.MONITORING]
    assert (permission.configure, permission.write, permission.read) == (NOTHING, NOTHING, NOTHING)


def test_passwords_are_hashed_as_the_broker_does():
    stored = base64.b64decode(hash_of("secret", b"salt"))
    assert stored == b"salt" + hashlib.sha256(b"salt" + b"secret").digest()
    assert hash_of("secret") != hash_of("secret")
    assert len(new_password()) > 40


def test_definitions_are_for_the_users_that_were_asked_for():
    made = definitions([BrokerUser.GATEWAY], {}, vhost="/v", prefix="ocpp-")
    assert [user["name"] for user in made["users"]] == ["ocpp-gateway"]
    assert made["permissions"][0]["vhost"] == "/v"


@pytest.mark.parametrize(
    "text", ["gateway = 5", 'gateway = "short"', 'nobody = "long enough password"', "SECRET", 'gateway = "SECRET']
)
def test_a_password_file_with_a_mistake_is_refused_without_a_word_of_it(tmp_path: Path, text: str):
    file = tmp_path / "passwords.toml"
    file.write_text(text)
    with pytest.raises(ValueError) as error:
        read_passwords(file)
    assert "SECRET" not in str(error.value)
    assert "short" not in str(error.value)


def test_a_password_file_is_read(tmp_path: Path):
    file = tmp_path / "passwords.toml"
    file.write_text('gateway = "a long password"\n')
    assert read_passwords(file) == {BrokerUser.GATEWAY: "a long password"}
    with pytest.raises(ValueError, match="FileNotFound"):
        read_passwords(tmp_path / "none")
