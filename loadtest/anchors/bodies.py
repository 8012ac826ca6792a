"""What goes to and fro: the very Calls of the crowd, and the envelopes in which our gateway relays them."""

from dataclasses import dataclass

import orjson

from contracts.envelope import CallEnvelope, ReplyEnvelope
from contracts.versions import Version

HEARTBEAT = b'[2,"%d","Heartbeat",{}]'
METER_VALUES = (
    b'[2,"%d","MeterValues",{"connectorId":1,"transactionId":1,"meterValue":[{"timestamp":"2026-01-05T08:00:00.000Z",'
    b'"sampledValue":[{"value":"3600180","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register",'
    b'"unit":"Wh"},{"value":"10800","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},'
    b'{"value":"229","context":"Sample.Periodic","measurand":"Voltage","phase":"L1-N","unit":"V"}]}]}]'
)
BOOT = (
    b'[2,"%d","BootNotification",{"chargePointVendor":"Crowd","chargePointModel":"Lean",'
    b'"chargePointSerialNumber":"ANCHOR","firmwareVersion":"1.0.0"}]'
)

SESSION = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Relayed:
    """A Call on its way through the broker, and the answer to it."""

    call: bytes
    reply: bytes
    persistent: bool
    expiration_ms: int | None


def relayed(action: str) -> Relayed:
    """The bodies and traits with which our gateway relays a Heartbeat or MeterValues, and a worker answers."""
    billing = action == "MeterValues"
    envelope = CallEnvelope(
        identity="ANCHOR-000001",
        version=Version.V16,
        gateway="gateway-0",
        session=SESSION,
        epoch=1_767_600_000_000,
        unique_id="100000",
        action=action,
        frame=(METER_VALUES if billing else HEARTBEAT) % 100_000,
        received_ms=1_767_600_000_000,
    )
    answer = {} if billing else {"currentTime": "2026-01-05T08:00:00.000Z"}
    reply = ReplyEnvelope(payload=orjson.dumps(answer))
    return Relayed(envelope.encode(), reply.encode(), billing, None if billing else 30_000)
