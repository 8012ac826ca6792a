"""The one function that declares the topology, and the one that sets its policies."""

from urllib.parse import quote

import aio_pika
import aiohttp

from contracts.errors import BrokerRefusedError, LinkDownError
from contracts.topology import Policy, Topology

CONNECT_TIMEOUT_S = 15.0


async def declare(url: str, topology: Topology) -> None:
    """Declare exchanges, queues and bindings; harmless when they exist already.

    Raises LinkDownError when the broker cannot be reached, BrokerRefusedError when it refuses (for instance
    because a queue exists with other arguments); neither text holds credentials.
    """
    try:
        connection = await aio_pika.connect(url, timeout=CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError, aio_pika.exceptions.AMQPError) as error:
        raise LinkDownError(f"cannot connect to declare the topology: {type(error).__name__}") from error
    try:
        async with connection:
            await _declare(await connection.channel(publisher_confirms=False), topology)
    except aio_pika.exceptions.ChannelClosed as error:
        raise BrokerRefusedError(f"the broker refused the topology: {error}") from error
    except (OSError, TimeoutError, aio_pika.exceptions.AMQPError) as error:
        raise LinkDownError(f"lost the broker while declaring the topology: {type(error).__name__}") from error


async def _declare(channel: aio_pika.abc.AbstractChannel, topology: Topology) -> None:
    exchanges = {
        exchange.name: await channel.declare_exchange(exchange.name, exchange.type, durable=True)
        for exchange in topology.exchanges
    }
    queues = {
        queue.name: await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
        for queue in topology.queues
    }
    for binding in topology.bindings:
        await queues[binding.queue].bind(
            exchanges[binding.exchange], binding.key, arguments=dict(binding.arguments) or None
        )


async def put_policies(management_url: str, vhost: str, policies: tuple[Policy, ...]) -> None:
    """Set the policies through the management API (`http://user:password@host:port`).

    Raises BrokerRefusedError with the status when the broker refuses one, aiohttp.ClientError when unreachable.
    """
    async with aiohttp.ClientSession() as session:
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
