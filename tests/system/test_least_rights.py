"""Every process with a user and a role of its own, which may do what it needs and nothing else."""

import asyncio
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import asyncpg  # type: ignore[import-untyped]
import orjson
import pytest
from pamqp import commands

from contracts import topology
from contracts.actions import Service
from contracts.broker import codec
from contracts.broker.declare import declare
from contracts.broker.endpoint import BrokerEndpoint
from contracts.broker.grant import definitions, grant
from contracts.broker.wire import Deaf, Wire, connect
from contracts.client import CommandClient
from contracts.envelope import OutcomeKind
from contracts.errors import BrokerRefusedError, LinkDownError
from contracts.frame_log import Direction
from contracts.operator import Operation
from contracts.permissions import BrokerUser
from contracts.topology import FRAME_LOG_TOPOLOGY, TOPOLOGY
from contracts.versions import Version
from tests.support.signing import authority_files, csr
from tests.support.stations import socket_to
from tools.nodes import Broker, Database
from tools.nodes.management import ManagementApi
from tools.nodes.sql import in_own_loop, plain_url
from tools.stack import SERVICES, Stack

pytestmark = pytest.mark.system

PASSWORDS = {user: secrets.token_urlsafe(16) for user in BrokerUser}
STAMP = "2026-05-01T12:00:00Z"


@dataclass
class Confined:
    """A running system of confined processes."""

    stack: Stack
    amqp_url: str
    """The administrator's."""
    management_url: str
    database_url: str
    prefix: str

    @property
    def vhost(self) -> str:
        return BrokerEndpoint.parse(self.amqp_url).vhost

    def amqp_as(self, user: BrokerUser) -> str:
        return logged_in(self.amqp_url, self.prefix + user, PASSWORDS[user])

    async def sql_as(self, service: str, statement: str) -> None:
        connection = await asyncpg.connect(plain_url(logged_in(self.database_url, self.prefix + service, "x")))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def logged_in(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{quote(user)}:{quote(password)}@{place}").geturl()


@pytest.fixture(scope="module")
def confined(rabbit: Broker, postgres: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Confined]:
    if rabbit.management_url is None:
        pytest.skip("needs AMQP_MANAGEMENT_URL beside AMQP_URL")
    name = f"least_{uuid.uuid4().hex[:8]}"
    prefix = f"{name}_"
    amqp_url, database_url = rabbit.create_vhost(name), postgres.create_database(name)
    own: dict[str, dict[str, str]] = {}
    try:
        in_own_loop(prepare_broker(amqp_url, rabbit.management_url, prefix))
        for user in BrokerUser:
            own[user] = {"AMQP_URL": logged_in(amqp_url, prefix + user, PASSWORDS[user])}
        authority = authority_files(tmp_path_factory.mktemp("authority"))
        own[Service.AUTHORIZATION] |= {
            "OCPP_WORKER_CA_CERTIFICATE_FILE": str(authority["ca_certificate_file"]),
            "OCPP_WORKER_CA_KEY_FILE": str(authority["ca_key_file"]),
        }
        for service in SERVICES:
            own[service]["DATABASE_URL"] = logged_in(database_url, prefix + service, "x")
        settings = {"OCPP_AMQP_DECLARE": "off", "OCPP_GATEWAY_FRAME_LOG": "on", "OCPP_WORKER_UNKNOWN_TOKENS": "accept"}
        stack = Stack(
            amqp_url=amqp_url,
            database_url=database_url,
            logs=tmp_path_factory.mktemp("least"),
            settings=settings,
            own_settings=own,
        )
        stack.migrate()
        stack.run_worker_command("grant-roles", "--prefix", prefix)
        in_own_loop(let_in(database_url, [prefix + service for service in (*SERVICES, "show")]))
        try:
            stack.start()
            yield Confined(stack, amqp_url, rabbit.management_url, database_url, prefix)
        finally:
            stack.stop(timeout_s=10)
    finally:
        for user in BrokerUser:
            ManagementApi(rabbit.management_url).request("DELETE", f"/api/users/{prefix}{user}")
        rabbit.delete_vhost(name)
        postgres.drop_database(name)


async def prepare_broker(amqp_url: str, management_url: str, prefix: str) -> None:
    vhost = BrokerEndpoint.parse(amqp_url).vhost
    with pytest.raises(BrokerRefusedError, match="no password"):
        await grant(management_url, BrokerUser, {}, vhost=vhost, prefix=prefix)
    some: dict[BrokerUser, str] = {user: PASSWORDS[user] for user in BrokerUser if user is not BrokerUser.MONITORING}
    made = await grant(management_url, BrokerUser, some, vhost=vhost, prefix=prefix, generate=True)
    assert set(made) == {BrokerUser.MONITORING}
    before = ManagementApi(management_url).request("GET", f"/api/users/{prefix}gateway")
    assert await grant(management_url, BrokerUser, PASSWORDS, vhost=vhost, prefix=prefix) == {}
    assert ManagementApi(management_url).request("GET", f"/api/users/{prefix}gateway") == before
    as_declarer = logged_in(amqp_url, prefix + BrokerUser.DECLARE, PASSWORDS[BrokerUser.DECLARE])
    await declare(as_declarer, TOPOLOGY)
    await declare(as_declarer, FRAME_LOG_TOPOLOGY)


async def let_in(database_url: str, roles: list[str]) -> None:
    connection = await asyncpg.connect(plain_url(database_url))
    try:
        for role in roles:
            await connection.execute(f"ALTER ROLE {role} LOGIN PASSWORD 'x'")
    finally:
        await connection.close()


async def call(socket: Any, action: str, **payload: Any) -> dict[str, Any]:
    """Send a Call and return its answer, doing what is asked of the charge point meanwhile."""
    await socket.send(orjson.dumps([2, action, action, payload]), text=True)
    async with asyncio.timeout(20):
        while True:
            frame = orjson.loads(await socket.recv())
            if frame[0] == 2:
                await socket.send(orjson.dumps([3, frame[1], {"status": "Accepted"}]), text=True)
            else:
                assert frame[:2] == [3, action], frame
                return dict(frame[2])


async def test_a_whole_day_in_small_works_with_nothing_but_these_rights(confined):
    identity = f"CP-{uuid.uuid4().hex[:8]}"
    async with (
        CommandClient(confined.amqp_as(BrokerUser.BACKEND)) as backend,
        CommandClient(confined.amqp_as(BrokerUser.OPERATOR)) as operator,
    ):
        events = backend.events(f"backend.{identity}", identities=[identity])
        hearing = asyncio.create_task(first_of(events, "transaction.ended"))
        async with socket_to(confined.stack.urls[0], identity, Version.V16) as socket:
            await call(socket, "BootNotification", chargePointVendor="V", chargePointModel="M")
            status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
            await call(socket, "StatusNotification", **status)
            start = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": STAMP}
            number = (await call(socket, "StartTransaction", **start))["transactionId"]
            values = [{"timestamp": STAMP, "sampledValue": [{"value": "1", "format": "SignedData"}, {"value": "2"}]}]
            await call(socket, "MeterValues", connectorId=1, transactionId=number, meterValue=values)
            await call(socket, "StopTransaction", transactionId=number, meterStop=5, timestamp=STAMP)
            await call(socket, "FirmwareStatusNotification", status="Idle")
            await call(socket, "DiagnosticsStatusNotification", status="Idle")
            commanding = asyncio.create_task(backend.call(identity, "ClearCache", timeout_s=20))
            while not commanding.done():
                await call(socket, "Heartbeat")
            assert commanding.result().outcome is OutcomeKind.RESULT
            answer = await operator.ask(Operation.TRANSACTIONS, {"identity": identity})
            assert [item["state"] for item in answer.items] == ["ended"]
            await hearing
            assert await call(socket, "SignCertificate", csr=csr(identity)) == {"status": "Accepted"}
            states: set[str] = set()
            while "installed" not in states:
                await call(socket, "Heartbeat")  # and meanwhile takes the certificate
                shown = await operator.ask(Operation.CERTIFICATES, {"identity": identity})
                states = {item["state"] for item in shown.items}
            await operator.ask(Operation.REFRESH_CERTIFICATES, {"identity": identity})
        frames = operator.frames(since=timedelta(hours=1), identity=identity, follow=False)
        assert {frame.direction async for frame in frames} == set(Direction)
        await events.close()


async def first_of(events: Any, kind: str) -> None:
    async with asyncio.timeout(60):
        async for event in events:
            if event.type == kind:
                return


def publish(exchange: str, key: str = "x") -> bytes:
    return codec.encode_publish(exchange, key, b"x", frame_max=codec.FRAME_MAX)


def consume(queue: str) -> commands.Basic.Consume:
    return commands.Basic.Consume(queue=queue, consumer_tag="x", no_ack=True)


CALLS_OF = topology.calls_queue
OTHERS = [queue.name for queue in TOPOLOGY.queues]
FORBIDDEN = [
    (BrokerUser.BACKEND, publish(topology.CALLS)),
    (BrokerUser.BACKEND, publish(topology.EVENTS)),
    (BrokerUser.BACKEND, publish(topology.SESSIONS)),
    (BrokerUser.BACKEND, publish(topology.GATEWAYS)),
    (BrokerUser.BACKEND, publish(topology.ADMISSIONS, topology.ADMISSION_KEY)),
    (BrokerUser.BACKEND, publish(topology.OPERATIONS, topology.SECURITY)),
    (BrokerUser.BACKEND, publish(topology.ADMISSION_CHANGED)),
    (BrokerUser.BACKEND, publish("", "ocpp.calls.metering")),
    *((BrokerUser.BACKEND, consume(queue)) for queue in OTHERS),
    (BrokerUser.BACKEND, consume(topology.FRAMES)),
    (BrokerUser.BACKEND, commands.Queue.Bind(queue="backend.q", exchange=topology.CALLS, routing_key="#")),
    (BrokerUser.BACKEND, commands.Queue.Bind(queue="backend.q", exchange=topology.SESSIONS)),
    (BrokerUser.BACKEND, commands.Queue.Declare(queue="ocpp.gateway.mine", exclusive=True)),
    (BrokerUser.BACKEND, commands.Queue.Delete(queue="ocpp.calls.metering")),
    (BrokerUser.GATEWAY, publish(topology.COMMANDS)),
    (BrokerUser.GATEWAY, publish(topology.EVENTS)),
    (BrokerUser.GATEWAY, publish(topology.OPERATIONS, topology.SECURITY)),
    *((BrokerUser.GATEWAY, consume(queue)) for queue in OTHERS),
    (BrokerUser.METERING, consume("ocpp.calls.authorization")),
    (BrokerUser.METERING, consume(topology.admission_queue())),
    (BrokerUser.METERING, consume(topology.SECURITY)),
    (BrokerUser.METERING, publish(topology.COMMANDS)),
    (BrokerUser.METERING, publish(topology.CALLS)),
    (BrokerUser.FIRMWARE, publish(topology.GATEWAYS)),
    (BrokerUser.FIRMWARE, publish(topology.ADMISSION_CHANGED)),
    (BrokerUser.AUTHORIZATION, consume("ocpp.calls.metering")),
    (BrokerUser.AUTHORIZATION, publish(topology.EVENTS)),
    (BrokerUser.COMMANDS, consume(topology.SECURITY)),
    (BrokerUser.COMMANDS, publish(topology.CALLS)),
    (BrokerUser.OPERATOR, consume(topology.DEAD_LETTERS)),
    (BrokerUser.OPERATOR, publish(topology.CALLS)),
    *((user, commands.Exchange.Declare(exchange="ocpp.new", exchange_type="fanout")) for user in BrokerUser
      if user is not BrokerUser.DECLARE),
    *((user, commands.Queue.Declare(queue="ocpp.calls.new")) for user in BrokerUser if user is not BrokerUser.DECLARE),
]  # fmt: skip


async def test_whatever_else_is_refused_by_the_broker(confined):
    await asyncio.gather(*[refused(confined.amqp_as(user), action) for user, action in FORBIDDEN])


async def refused(url: str, action: Any) -> None:
    wire = await connect(BrokerEndpoint.parse(url), Deaf(), "test", heartbeat_s=20)
    try:
        with pytest.raises((BrokerRefusedError, LinkDownError), match="403 ACCESS_REFUSED"):
            await done(wire, action)
    finally:
        await wire.close(politely=False)


async def done(wire: Wire, action: Any) -> None:
    if isinstance(action, bytes):
        wire.write(action)
        action = commands.Confirm.Select()
    await wire.call(action)


@pytest.mark.parametrize(
    ("service", "statement"),
    [
        ("authorization", "DELETE FROM transactions"),
        ("authorization", "UPDATE transactions SET energy_wh = 0"),
        ("authorization", "SELECT * FROM commands"),
        ("metering", "DELETE FROM transactions"),
        ("metering", "DELETE FROM meter_samples"),
        ("metering", "UPDATE meter_samples SET value = 0"),
        ("metering", "SELECT * FROM charge_point_keys"),
        ("metering", "INSERT INTO meter_keys VALUES ('x', 'x', 'x', '', now())"),
        ("metering", "CREATE TABLE mine (id int)"),
        ("metering", "SELECT ocpp_make_sample_partition('1900-01-01')"),
        ("firmware", "SELECT * FROM tokens"),
        ("firmware", "SELECT ocpp_make_sample_partition(current_date)"),
        ("diagnostics", "SELECT * FROM transactions"),
        ("commands", "SELECT * FROM charge_point_keys"),
        ("commands", "DELETE FROM charge_points"),
        ("show", "SELECT * FROM charge_point_keys"),
        ("show", "DELETE FROM parked_messages"),
    ],
)
async def test_whatever_else_is_refused_by_the_database(confined, service, statement):
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.RaiseError)):
        await confined.sql_as(service, statement)


async def test_metering_makes_partitions_without_the_right_to_make_tables(confined):
    await confined.sql_as("metering", "SELECT ocpp_make_sample_partition((current_date + interval '1 year')::date)")
    await confined.sql_as("show", "SELECT count(*) FROM meter_samples")


async def test_a_link_that_declares_nothing_says_what_lacks(amqp_url):
    from contracts.broker.declare import check_on

    wire = await connect(BrokerEndpoint.parse(amqp_url), Deaf(), "test", heartbeat_s=20)
    try:
        with pytest.raises(BrokerRefusedError, match=r"ocpp\.calls.*run `ocpp-gateway declare`"):
            await check_on(wire, TOPOLOGY)
    finally:
        await wire.close(politely=False)


def test_definitions_hold_no_password():
    made = definitions(BrokerUser, PASSWORDS, vhost="/", prefix="")
    assert len(made["users"]) == len(made["permissions"]) == len(BrokerUser)
    assert not any(password in repr(made) for password in PASSWORDS.values())
