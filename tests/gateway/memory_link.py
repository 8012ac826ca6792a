"""A broker link without a broker: records publishes and lets a test play the broker and the worker."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.broker import Delivery, Returned
from contracts.envelope import (
    AdmissionChanged,
    AdmissionNotice,
    AdmissionQuery,
    AdmissionVerdict,
    CallEnvelope,
    CommandEnvelope,
    Envelope,
    ReplyEnvelope,
)
from contracts.errors import LinkDownError
from contracts.topology import ADMISSION_CHANGED, ADMISSIONS, GATEWAYS, SESSIONS
from gateway.app import Gateway
from gateway.listener import Listener


@dataclass(slots=True)
class Published:
    exchange: str
    key: str
    body: bytes
    token: object
    correlation_id: str
    reply_to: str
    expiration_ms: int | None
    mandatory: bool
    persistent: bool
    type: str = ""
    headers: Mapping[str, str] | None = None

    @property
    def call(self) -> CallEnvelope:
        return CallEnvelope.decode(self.body)


def delivery(
    body: bytes, *, correlation_id: str = "", exchange: str = "", routing_key: str = "", reply_to: str = ""
) -> Delivery:
    return Delivery(
        queue="private",
        exchange=exchange,
        routing_key=routing_key,
        body=body,
        tag=1,
        generation=1,
        redelivered=False,
        correlation_id=correlation_id,
        reply_to=reply_to,
    )


def returned(correlation_id: str) -> Returned:
    return Returned("ocpp.calls", "ocpp16.A", correlation_id=correlation_id, reply_code=312, reply_text="NO_ROUTE")


class MemoryLink:
    """Speaks the face of BrokerLink that the gateway uses. `auto` answers each Call with `{}` at once."""

    def __init__(self, gateway: Gateway | None = None, listener: Listener | None = None) -> None:
        if gateway is not None:
            listener = Listener(gateway.edge)
            gateway.link = self  # type: ignore[assignment]
        assert listener is not None
        self.listener = listener
        self.up = True
        self.writable = True
        self.blocked = False
        self.reply_queue = "replies-1"
        self.auto = False
        self.published: list[Published] = []
        self.records: dict[str, AdmissionVerdict] | None = None
        """What a worker would answer to admission queries, at once; None: it is silent."""
        listener.attach(self)

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        token: object = None,
        mandatory: bool = False,
        persistent: bool = False,
        correlation_id: str = "",
        reply_to: str = "",
        expiration_ms: int | None = None,
        type: str = "",  # noqa: A002 - AMQP's own name for the property
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if not self.up:
            raise LinkDownError("down")
        message = Published(
            exchange,
            routing_key,
            body,
            token,
            correlation_id,
            reply_to,
            expiration_ms,
            mandatory,
            persistent,
            type,
            headers,
        )
        self.published.append(message)
        if exchange == ADMISSIONS and reply_to and self.records is not None:
            identity = AdmissionQuery.decode(body).identity
            self.reply(message, self.records.get(identity, AdmissionVerdict(identity, known=False)))
            return
        if self.auto and reply_to:
            self.confirm(message)
            self.reply(message)

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def settled(self) -> None:
        """Everything is in memory already."""

    @property
    def calls(self) -> list[Published]:
        return [message for message in self.published if message.exchange == "ocpp.calls"]

    @property
    def announced(self) -> list[Published]:
        return [message for message in self.published if message.exchange == SESSIONS]

    def confirm(self, message: Published) -> None:
        self.listener.confirmed(message.token)

    def reply(self, message: Published, reply: Envelope | None = None) -> None:
        body = (reply or ReplyEnvelope(payload=b"{}")).encode()
        self.listener.delivered(delivery(body, correlation_id=message.correlation_id))

    def give_back(self, message: Published) -> None:
        """Return it as unroutable, then confirm it, as RabbitMQ does."""
        self.listener.returned(returned(message.correlation_id))
        self.confirm(message)

    def command(self, command: CommandEnvelope, reply_to: str = "asker") -> None:
        self.listener.delivered(
            delivery(command.encode(), correlation_id=command.command_id, exchange=GATEWAYS, reply_to=reply_to)
        )

    def change(self, identity: str | None = None) -> None:
        """What is on record of an identity, or of all, has changed."""
        self.listener.delivered(delivery(AdmissionChanged(identity).encode(), exchange=ADMISSION_CHANGED))

    @property
    def notices(self) -> list[AdmissionNotice]:
        told = [message for message in self.published if message.exchange == ADMISSIONS and not message.reply_to]
        return [AdmissionNotice.decode(message.body) for message in told]

    def go_down(self) -> None:
        self.up = False
        self.listener.link_down()

    def come_up(self, reply_queue: str = "replies-2") -> None:
        self.up = True
        self.reply_queue = reply_queue
        self.listener.link_up()
