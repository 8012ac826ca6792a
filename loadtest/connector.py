"""A connector, the states it may be in, and the charging session it holds. Pure."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from loadtest.ledger import TransactionRecord
from loadtest.meter import Car, Meter


class State(StrEnum):
    """The states of OCPP 1.6; 2.0.1 shows the inner ones as Occupied."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


_ENDS = frozenset({State.FINISHING, State.AVAILABLE, State.UNAVAILABLE, State.FAULTED})
_NEXT = {
    State.AVAILABLE: frozenset({State.PREPARING, State.RESERVED, State.UNAVAILABLE, State.FAULTED}),
    State.PREPARING: frozenset({State.CHARGING, State.SUSPENDED_EV, State.SUSPENDED_EVSE}) | _ENDS,
    State.CHARGING: frozenset({State.SUSPENDED_EV, State.SUSPENDED_EVSE}) | _ENDS,
    State.SUSPENDED_EV: frozenset({State.CHARGING, State.SUSPENDED_EVSE}) | _ENDS,
    State.SUSPENDED_EVSE: frozenset({State.CHARGING, State.SUSPENDED_EV}) | _ENDS,
    State.FINISHING: frozenset({State.AVAILABLE, State.PREPARING, State.UNAVAILABLE, State.FAULTED}),
    State.RESERVED: frozenset({State.AVAILABLE, State.PREPARING, State.UNAVAILABLE, State.FAULTED}),
    State.UNAVAILABLE: frozenset({State.AVAILABLE, State.FAULTED}),
    State.FAULTED: frozenset({State.AVAILABLE, State.PREPARING, State.FINISHING, State.UNAVAILABLE}),
}


class IllegalTransition(Exception):  # noqa: N818 - named for what it is
    """The simulator itself is wrong: OCPP 1.6, 4.9 has no such transition."""


@dataclass(slots=True)
class Session:
    """A car at a connector from plug-in to unplugging, with its transaction once there is one."""

    id_tag: str
    record: TransactionRecord
    car: Car
    began: datetime
    read_at: datetime
    stop_reason: str | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    limit_w: float | None = None  # from a charging profile of this transaction
    reservation_id: int | None = None
    remote_start_id: int | None = None
    seq_no: int = 0

    def stop(self, reason: str) -> None:
        """Ask the session to end; the first reason stands."""
        if self.stop_reason is None:
            self.stop_reason = reason
            self.stopping.set()


@dataclass(slots=True)
class Fault:
    """What is broken, in OCPP's word and in the vendor's."""

    code: str
    vendor_code: str
    info: str


FAULTS = (
    Fault("GroundFailure", "E-0107", "residual current device tripped"),
    Fault("HighTemperature", "E-0212", "contactor over 85 degrees"),
    Fault("PowerMeterFailure", "E-0301", "meter does not answer"),
    Fault("OverVoltage", "E-0119", "grid over 253 V"),
    Fault("EVCommunicationError", "E-0405", "control pilot lost"),
)


@dataclass(slots=True)
class Connector:
    """One connector (in OCPP 2.0.1: the only connector of its EVSE)."""

    id: int
    meter: Meter
    state: State = State.AVAILABLE
    reported: tuple[State, str | None] | None = None
    session: Session | None = None
    busy: bool = False
    fault: Fault | None = None
    reservation: tuple[int, str] | None = None  # id, idTag
    operative: bool = True

    def move(self, state: State) -> None:
        """Change state; raise IllegalTransition where the specification has no such change."""
        if state is not self.state and state not in _NEXT[self.state]:
            raise IllegalTransition(f"{self.state} to {state}")
        self.state = state

    def resting_state(self) -> State:
        """Tell the state of this connector with no car at it."""
        if not self.operative:
            return State.UNAVAILABLE
        return State.RESERVED if self.reservation is not None else State.AVAILABLE

    def free_for(self, id_tag: str) -> bool:
        """Tell whether a session for this tag may begin here."""
        reserved_for = None if self.reservation is None else self.reservation[1].casefold()
        return (
            not self.busy
            and self.operative
            and self.fault is None
            and self.state in {State.AVAILABLE, State.RESERVED}
            and reserved_for in {None, id_tag.casefold()}
        )
