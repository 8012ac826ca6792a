"""What a charge point writes: payloads of OCPP 1.6 and 2.0.1 by template, valid against the schemas."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol
from uuid import uuid4

import orjson

from loadtest.crowd.timeline import Step

Said = tuple[str, bytes]
"""An action and its payload as JSON. A `%d` stands for a transactionId that the server has yet to give."""
Stamp = Callable[[int], bytes]
"""The text of a time, which is given in milliseconds of the monotonic clock."""

_STATUS_16 = {
    Step.AVAILABLE: b"Available",
    Step.PREPARING: b"Preparing",
    Step.CHARGING: b"Charging",
    Step.FINISHING: b"Finishing",
}
_SAMPLE_WH = 180


class Charging:
    """A transaction as its charge point knows it."""

    __slots__ = ("key", "last_ms", "number", "register_wh", "remote_start", "sequence", "tag")

    def __init__(self, tag: str, register_wh: int, remote_start: int | None = None) -> None:
        self.tag = _quoted(tag)
        self.remote_start = remote_start
        """What the server called it when it asked for it (OCPP 2.0.1)."""
        self.key = str(uuid4()).encode()
        """Its name in OCPP 2.0.1."""
        self.number = -1
        """Its name in OCPP 1.6, once the server has given it."""
        self.sequence = 0
        self.register_wh = register_wh
        self.last_ms = 0

    def moment(self, at_ms: int) -> int:
        """The time of the next message: `at_ms`, or just after the last one; no two are alike."""
        self.last_ms = max(at_ms, self.last_ms + 1)
        return self.last_ms

    def advance(self) -> None:
        """Take the energy of a sample's time."""
        self.sequence += 1
        self.register_wh += _SAMPLE_WH + self.sequence % 7

    @property
    def watts(self) -> int:
        return 10_800 + self.sequence % 400

    @property
    def volts(self) -> int:
        return 228 + self.sequence % 5


class Speech(Protocol):
    """One OCPP version."""

    subprotocol: ClassVar[str]
    connectors: ClassVar[tuple[int, ...]]
    """Those that report their status after a boot."""
    server_numbers: ClassVar[bool]
    """The server names transactions."""

    def boot(self, identity: str) -> Said: ...
    def status(self, step: Step, connector: int, stamp: bytes) -> Said: ...
    def authorize(self, tag: str) -> Said: ...
    def start(self, charging: Charging, stamp: bytes) -> Said: ...
    def meter(self, charging: Charging, stamp: bytes) -> Said: ...
    def stop(self, charging: Charging, stamp: bytes, reason: str) -> Said: ...

    def accepted(self, step: Step, reply: dict[str, Any]) -> bool:
        """Whether the server's answer is the one that was hoped for."""
        ...


class Speech16:
    """OCPP 1.6."""

    subprotocol: ClassVar[str] = "ocpp1.6"
    connectors: ClassVar[tuple[int, ...]] = (0, 1)
    server_numbers: ClassVar[bool] = True

    def boot(self, identity: str) -> Said:
        return "BootNotification", (
            b'{"chargePointVendor":"Crowd","chargePointModel":"Lean","chargePointSerialNumber":"%b",'
            b'"firmwareVersion":"1.0.0"}' % _quoted(identity[:25])
        )

    def status(self, step: Step, connector: int, stamp: bytes) -> Said:
        return "StatusNotification", b'{"connectorId":%d,"errorCode":"NoError","status":"%b","timestamp":"%b"}' % (
            connector, _STATUS_16[step], stamp,
        )  # fmt: skip

    def authorize(self, tag: str) -> Said:
        return "Authorize", b'{"idTag":"%b"}' % _quoted(tag)

    def start(self, charging: Charging, stamp: bytes) -> Said:
        return "StartTransaction", b'{"connectorId":1,"idTag":"%b","meterStart":%d,"timestamp":"%b"}' % (
            charging.tag, charging.register_wh, stamp,
        )  # fmt: skip

    def meter(self, charging: Charging, stamp: bytes) -> Said:
        return "MeterValues", (
            b'{"connectorId":1,"transactionId":%%d,"meterValue":[{"timestamp":"%b","sampledValue":['
            b'{"value":"%d","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register","unit":"Wh"},'
            b'{"value":"%d","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},'
            b'{"value":"%d","context":"Sample.Periodic","measurand":"Voltage","phase":"L1-N","unit":"V"}]}]}'
            % (stamp, charging.register_wh, charging.watts, charging.volts)
        )

    def stop(self, charging: Charging, stamp: bytes, reason: str) -> Said:
        return "StopTransaction", b'{"transactionId":%%d,"meterStop":%d,"timestamp":"%b","reason":"%b"}' % (
            charging.register_wh, stamp, reason.encode(),
        )  # fmt: skip

    def accepted(self, step: Step, reply: dict[str, Any]) -> bool:
        if step is Step.HEARTBEAT:
            return "currentTime" in reply
        if step is Step.START:
            number = reply.get("transactionId")
            return isinstance(number, int) and number > 0 and _status(reply, "idTagInfo") == "Accepted"
        return step is not Step.AUTHORIZE or _status(reply, "idTagInfo") == "Accepted"


class Speech201:
    """OCPP 2.0.1."""

    subprotocol: ClassVar[str] = "ocpp2.0.1"
    connectors: ClassVar[tuple[int, ...]] = (1,)
    server_numbers: ClassVar[bool] = False

    def boot(self, identity: str) -> Said:
        return "BootNotification", (
            b'{"reason":"PowerUp","chargingStation":{"model":"Lean","vendorName":"Crowd","serialNumber":"%b",'
            b'"firmwareVersion":"1.0.0"}}' % _quoted(identity[:25])
        )

    def status(self, step: Step, connector: int, stamp: bytes) -> Said:
        status = b"Available" if step is Step.AVAILABLE else b"Occupied"
        return "StatusNotification", b'{"timestamp":"%b","connectorStatus":"%b","evseId":1,"connectorId":%d}' % (
            stamp, status, connector,
        )  # fmt: skip

    def authorize(self, tag: str) -> Said:
        return "Authorize", b'{"idToken":{"idToken":"%b","type":"ISO14443"}}' % _quoted(tag)

    def start(self, charging: Charging, stamp: bytes) -> Said:
        remote = charging.remote_start
        trigger, more = (b"Authorized", b"") if remote is None else (b"RemoteStart", b',"remoteStartId":%d' % remote)
        return "TransactionEvent", (
            b'{"eventType":"Started","timestamp":"%b","triggerReason":"%b","seqNo":%d,'
            b'"transactionInfo":{"transactionId":"%b","chargingState":"Charging"%b},"evse":{"id":1,"connectorId":1},'
            b'"idToken":{"idToken":"%b","type":"ISO14443"},"meterValue":[%b]}'
            % (
                stamp,
                trigger,
                charging.sequence,
                charging.key,
                more,
                charging.tag,
                _energy(charging, stamp, b"Transaction.Begin"),
            )
        )

    def meter(self, charging: Charging, stamp: bytes) -> Said:
        return "TransactionEvent", (
            b'{"eventType":"Updated","timestamp":"%b","triggerReason":"MeterValuePeriodic","seqNo":%d,'
            b'"transactionInfo":{"transactionId":"%b","chargingState":"Charging"},'
            b'"meterValue":[{"timestamp":"%b","sampledValue":['
            b'{"value":%d,"context":"Sample.Periodic","measurand":"Energy.Active.Import.Register",'
            b'"unitOfMeasure":{"unit":"Wh"}},'
            b'{"value":%d,"context":"Sample.Periodic","measurand":"Power.Active.Import","unitOfMeasure":{"unit":"W"}},'
            b'{"value":%d,"context":"Sample.Periodic","measurand":"Voltage","phase":"L1-N",'
            b'"unitOfMeasure":{"unit":"V"}}]}]}'
            % (
                stamp,
                charging.sequence,
                charging.key,
                stamp,
                charging.register_wh,
                charging.watts,
                charging.volts,
            )
        )

    def stop(self, charging: Charging, stamp: bytes, reason: str) -> Said:
        trigger = b"StopAuthorized" if reason == "Local" else b"AbnormalCondition"
        if reason == "Remote":
            trigger = b"RemoteStop"
        return "TransactionEvent", (
            b'{"eventType":"Ended","timestamp":"%b","triggerReason":"%b","seqNo":%d,'
            b'"transactionInfo":{"transactionId":"%b","stoppedReason":"%b"},"meterValue":[%b]}'
            % (
                stamp,
                trigger,
                charging.sequence,
                charging.key,
                reason.encode(),
                _energy(charging, stamp, b"Transaction.End"),
            )
        )

    def accepted(self, step: Step, reply: dict[str, Any]) -> bool:
        if step is Step.HEARTBEAT:
            return "currentTime" in reply
        status = _status(reply, "idTokenInfo")
        return status == "Accepted" or (status is None and step is not Step.AUTHORIZE)


SPEECH_16, SPEECH_201 = Speech16(), Speech201()


class Stamps:
    """RFC 3339 times with milliseconds; the text of a second is made once."""

    def __init__(self) -> None:
        self._second = -1
        self._text = b""

    def of(self, unix_ms: int) -> bytes:
        second, rest = divmod(unix_ms, 1000)
        if second != self._second:
            self._second = second
            self._text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
        return b"%b.%03dZ" % (self._text, rest)


def _energy(charging: Charging, stamp: bytes, context: bytes) -> bytes:
    return (
        b'{"timestamp":"%b","sampledValue":[{"value":%d,"context":"%b",'
        b'"measurand":"Energy.Active.Import.Register","unitOfMeasure":{"unit":"Wh"}}]}'
        % (stamp, charging.register_wh, context)
    )


def _status(reply: dict[str, Any], name: str) -> Any:
    info = reply.get(name)
    return info.get("status") if isinstance(info, dict) else None


def _quoted(text: str) -> bytes:
    """What stands between the quotation marks of a JSON string; templates take no percent sign in it."""
    return orjson.dumps(text)[1:-1].replace(b"%", b"\\u0025")
