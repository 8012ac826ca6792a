"""An OCPP 2.0.1 charging station."""

from functools import lru_cache
from random import Random
from typing import Any, ClassVar
from uuid import UUID

from ocpp.v201 import call, datatypes, enums

from loadtest.backoff import retry_back_off
from loadtest.charge_point import BEGIN, END, PERIODIC, ChargePoint
from loadtest.clock import Clock, utc_text
from loadtest.connector import Connector, Fault, Session, State
from loadtest.ledger import Ledger, SampleRecord
from loadtest.meter import Reading
from loadtest.observer import Observer
from loadtest.rpc import Answer
from loadtest.schemas import to_payload
from loadtest.settings import Behaviour, LinkSettings
from loadtest.v201_commands import Commands
from loadtest.v201_variables import Variables

_OCCUPIED = frozenset(
    {State.PREPARING, State.CHARGING, State.SUSPENDED_EV, State.SUSPENDED_EVSE, State.FINISHING}
)  # fmt: skip
_CHARGING_STATE = {
    State.PREPARING: "EVConnected",
    State.CHARGING: "Charging",
    State.SUSPENDED_EV: "SuspendedEV",
    State.SUSPENDED_EVSE: "SuspendedEVSE",
    State.FAULTED: "EVConnected",
}
_STOP_TRIGGER = {
    "Local": "StopAuthorized",
    "Remote": "RemoteStop",
    "DeAuthorized": "Deauthorized",
    "ImmediateReset": "ResetCommand",
    "Other": "AbnormalCondition",
}


class ChargePoint201(ChargePoint):
    """Speaks OCPP 2.0.1; each connector is the only one of an EVSE of the same number."""

    version: ClassVar[str] = "2.0.1"
    subprotocol: ClassVar[str] = "ocpp2.0.1"

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
        shown = self.credentials
        self.variables = Variables(self.behaviour, self.settings.backoff_base_s, shown.profile, shown.raise_profile)
        self.boot_reason = "PowerUp"
        self._commands = Commands(self)

    # --- registration

    def boot_request(self) -> Any:
        return call.BootNotification(
            charging_station=datatypes.ChargingStationType(
                vendor_name=self.behaviour.vendor,
                model=self.behaviour.model,
                serial_number=self.identity[:25] or None,
                firmware_version=self.firmware_version,
            ),
            reason=enums.BootReasonEnumType(self.boot_reason),
        )

    def heartbeat_request(self) -> Any:
        return call.Heartbeat()

    def reconnect_delay(self, failures: int) -> float:
        number = self.variables.number
        return retry_back_off(
            failures,
            number("OCPPCommCtrlr", "RetryBackOffWaitMinimum"),
            number("OCPPCommCtrlr", "RetryBackOffRandomRange"),
            number("OCPPCommCtrlr", "RetryBackOffRepeatTimes"),
            self.rng,
        )

    def retry_policy(self) -> tuple[int, float]:
        number = self.variables.number
        return number("OCPPCommCtrlr", "MessageAttempts"), float(number("OCPPCommCtrlr", "MessageAttemptInterval"))

    def set_heartbeat(self, seconds: float) -> None:
        self.variables.write("OCPPCommCtrlr", "HeartbeatInterval", str(int(seconds)), "Actual")
        super().set_heartbeat(seconds)

    def knows(self, action: str) -> bool:
        return self._commands.knows(action)

    def answer(self, action: str, payload: dict[str, Any]) -> Answer:
        return self._commands.answer(action, payload)

    # --- what is sent

    def status_request(self, connector: Connector, state: State, fault: Fault | None, stamp: str) -> Any:
        del fault  # NotifyEvent tells it
        shown = "Occupied" if state in _OCCUPIED else state.value
        return call.StatusNotification(
            timestamp=stamp,
            connector_status=enums.ConnectorStatusEnumType(shown),
            evse_id=connector.id,
            connector_id=1,
        )

    def break_down(self, connector: Connector, fault: Fault) -> None:
        super().break_down(connector, fault)
        stamp = self.clock.stamp()
        self.notify(lambda: self._fault_event(connector, fault, stamp))

    def _fault_event(self, connector: Connector, fault: Fault, stamp: str) -> Any:
        evse = datatypes.EVSEType(id=connector.id, connector_id=1)
        event = datatypes.EventDataType(
            event_id=self.rng.randrange(1, 2**31),
            timestamp=stamp,
            trigger=enums.EventTriggerEnumType.alerting,
            actual_value="true",
            tech_code=fault.vendor_code,
            tech_info=f"{fault.code}: {fault.info}",
            event_notification_type=enums.EventNotificationEnumType.hard_wired_notification,
            component=datatypes.ComponentType(name="Connector", evse=evse),
            variable=datatypes.VariableType(name="Problem"),
        )
        return call.NotifyEvent(generated_at=stamp, seq_no=0, event_data=[event])

    def authorize_request(self, id_tag: str) -> Any:
        return call.Authorize(id_token=_token(id_tag))

    def authorization_status(self, reply: dict[str, Any]) -> str | None:
        info = reply.get("idTokenInfo")
        return info.get("status") if isinstance(info, dict) else None

    def begin(self, connector: Connector, session: Session) -> None:
        record = session.record
        record.transaction_id = str(UUID(int=self.rng.getrandbits(128), version=4))
        trigger = "Authorized" if session.remote_start_id is None else "RemoteStart"
        self._event(connector, session, "Started", trigger, context=BEGIN, with_token=True)
        self._event(connector, session, "Updated", "ChargingStateChanged", charging_state="Charging")

    def sample(self, connector: Connector, session: Session) -> None:
        self._event(connector, session, "Updated", "MeterValuePeriodic", context=PERIODIC)

    def charging_state_changed(self, connector: Connector, session: Session) -> None:
        self._event(connector, session, "Updated", "ChargingStateChanged")

    def end(self, connector: Connector, session: Session, reason: str) -> None:
        record = session.record
        record.stopped_at = utc_text(session.read_at)
        record.meter_stop_wh = connector.meter.whole_wh
        record.reason = reason
        trigger = _STOP_TRIGGER.get(reason, "AbnormalCondition")
        self._event(connector, session, "Ended", trigger, context=END, with_token=reason == "Local", reason=reason)

    def _event(
        self,
        connector: Connector,
        session: Session,
        kind: str,
        trigger: str,
        *,
        context: str | None = None,
        with_token: bool = False,
        reason: str | None = None,
        charging_state: str | None = None,
    ) -> None:
        record, seq_no = session.record, session.seq_no
        session.seq_no += 1
        values, samples = self._read(connector, session, context) if context is not None else (None, [])
        request = call.TransactionEvent(
            event_type=enums.TransactionEventEnumType(kind),
            timestamp=utc_text(session.read_at),
            trigger_reason=enums.TriggerReasonEnumType(trigger),
            seq_no=seq_no,
            transaction_info=datatypes.TransactionType(
                transaction_id=str(record.transaction_id),
                charging_state=enums.ChargingStateEnumType(charging_state or _CHARGING_STATE[connector.state]),
                stopped_reason=enums.ReasonEnumType(reason) if reason else None,
                remote_start_id=session.remote_start_id if kind == "Started" else None,
            ),
            offline=None if self.online else True,
            reservation_id=session.reservation_id if kind == "Started" else None,
            evse=datatypes.EVSEType(id=connector.id, connector_id=1) if kind == "Started" else None,
            id_token=_token(session.id_tag) if with_token else None,
        )
        payload = to_payload(request)
        if values is not None:
            payload["meterValue"] = values  # plain JSON data already

        def confirmed(reply: dict[str, Any]) -> None:
            record.confirmed_seq_nos.append(seq_no)
            self._take_token_info(session, reply, kind, asked=with_token)
            if kind == "Ended":
                self.ended(record)

        is_sample = kind == "Updated"
        self.transaction_message("TransactionEvent", record, lambda: payload, confirmed, samples, is_sample=is_sample)

    def _take_token_info(self, session: Session, reply: dict[str, Any], kind: str, *, asked: bool) -> None:
        status = self.authorization_status(reply)
        if asked and status is None:
            self.breach(f"TransactionEvent {kind}: idToken without idTokenInfo in the answer (E01.FR.12)")
        if kind == "Started":
            session.record.start_confirmed = True
            session.record.id_status = status
        if kind != "Ended" and status not in {None, "Accepted"} and self.variables.flag("TxCtrlr", "StopTxOnInvalidId"):
            session.stop("DeAuthorized")

    def _read(
        self, connector: Connector, session: Session | None, context: str, action: str = "TransactionEvent"
    ) -> tuple[list[dict[str, Any]], list[SampleRecord]]:
        moment = session.read_at if session is not None else self.clock.now()
        readings = connector.meter.readings(session.car.soc if session is not None else None)
        if context == BEGIN:
            readings = readings[:1]
        value = _meter_value(utc_text(moment), context, readings)
        return [value], [self.sample_record(connector, moment, context, action, readings)]

    async def send_triggered_sample(self, connector: Connector) -> None:
        """Send the MeterValues that a TriggerMessage asked for."""
        values, samples = self._read(connector, connector.session, "Trigger", "MeterValues")
        await self.call(call.MeterValues(evse_id=connector.id, meter_value=values))
        self.ledger.confirm_samples(samples)

    def send_triggered_event(self, connector: Connector, session: Session) -> None:
        """Enqueue the TransactionEvent that a TriggerMessage asked for."""
        self.advance(connector, session)
        self._event(connector, session, "Updated", "Trigger", context="Trigger")

    # --- limits

    def sample_interval_s(self) -> float:
        return float(self.variables.number("SampledDataCtrlr", "TxUpdatedInterval"))

    def power_limit_w(self, session: Session) -> float:
        limits = [self.behaviour.max_power_w, float(self.variables.number("SmartChargingCtrlr", "LimitPower"))]
        if session.limit_w is not None:
            limits.append(session.limit_w)
        return min(limits)

    async def reset(self, kind: str) -> None:
        """Go through a power cycle: at once, or when the last session has ended."""
        self.boot_reason = "RemoteReset"
        if kind == "Immediate":
            self.stop_sessions("ImmediateReset")
        await self._idle.wait()
        await self.restart()


def _token(id_tag: str) -> datatypes.IdTokenType:
    return datatypes.IdTokenType(id_token=id_tag, type=enums.IdTokenEnumType.iso14443)


def _meter_value(stamp: str, context: str, readings: list[Reading]) -> dict[str, Any]:
    values = [
        _sampled(context, reading.measurand, reading.unit, reading.phase, reading.location)
        | {"value": float(reading.text)}
        for reading in readings
    ]
    return {"timestamp": stamp, "sampledValue": values}


@lru_cache(maxsize=1024)  # all but the number is the same in every sample, and a fleet takes millions
def _sampled(context: str, measurand: str, unit: str, phase: str | None, location: str) -> dict[str, Any]:
    value = datatypes.SampledValueType(
        value=0.0,
        context=enums.ReadingContextEnumType(context),
        measurand=enums.MeasurandEnumType(measurand),
        phase=enums.PhaseEnumType(phase) if phase else None,
        location=enums.LocationEnumType(location),
        unit_of_measure=datatypes.UnitOfMeasureType(unit=unit),
    )
    payload: dict[str, Any] = to_payload(value)
    return payload
