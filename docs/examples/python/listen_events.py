"""Print every event of a durable queue, also those that were published while this program was down.

AMQP_URL=amqp://… python listen_events.py billing.events transaction.ended.* transaction.started.*
"""

import asyncio
import json
import os
import sys

import aio_pika

QUEUE = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 1_000_000_000,  # RabbitMQ 4 drops unasked what was delivered 20 times without an ack
    "x-max-length-bytes": 1024**3,  # when it is full the oldest go (the default, drop-head): never reject-publish
}


async def main(name: str, *keys: str) -> None:
    """Run until the connection breaks; whoever started it starts it again, and the queue keeps what comes meanwhile."""
    seen: set[str] = set()  # a service keeps these in its database, in the transaction of what it does with the event
    last: dict[str, int] = {}
    connection = await aio_pika.connect(os.environ["AMQP_URL"])
    lost = asyncio.Event()
    connection.close_callbacks.add(lambda *_: lost.set())
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        queue = await channel.declare_queue(name, durable=True, arguments=QUEUE)
        for key in keys or ["#"]:
            await queue.bind("ocpp.events", key)

        async def on_event(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            event = json.loads(message.body)
            if event["event_id"] not in seen:  # each comes at least once
                expected = last.get(event["identity"], event["seq"] - 1) + 1
                if not keys and event["seq"] > expected:  # only who is bound to all events of it sees every number
                    print(f"missed {expected} to {event['seq'] - 1} of {event['identity']}", file=sys.stderr)
                print(json.dumps(event), flush=True)
                seen.add(event["event_id"])
                last[event["identity"]] = max(event["seq"], expected - 1)
            await message.ack()  # only now: until then the broker keeps it

        await queue.consume(on_event)
        print(f"listening on {name}", file=sys.stderr, flush=True)
        await lost.wait()
        sys.exit("connection lost")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
