"""The one function that declares the topology, and the one that sets its policies."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import quote

from pamqp import base, commands

from contracts.broker.endpoint import SYSTEM_ROOTS, BrokerEndpoint, TlsFiles
from contracts.broker.wire import Deaf, Wire, connect
from contracts.errors import BrokerRefusedError, LinkDownError
from contracts.topology import HASHED, Policy, Topology

DECLARE_TIMEOUT_S = 60.0


async def check_on(wire: Wire, topology: Topology) -> None:
    """Look whether exchanges and queues are there, declaring nothing; bindings cannot be looked at.

    Needs no rights. Raises BrokerRefusedError naming what lacks, else as `declare_on`.
    """
    try:
        async with asyncio.timeout(DECLARE_TIMEOUT_S):
            await asyncio.gather(*[wire.ask(method) for method in _looks(topology)])
    except BrokerRefusedError as error:
        if " 404 " in str(error):
            raise BrokerRefusedError(f"{error}; OCPP_AMQP_DECLARE is off: run `ocpp-gateway declare`") from None
        raise


async def declare_on(wire: Wire, topology: Topology) -> None:
    """Declare exchanges, queues and bindings; harmless when they exist already.

    Raises BrokerRefusedError when the broker refuses (for instance because a queue exists with other arguments),
    LinkDownError when the connection ends, TimeoutError after a minute.
    """
    try:
        async with asyncio.timeout(DECLARE_TIMEOUT_S):
            await asyncio.gather(*[wire.ask(method) for method in _methods(topology)])
    except BrokerRefusedError as error:
        if HASHED in str(error):
            raise BrokerRefusedError(f"{error}; rabbitmq-plugins enable rabbitmq_consistent_hash_exchange") from None
        raise


async def count(url: str, queue: str, files: TlsFiles = SYSTEM_ROOTS) -> int:
    """How many messages a queue holds that nobody has taken; raises as `declare` does."""
    async with _connected(url, files) as wire:
        answer = await wire.call(commands.Queue.Declare(queue=queue, passive=True))
        return (answer.message_count or 0) if isinstance(answer, commands.Queue.DeclareOk) else 0


async def declare(url: str, topology: Topology, files: TlsFiles = SYSTEM_ROOTS) -> None:
    """The same on a connection of its own; raises LinkDownError too when the broker cannot be reached."""
    async with _connected(url, files) as wire:
        await declare_on(wire, topology)


@asynccontextmanager
async def _connected(url: str, files: TlsFiles) -> AsyncIterator[Wire]:
    try:
        wire = await connect(BrokerEndpoint.parse(url, files), Deaf(), "declare", heartbeat_s=20)
    except (OSError, TimeoutError) as error:
        raise LinkDownError(f"cannot connect to the broker: {type(error).__name__}") from error
    try:
        yield wire
    finally:
        await wire.close(politely=True)


def _looks(topology: Topology) -> Iterator[base.Frame]:
    for exchange in topology.exchanges:
        yield commands.Exchange.Declare(exchange=exchange.name, passive=True)
    for queue in topology.queues:
        yield commands.Queue.Declare(queue=queue.name, passive=True)


def _methods(topology: Topology) -> Iterator[base.Frame]:
    for exchange in topology.exchanges:
        yield commands.Exchange.Declare(exchange=exchange.name, exchange_type=exchange.type, durable=True)
    for queue in topology.queues:
        yield commands.Queue.Declare(
            queue=queue.name,
            durable=not queue.exclusive,
            exclusive=queue.exclusive,
            auto_delete=queue.exclusive,
            arguments=dict(queue.arguments),
        )
    for binding in topology.bindings:
        yield commands.Queue.Bind(
            queue=binding.queue,
            exchange=binding.exchange,
            routing_key=binding.key,
            arguments=dict(binding.arguments),
        )


async def put_policies(management_url: str, vhost: str, policies: tuple[Policy, ...]) -> None:
    """Set the policies through the management API (`http://user:password@host:port`).

    Raises BrokerRefusedError with the status when the broker refuses one, LinkDownError when it cannot be reached.
    """
    import aiohttp  # slow to import, and only this needs it

    try:
        await _put_policies(management_url, vhost, policies)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise LinkDownError(f"cannot reach the management API: {type(error).__name__}") from error


async def _put_policies(management_url: str, vhost: str, policies: tuple[Policy, ...]) -> None:
    import aiohttp

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        for policy in policies:
            path = f"/api/policies/{quote(vhost, safe='')}/{quote(policy.name, safe='')}"
            body = {
                "pattern": policy.pattern,
                "definition": policy.definition,
                "apply-to": policy.apply_to,
                "priority": policy.priority,
            }
            async with session.put(management_url.rstrip("/") + path, json=body) as response:
                if response.status not in {201, 204}:
                    raise BrokerRefusedError(f"policy {policy.name} was refused with HTTP {response.status}")
