"""Every process with a user and a role of its own, which may do what it needs and nothing else."""

import asyncio
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import asyncpg
import orjson
import pytest
from pamqp import commands
from websockets.exceptions import InvalidStatus

from contracts import topology
from contracts.broker import codec
from contracts.broker.endpoint import BrokerEndpoint
from contracts.broker.grant import definitions
from contracts.broker.wire import Deaf, Wire, connect
from contracts.client import CommandClient
from contracts.envelope import OutcomeKind
from contracts.errors import BrokerRefusedError, LinkDownError
from contracts.frame_log import Direction
from contracts.operator import Operation
from contracts.permissions import BrokerUser
from contracts.topology import TOPOLOGY
from contracts.versions import Version
from tests.support.confined import PASSWORDS, Confined, confined_system
from tests.support.signing import csr
from tests.support.stations import socket_to
from tools.nodes import Broker, Database

pytestmark = pytest.mark.system

STAMP = "2026-05-01T12:00:00Z"


@pytest.fixture(scope="module")
def confined(rabbit: Broker, postgres: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Confined]:
    with confined_system(
        rabbit, postgres, tmp_path_factory.mktemp("least"), OCPP_GATEWAY_FAILED_AUTH_FIRST_SECONDS="0"
    ) as system:
        yield system


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
        await events.start()
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


async def status_of(url: str, identity: str, password: bytes | None = None) -> int:
    """The HTTP status of a handshake; 101 when it is let in."""
    try:
        async with socket_to(url, identity, Version.V16, password=password):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_a_password_is_set_rotated_and_blocked_at_every_gateway(confined):
    identity, (one, other) = f"CP-{uuid.uuid4().hex[:8]}", confined.stack.urls
    boot = {"chargePointVendor": "V", "chargePointModel": "M"}
    old = b"The-Old-One-4711"
    async with (
        CommandClient(confined.amqp_as(BrokerUser.BACKEND)) as backend,
        CommandClient(confined.amqp_as(BrokerUser.OPERATOR)) as operator,
    ):

        async def ask(operation: Operation, **given: Any) -> dict[str, Any]:
            answer = await operator.ask(operation, {"identity": identity, **given})
            assert answer.ok, answer.description
            return answer.items[0]

        events = backend.events(f"backend.{identity}", identities=[identity])
        await events.start()
        await ask(Operation.ADD_CHARGE_POINT)
        await ask(Operation.SET_KEY, password=old.decode())
        await ask(Operation.SET_SECURITY, profile=1)
        assert [await status_of(one, identity, shown) for shown in (None, b"wrong" * 4, old)] == [401, 401, 101]

        async with socket_to(one, identity, Version.V16, password=old) as socket:
            await call(socket, "BootNotification", **boot)
            raw = {"key": "authorizationKey", "value": "00" * 20}
            refused = await backend.call(identity, "ChangeConfiguration", raw, timeout_s=10)
            assert (refused.outcome, refused.reason) == (OutcomeKind.REJECTED, "reserved_key")
            assert (await ask(Operation.ROTATE_KEY))["keys"][1]["state"] == "pending"
            async with asyncio.timeout(20):
                frame = orjson.loads(await socket.recv())
            assert (frame[2], frame[3]["key"]) == ("ChangeConfiguration", "AuthorizationKey")
            new = bytes.fromhex(frame[3]["value"])
            await socket.send(orjson.dumps([3, frame[1], {"status": "Accepted"}]), text=True)
        assert await status_of(other, identity, old) == 101
        assert await status_of(other, identity, new) == 101
        await first_of(events, "credential.changed", {"what": "key", "cause": "confirmed"})
        assert [await status_of(url, identity, old) for url in (one, other)] == [401, 401]
        shown = await ask(Operation.SECURITY)
        keys = [(key["state"], key["delivery"]) for key in shown["keys"]]
        assert (shown["profile"], keys) == (1, [("current", "Accepted"), ("retired", "provisioned")])

        async with socket_to(one, identity, Version.V16, password=new) as socket:
            raised = await ask(Operation.RAISE_PROFILE, profile=2)
            assert (raised["profile"], raised["target_profile"]) == (1, 2)
            async with asyncio.timeout(20):
                frame = orjson.loads(await socket.recv())
            assert (frame[2], frame[3]) == ("ChangeConfiguration", {"key": "SecurityProfile", "value": "2"})
            await socket.send(orjson.dumps([3, frame[1], {"status": "Accepted"}]), text=True)
            await call(socket, "Heartbeat")
            assert (await ask(Operation.BLOCK_CHARGE_POINT))["registration"] == "rejected"
            await socket.send(orjson.dumps([2, "late", "Heartbeat", {}]), text=True)
            assert orjson.loads(await socket.recv())[:3] == [4, "late", "SecurityError"]
            assert (await call(socket, "BootNotification", **boot))["status"] == "Rejected"
        await events.close()


async def first_of(events: Any, kind: str, wanted: dict[str, str] | None = None) -> None:
    async with asyncio.timeout(60):
        async for event in events:
            if event.type == kind and (wanted or {}).items() <= event.data.items():
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
        ("commands", "UPDATE charge_point_keys SET state = 'current'"),
        ("commands", "UPDATE charge_point_security SET profile = 0"),
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
