"""Send a command to a charge point and print its outcome.

AMQP_URL=amqp://… python send_command.py CP-1 GetConfiguration '{"key": ["HeartbeatInterval"]}'
"""

import asyncio
import json
import os
import sys
import time
import uuid

import aio_pika

WITHIN_S = 30
REPLIES = "amq.rabbitmq.reply-to"  # RabbitMQ's direct reply-to: no queue to declare, for this channel alone


async def main(identity: str, action: str, payload: str = "{}") -> int:
    """0 when the charge point answered with a CALLRESULT, 1 for every other outcome."""
    request = {
        "command_id": str(uuid.uuid4()),
        "action": action,
        "payload": json.loads(payload),
        "deadline_ms": int((time.time() + WITHIN_S) * 1000),
    }
    outcome: asyncio.Future[dict[str, object]] = asyncio.get_running_loop().create_future()

    async def on_reply(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        if message.correlation_id == request["command_id"] and not outcome.done():  # the first one counts
            outcome.set_result(json.loads(message.body))

    def on_lost(*_: object) -> None:
        if not outcome.done():
            outcome.set_exception(ConnectionError())

    connection = await aio_pika.connect(os.environ["AMQP_URL"])
    connection.close_callbacks.add(on_lost)
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        replies = await channel.get_queue(REPLIES, ensure=False)
        await replies.consume(on_reply, no_ack=True)  # before the request, on the same channel
        message = aio_pika.Message(
            json.dumps(request).encode(),
            content_type="application/json",
            type="command",
            message_id=request["command_id"],
            correlation_id=request["command_id"],
            reply_to=REPLIES,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        exchange = await channel.get_exchange("ocpp.commands")
        await exchange.publish(message, routing_key=identity, mandatory=True)  # returns when it is confirmed
        try:
            answer = await asyncio.wait_for(outcome, WITHIN_S + 10)  # it comes by deadline + 3 s at the latest
        except (TimeoutError, ConnectionError):
            sys.exit("no outcome: what became of the command is not known")
    print(json.dumps(answer))
    return 0 if answer["outcome"] == "result" else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
