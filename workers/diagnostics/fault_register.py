"""The fault register's one decision, pure: an observation meets the open fault of its place, if there is one.

A place is a connector (or a whole charge point: connector 0), or in OCPP 2.x one component with a Problem. Each has at
most one open fault. The same code again neither duplicates nor restarts it; another ends it and starts its own.
"""

from dataclasses import dataclass
from datetime import datetime

from workers.diagnostics.fault_classes import FAULTED, NO_ERROR, FaultKind, is_conclusive, of_error_code


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as it is observed. `severe` tells Faulted from an error that still lets the connector serve."""

    code: str
    kind: FaultKind
    severe: bool
    vendor_id: str | None = None
    vendor_error_code: str | None = None
    info: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same fault when reported again: a vendor's code only where OCPP's says nothing."""
        return self.code, "" if is_conclusive(self.code) else self.vendor_error_code or ""


@dataclass(frozen=True, slots=True)
class OpenFault:
    """The fault that the register holds open for a place."""

    key: tuple[str, str]
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What the register must do: end the open fault, start one, or note that the open one was seen again."""

    end_duration_s: float | None = None
    """Seconds that the open fault lasted; None leaves it open."""
    start: Fault | None = None
    seen_again: bool = False


def observe(open_fault: OpenFault | None, fault: Fault | None, at: datetime) -> Change:
    """Meet a place's open fault with what is observed there `at` a time: a fault, or None for health."""
    if open_fault is None:
        return Change(start=fault)
    if fault is not None and fault.key == open_fault.key:
        return Change(seen_again=True)
    return Change(end_duration_s=max(0.0, (at - open_fault.started_at).total_seconds()), start=fault)


def from_status(
    status: str | None,
    error_code: str | None,
    *,
    vendor_id: str | None = None,
    vendor_error_code: str | None = None,
    info: str | None = None,
) -> Fault | None:
    """The fault that a StatusNotification reports; Faulted counts without a code (2.x has none), NoError is health."""
    severe = status == FAULTED
    code = None if error_code == NO_ERROR else error_code
    if not code and not severe:
        return None
    code = code or FAULTED
    return Fault(code, of_error_code(code, vendor_error_code), severe, vendor_id, vendor_error_code, info)
