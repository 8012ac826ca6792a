"""An OCPP 1.6 charge point (with the security extension)."""

import asyncio
from functools import lru_cache
from random import Random
from typing import Any, ClassVar

from ocpp.v16 import call, datatypes, enums

from loadtest.backoff import full_jitter
from loadtest.charge_point import BEGIN, END, PERIODIC, ChargePoint
from loadtest.clock import Clock, utc_text
from loadtest.connector import Connector, Fault, Session, State
from loadtest.ledger import Ledger, SampleRecord, TransactionRecord
from loadtest.meter import Reading
from loadtest.observer import Observer
from loadtest.rpc import Answer
from loadtest.schemas import to_payload
from loadtest.settings import Behaviour, LinkSettings
from loadtest.v16_commands import Commands
from loadtest.v16_configuration import Configuration

UNCONFIRMED = -1  # the transactionId of a transaction whose start the server never confirmed (errata 3.18)


class ChargePoint16(ChargePoint):
    """Speaks OCPP 1.6; transactionIds come from the server, so the messages after a start wait for its confirmation."""

    version: ClassVar[str] = "1.6"
    subprotocol: ClassVar[str] = "ocpp1.6"

    def __init__(
        self,
        identity: str,
        settings: LinkSettings,
        behaviour: Behaviour | None = None,
        *,
        clock: Clock | None = None,
        rng: Random | None = None,
        ledger: Ledger | None = None,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(identity, settings, behaviour, clock=clock, rng=rng, ledger=ledger, observer=observer)
        self.configuration = Configuration(self.behaviour, self.credentials.profile, self.credentials.raise_profile)
        self.local_list: dict[str, Any] = {}
        self._commands = Commands(self)
        self._ids_given: set[int] = set()

    # --- registration

    def boot_request(self) -> Any:
        return call.BootNotification(
            charge_point_model=self.behaviour.model,
            charge_point_vendor=self.behaviour.vendor,
            charge_point_serial_number=self.identity[:25] or None,
            firmware_version=self.firmware_version,
            meter_type="SIM-METER",
        )

    def heartbeat_request(self) -> Any:
        return call.Heartbeat()

    def reconnect_delay(self, failures: int) -> float:
        return full_jitter(failures, self.settings.backoff_base_s, self.settings.backoff_cap_s, self.rng)

    def retry_policy(self) -> tuple[int, float]:
        keys = self.configuration
        return keys.number("TransactionMessageAttempts"), float(keys.number("TransactionMessageRetryInterval"))

    def set_heartbeat(self, seconds: float) -> None:
        self.configuration.change("HeartbeatInterval", str(int(seconds)))
        super().set_heartbeat(seconds)

    def came_online(self) -> None:
        if all(connector.reported is None for connector in self.connectors.values()):
            self.notify(self.whole_status)
        super().came_online()

    def knows(self, action: str) -> bool:
        return self._commands.knows(action)

    def answer(self, action: str, payload: dict[str, Any]) -> Answer:
        return self._commands.answer(action, payload)

    # --- what is sent

    def whole_status(self) -> Any:
        """Build the StatusNotification of connector 0, the charge point as a whole."""
        return call.StatusNotification(
            connector_id=0,
            error_code=enums.ChargePointErrorCode.no_error,
            status=enums.ChargePointStatus.available,
            timestamp=self.clock.stamp(),
        )

    def status_request(self, connector: Connector, state: State, fault: Fault | None, stamp: str) -> Any:
        return call.StatusNotification(
            connector_id=connector.id,
            error_code=enums.ChargePointErrorCode(fault.code if fault else "NoError"),
            status=enums.ChargePointStatus(state.value),
            timestamp=stamp,
            info=fault.info if fault else None,
            vendor_id=self.behaviour.vendor if fault else None,
            vendor_error_code=fault.vendor_code if fault else None,
        )

    def authorize_request(self, id_tag: str) -> Any:
        return call.Authorize(id_tag=id_tag)

    def authorization_status(self, reply: dict[str, Any]) -> str | None:
        info = reply.get("idTagInfo")
        return info.get("status") if isinstance(info, dict) else None

    def begin(self, connector: Connector, session: Session) -> None:
        record = session.record
        request = call.StartTransaction(
            connector_id=connector.id,
            id_tag=session.id_tag,
            meter_start=record.meter_start_wh,
            timestamp=record.started_at,
            reservation_id=session.reservation_id,
        )
        payload = to_payload(request)
        self.transaction_message(
            "StartTransaction", record, lambda: payload, lambda reply: self._started(session, reply), []
        )

    def _started(self, session: Session, reply: dict[str, Any]) -> None:
        number, record = reply.get("transactionId"), session.record
        record.start_confirmed = True
        if not isinstance(number, int) or number <= 0 or number in self._ids_given:
            self.breach(f"StartTransaction: transactionId {number!r} is not a new positive number")
        if isinstance(number, int):
            record.transaction_id = number
            self._ids_given.add(number)
        record.id_status = self.authorization_status(reply)
        if record.id_status != "Accepted" and self.configuration.flag("StopTransactionOnInvalidId"):
            session.stop("DeAuthorized")

    def sample(self, connector: Connector, session: Session) -> None:
        record = session.record
        value, sample = self._read(connector, session, PERIODIC, "MeterValues")

        def build() -> dict[str, Any]:
            return {"connectorId": connector.id, "transactionId": _number(record), "meterValue": [value]}

        self.transaction_message("MeterValues", record, build, _ignore, [sample], is_sample=True)

    def charging_state_changed(self, connector: Connector, session: Session) -> None:
        """Say nothing: in OCPP 1.6 the StatusNotification tells it."""

    def end(self, connector: Connector, session: Session, reason: str) -> None:
        record = session.record
        record.stopped_at = utc_text(session.read_at)
        record.meter_stop_wh = connector.meter.whole_wh
        record.reason = reason
        data: list[dict[str, Any]] = []
        request = call.StopTransaction(
            meter_stop=connector.meter.whole_wh,
            timestamp=utc_text(session.read_at),
            transaction_id=UNCONFIRMED,
            reason=enums.Reason(reason),
            id_tag=session.id_tag if reason == "Local" else None,
            transaction_data=data if self.behaviour.transaction_data else None,
        )
        samples: list[SampleRecord] = []
        if self.behaviour.transaction_data:
            begin = Reading("Energy.Active.Import.Register", float(record.meter_start_wh), "Wh")
            data.append(_meter_value(record.started_at, BEGIN, [begin]))
            samples.append(
                SampleRecord(
                    None, connector.id, record.started_at, BEGIN, float(record.meter_start_wh), "StopTransaction",
                    (("Energy.Active.Import.Register", None, str(record.meter_start_wh)),),
                )
            )  # fmt: skip
            value, sample = self._read(connector, session, END, "StopTransaction")
            data.append(value)
            samples.append(sample)

        def build() -> dict[str, Any]:
            request.transaction_id = _number(record)
            payload: dict[str, Any] = to_payload(request)
            return payload

        self.transaction_message("StopTransaction", record, build, lambda _: self.ended(record), samples)

    def _read(
        self, connector: Connector, session: Session | None, context: str, action: str
    ) -> tuple[dict[str, Any], SampleRecord]:
        wanted = {name.strip() for name in self.configuration.text("MeterValuesSampledData").split(",")}
        soc = session.car.soc if session is not None else None
        readings = [reading for reading in connector.meter.readings(soc) if reading.measurand in wanted]
        readings = readings or connector.meter.readings(soc)[:1]
        moment = session.read_at if session is not None else self.clock.now()
        value = _meter_value(utc_text(moment), context, readings)
        return value, self.sample_record(connector, moment, context, action, readings)

    async def send_triggered_sample(self, connector: Connector) -> None:
        """Send the MeterValues that a TriggerMessage asked for."""
        session = connector.session
        if session is not None:
            self.advance(connector, session)
        value, sample = self._read(connector, session, "Trigger", "MeterValues")
        number = _number(session.record) if session is not None and session.record.start_confirmed else None
        request = call.MeterValues(connector_id=connector.id, meter_value=[value], transaction_id=number)
        await self.call(request)
        sample.transaction_id = number
        self.ledger.confirm_samples([sample])

    # --- limits

    def sample_interval_s(self) -> float:
        return float(self.configuration.number("MeterValueSampleInterval"))

    def power_limit_w(self, session: Session) -> float:
        limits = [self.behaviour.max_power_w, float(self.configuration.number("MaxChargingPower"))]
        if session.limit_w is not None:
            limits.append(session.limit_w)
        return min(limits)

    async def reset(self, kind: str) -> None:
        """End the sessions and go through a power cycle."""
        self.stop_sessions("HardReset" if kind == "Hard" else "SoftReset")
        if kind == "Soft":
            try:
                async with asyncio.timeout(self.settings.call_timeout_s):
                    await self._idle.wait()
                    await self.wait_drained()
            except TimeoutError:
                pass  # the queue survives the power cycle
        await self.restart()


def _number(record: TransactionRecord) -> int:
    return record.transaction_id if isinstance(record.transaction_id, int) else UNCONFIRMED


def _ignore(_reply: dict[str, Any]) -> None:
    return


def _meter_value(stamp: str, context: str, readings: list[Reading]) -> dict[str, Any]:
    values = [
        _sampled(context, reading.measurand, reading.unit, reading.phase, reading.location) | {"value": reading.text}
        for reading in readings
    ]
    return {"timestamp": stamp, "sampledValue": values}


@lru_cache(maxsize=1024)  # all but the number is the same in every sample, and a fleet takes millions
def _sampled(context: str, measurand: str, unit: str, phase: str | None, location: str) -> dict[str, Any]:
    value = datatypes.SampledValue(
        value="",
        context=enums.ReadingContext(context),
        measurand=enums.Measurand(measurand),
        phase=enums.Phase(phase) if phase else None,
        location=enums.Location(location),
        unit=enums.UnitOfMeasure(unit),
    )
    payload: dict[str, Any] = to_payload(value)
    return payload
