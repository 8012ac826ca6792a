"""A worker for all services that answers every Call with an empty payload at once: `python -m tools.bench.echo_worker`.

It decides and stores nothing, so that what a Call costs elsewhere can be seen.
"""

import os
import sys

import uvloop

from contracts import topology
from contracts.broker import BrokerLink, Consumer, Delivery, Returned
from contracts.envelope import AdmissionQuery, AdmissionVerdict, ReplyEnvelope

PREFETCH = 500
ANSWER = ReplyEnvelope(payload=b"{}").encode()


class EchoWorker:
    """Answers Calls, and admission queries with nothing on record."""

    def __init__(self, amqp_url: str) -> None:
        queues = [topology.calls_queue(service) for service in topology.RELAY_SERVICES]
        consumers = [Consumer(queue, PREFETCH) for queue in (*queues, topology.admission_queue())]
        self.link = BrokerLink(amqp_url, self, name="bench worker", consumers=consumers)

    def link_up(self) -> None:
        print("up", flush=True)

    def link_down(self) -> None:
        """The link comes back by itself."""

    def delivered(self, delivery: Delivery) -> None:
        answer = ANSWER
        if delivery.queue == topology.admission_queue():
            answer = AdmissionVerdict(AdmissionQuery.decode(delivery.body).identity, known=False).encode()
        self.link.publish("", delivery.reply_to, answer, correlation_id=delivery.correlation_id)
        self.link.ack(delivery)

    def returned(self, message: Returned) -> None:
        """A gateway that is gone."""

    def confirmed(self, token: object) -> None:
        """Nobody waits for it."""

    def refused(self, token: object) -> None:
        """Nobody waits for it."""

    def flow_changed(self) -> None:
        """Prefetch bounds what is in hand."""


async def _serve() -> None:
    await EchoWorker(os.environ["AMQP_URL"]).link.run()


if __name__ == "__main__":
    sys.exit(uvloop.run(_serve()))
