"""Hand over a command that outlives outages, also those of the charge point, and wait for its end.

AMQP_URL=amqp://… python track_command.py CP-1 ChangeConfiguration '{"key": "HeartbeatInterval", "value": "300"}'

With the command id of an earlier run as one more argument it goes on where that run left off.
"""

import asyncio
import hashlib
import json
import os
import re
import sys
import time
import uuid

import aio_pika

RECEIPT_WITHIN_S = 10


def routing_token(identity: str) -> str:
    """How an identity is written in the routing key of an event."""
    token = re.sub(rb"[^A-Za-z0-9_-]", lambda byte: b"=%02X" % byte.group()[0], identity.encode()).decode()
    if len(token) <= 160:
        return token
    return f"{token[:94]}=h{hashlib.sha256(identity.encode()).hexdigest()}"


async def main(identity: str, action: str, payload: str = "{}", command_id: str = "") -> int:
    """0 when the charge point answered with a CALLRESULT, 1 for every other outcome."""
    request = {
        "command_id": command_id or str(uuid.uuid4()),
        "action": action,
        "payload": json.loads(payload),
        "deadline_ms": int((time.time() + 24 * 3600) * 1000),
        "tracked": True,
    }
    print(f"command {request['command_id']}", flush=True)
    connection = await aio_pika.connect(os.environ["AMQP_URL"])
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        # One queue for the receipt and the event, there before the request: nothing can be missed.
        # A service has one durable queue of its own instead, for all its commands (see listen_events).
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("ocpp.events", f"command.completed.{routing_token(identity)}")
        heard: asyncio.Queue[dict[str, object]] = asyncio.Queue()

        async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            await heard.put(json.loads(message.body))

        connection.close_callbacks.add(lambda *_: heard.put_nowait({"t": "lost"}))
        await queue.consume(on_message, no_ack=True)
        message = aio_pika.Message(
            json.dumps(request).encode(),
            content_type="application/json",
            type="command",
            message_id=request["command_id"],
            correlation_id=request["command_id"],
            reply_to=queue.name,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        exchange = await channel.get_exchange("ocpp.commands")
        stored = False
        while True:
            if not stored:
                await exchange.publish(message, routing_key=identity, mandatory=True)
            try:
                body = await asyncio.wait_for(heard.get(), None if stored else RECEIPT_WITHIN_S)
            except TimeoutError:
                continue  # no receipt yet: the same id again is the same command, however often it is published
            if body["t"] == "lost":
                sys.exit("connection lost: run it again with the same command id")
            outcome = None
            if body["t"] == "receipt":
                stored = True
                print(f"stored, {body['state']}", flush=True)
                outcome = body["outcome"]  # when it had ended already
            elif body["t"] == "outcome":  # it cannot be taken: rejected
                outcome = body
            elif body["t"] == "event":
                outcome = body["data"]["outcome"]
            if outcome is not None and outcome["command_id"] == request["command_id"]:
                print(json.dumps(outcome))
                return 0 if outcome["outcome"] == "result" else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
