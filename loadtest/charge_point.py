"""What a charge point does whatever its OCPP version: cars come, are authorized, charge, are metered, and leave."""

import asyncio
from abc import abstractmethod
from datetime import datetime
from random import Random
from typing import Any

from loadtest.certificates import CertificateStore
from loadtest.clock import Clock, utc_text
from loadtest.connector import FAULTS, Connector, Fault, Session, State
from loadtest.ledger import Ledger, SampleRecord, TransactionRecord
from loadtest.link import Link, first
from loadtest.meter import Car, Meter, Reading
from loadtest.observer import Observer
from loadtest.rpc import CallFailed, CallRefused
from loadtest.settings import Behaviour, LinkSettings
from loadtest.transaction_queue import Queued

PERIODIC, BEGIN, END = "Sample.Periodic", "Transaction.Begin", "Transaction.End"


class ChargePoint(Link):
    """A charge point with its connectors; `charge` plays one whole session.

    Sessions go on while the server is away: their messages wait in the offline queue.
    """

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
        self.connectors = {
            number: Connector(number, Meter(self.behaviour.phases, self.rng, float(self.rng.randrange(1_000_000))))
            for number in range(1, self.behaviour.connectors + 1)
        }
        self.firmware_version = self.behaviour.firmware_version
        self.certificates = CertificateStore(identity)
        self.local_list_version = 0
        self.finishing = False
        self._shown: str | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    # --- what a version decides

    @abstractmethod
    def authorize_request(self, id_tag: str) -> Any:
        """Build this version's Authorize."""

    @abstractmethod
    def authorization_status(self, reply: dict[str, Any]) -> str | None:
        """Read the status of an idTag or idToken out of a reply, if it has one."""

    @abstractmethod
    def status_request(self, connector: Connector, state: State, fault: Fault | None, stamp: str) -> Any:
        """Build this version's StatusNotification."""

    @abstractmethod
    def begin(self, connector: Connector, session: Session) -> None:
        """Enqueue what starts the transaction."""

    @abstractmethod
    def sample(self, connector: Connector, session: Session) -> None:
        """Enqueue one periodic sample."""

    @abstractmethod
    def charging_state_changed(self, connector: Connector, session: Session) -> None:
        """Enqueue what tells that the car or the charge point suspended or resumed, if this version has it."""

    @abstractmethod
    def end(self, connector: Connector, session: Session, reason: str) -> None:
        """Enqueue what ends the transaction."""

    @abstractmethod
    def sample_interval_s(self) -> float:
        """Give the seconds between two samples; 0 takes none."""

    @abstractmethod
    def power_limit_w(self, session: Session) -> float:
        """Give the power that configuration and charging profiles allow."""

    # --- sessions

    async def charge(
        self,
        connector_id: int,
        id_tag: str,
        duration_s: float,
        *,
        authorize: bool = True,
        remote_start_id: int | None = None,
        limit_w: float | None = None,
    ) -> str:
        """Play a session from plug-in to unplugging, and tell how it ended: `busy`, `refused` or `charged`.

        Its messages may still be queued then; `wait_drained` waits for the server's confirmations.
        """
        connector = self.connectors[connector_id]
        if self.finishing or not connector.free_for(id_tag):
            return self._close_session("busy")
        connector.busy = True
        self._idle.clear()
        try:
            self.move(connector, State.PREPARING)
            await self.pause(self.behaviour.handling_s)
            if authorize and not await self._may_charge(id_tag):
                self._rest(connector)
                self.observer.transaction("refused", 0)
                return self._close_session("refused")
            session = self._open_session(connector, id_tag, remote_start_id, limit_w)
            self.begin(connector, session)
            self.move(connector, State.CHARGING)
            reason = await self._charge_until_stopped(connector, session, duration_s)
            self.end(connector, session, reason)
            connector.session = None
            await self._unplug(connector)
            return self._close_session("charged")
        finally:
            connector.busy = False
            connector.session = None
            if not any(other.busy for other in self.connectors.values()):
                self._idle.set()

    def stop_sessions(self, reason: str) -> None:
        """Ask every running session to end."""
        for connector in self.connectors.values():
            if connector.session is not None:
                connector.session.stop(reason)

    async def finish(self, grace_s: float) -> bool:
        """Begin no more sessions, end the running ones, and wait at most so many real seconds for all answers."""
        self.finishing = True  # a session that is still preparing ends as soon as it has begun
        self.stop_sessions("Local")
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
                await self.wait_drained()
                await self.wait_told()
        except TimeoutError:
            return False
        return True

    async def pause(self, seconds: float) -> None:
        """Let the charge point's own time pass."""
        await asyncio.sleep(self.clock.session_delay(seconds))

    def _close_session(self, outcome: str) -> str:
        self.ledger.sessions[outcome] += 1
        return outcome

    async def _may_charge(self, id_tag: str) -> bool:
        if not self.online:  # nor while connected but not accepted: only BootNotification may be sent then
            return self.behaviour.allow_offline
        try:
            reply = await self.call(self.authorize_request(id_tag))
        except CallRefused:
            return False
        except CallFailed:
            return self.behaviour.allow_offline
        return self.authorization_status(reply) == "Accepted"

    def _open_session(
        self, connector: Connector, id_tag: str, remote_start_id: int | None, limit_w: float | None
    ) -> Session:
        now = self.clock.now()
        record = TransactionRecord(connector.id, id_tag, utc_text(now), connector.meter.whole_wh)
        self.ledger.open_transaction(record)
        car = Car(self.behaviour.battery_wh, self.rng.uniform(0.1, 0.6), self.behaviour.max_power_w)
        session = Session(id_tag, record, car, now, now, limit_w=limit_w, remote_start_id=remote_start_id)
        if connector.reservation is not None:
            session.reservation_id, connector.reservation = connector.reservation[0], None
        connector.session = session
        if self.finishing:
            session.stop("Local")
        return session

    async def _charge_until_stopped(self, connector: Connector, session: Session, duration_s: float) -> str:
        fault_at = self.rng.uniform(0, duration_s) if self.rng.random() < self.behaviour.fault_probability else None
        elapsed = 0.0
        while elapsed < duration_s:
            step = min(self.sample_interval_s() or duration_s, duration_s - elapsed)
            late = (self.clock.now() - session.began).total_seconds() - elapsed  # a fast clock outruns the timers
            wait = max(step / 10.0, step - max(0.0, late))
            interrupted = await first(session.stopping, self.clock.session_delay(wait))
            elapsed += step
            self.advance(connector, session, 0.0 if interrupted else wait)
            if interrupted:
                break
            if fault_at is not None and elapsed >= fault_at:
                self.break_down(connector, self.rng.choice(FAULTS))
                return "Other"
            self._follow_car(connector, session)
            if elapsed < duration_s and self.sample_interval_s():
                self.sample(connector, session)
        return session.stop_reason or "Local"

    def advance(self, connector: Connector, session: Session, at_least_s: float = 0.0) -> None:
        """Bring meter and car up to now."""
        now = self.clock.now()
        seconds = max((now - session.read_at).total_seconds(), at_least_s)
        session.read_at = now
        session.car.elapsed_s += seconds
        power_w = session.car.power_w(self.power_limit_w(session))
        session.car.take(connector.meter.advance(seconds, power_w))

    def _follow_car(self, connector: Connector, session: Session) -> None:
        wanted = State.SUSPENDED_EV if session.car.full else State.CHARGING
        if not session.car.full and self.power_limit_w(session) <= 0:
            wanted = State.SUSPENDED_EVSE
        if wanted is not connector.state:
            self.move(connector, wanted)
            self.charging_state_changed(connector, session)

    async def _unplug(self, connector: Connector) -> None:
        connector.meter.power_w = 0.0
        if connector.fault is not None:
            await self.pause(self.behaviour.handling_s)
            connector.fault = None
        self.move(connector, State.FINISHING)
        await self.pause(self.behaviour.handling_s)
        self._rest(connector)

    # --- connectors

    def move(self, connector: Connector, state: State) -> None:
        """Change a connector's state and report it."""
        connector.move(state)
        self.show_state()
        self.report(connector)

    def rest(self, connector: Connector) -> None:
        """Bring a connector without a car to the state that its availability and reservation ask for."""
        if not connector.busy and connector.state is not connector.resting_state():
            self._rest(connector)

    def _rest(self, connector: Connector) -> None:
        state = connector.resting_state()
        if state not in {State.AVAILABLE, State.UNAVAILABLE}:
            connector.move(State.AVAILABLE)
        self.move(connector, state)

    def break_down(self, connector: Connector, fault: Fault) -> None:
        """Put a connector out of order."""
        connector.fault = fault
        self.move(connector, State.FAULTED)

    def report(self, connector: Connector) -> None:
        """Send the connector's present state in its turn."""
        state, fault, stamp = connector.state, connector.fault, self.clock.stamp()

        def build() -> Any:
            connector.reported = (state, fault.code if fault else None)
            return self.status_request(connector, state, fault, stamp)

        self.notify(build)

    def came_online(self) -> None:
        for connector in self.connectors.values():
            fault_code = connector.fault.code if connector.fault else None
            if connector.reported != (connector.state, fault_code):
                self.report(connector)

    async def restart(self) -> None:
        for connector in self.connectors.values():
            connector.reported = None
        await super().restart()

    # --- the ledger

    def transaction_message(
        self,
        action: str,
        record: TransactionRecord,
        build: Any,
        confirmed: Any,
        samples: list[SampleRecord],
        *,
        is_sample: bool = False,
    ) -> None:
        """Enqueue a transaction message, whose samples enter the ledger when the server has confirmed it."""

        def on_confirmed(reply: dict[str, Any]) -> None:
            confirmed(reply)
            for sample in samples:
                sample.transaction_id = record.transaction_id
            self.ledger.confirm_samples(samples)

        def on_dropped(why: str) -> None:
            self.ledger.dropped[f"{action} {why}"] += 1
            if not is_sample:
                self.observer.transaction("lost", 0)

        self.enqueue(Queued(action, build, on_confirmed, on_dropped, sample=is_sample))

    def ended(self, record: TransactionRecord) -> None:
        """Note that the server has confirmed the end of a transaction."""
        record.stop_confirmed = True
        self.observer.transaction("completed", record.energy_wh)

    def sample_record(
        self, connector: Connector, moment: datetime, context: str, action: str, readings: list[Reading]
    ) -> SampleRecord:
        """Prepare a sample for the ledger."""
        return SampleRecord(
            transaction_id=None,
            connector_id=connector.id,
            timestamp=utc_text(moment),
            context=context,
            energy_wh=float(connector.meter.whole_wh),
            action=action,
            readings=tuple((reading.measurand, reading.phase, reading.text) for reading in readings),
        )

    # --- for whoever watches

    def show_state(self) -> None:
        """Tell the observer: offline, pending, faulted, charging or available."""
        connectors = self.connectors.values()
        if not self.online:
            state = "pending" if self.registration in {"Pending", "Rejected"} else "offline"
        elif any(connector.fault for connector in connectors):
            state = "faulted"
        elif any(connector.state in {State.CHARGING, State.SUSPENDED_EV} for connector in connectors):
            state = "charging"
        else:
            state = "available"
        if state != self._shown:
            self.observer.state(self._shown, state)
            self._shown = state

    async def run(self) -> None:
        """Stay connected until cancelled."""
        self.show_state()
        try:
            await super().run()
        finally:
            self.observer.state(self._shown, None)
            self._shown = None
