"""The firmware service: which Calls it answers, which requests it takes, what it does by itself."""

from collections.abc import Mapping
from typing import Any

from contracts import topology
from contracts.actions import Service
from contracts.versions import Version
from workers.firmware import progress
from workers.firmware.progress import FirmwareState
from workers.jobs.dispatch import Dispatcher
from workers.jobs.progress import Step
from workers.jobs.reports import report_handler
from workers.jobs.requests import request_handler
from workers.runtime.calls import ServiceDefinition
from workers.settings import WorkerSettings

JOB_ACTIONS = ("UpdateFirmware", "SignedUpdateFirmware")


class FirmwareLifecycle:
    """A firmware update, signed or not."""

    service = Service.FIRMWARE
    actions = JOB_ACTIONS
    replaces_unsent = True

    def rivals(self, action: str) -> tuple[str, ...]:  # noqa: ARG002
        return JOB_ACTIONS

    def is_terminal(self, state: str) -> bool:
        return progress.is_terminal(FirmwareState(state))

    def after_report(self, state: str, status: str) -> Step[FirmwareState]:
        return progress.after_report(FirmwareState(state), status)

    def after_answer(self, action: str, state: str, answer: Mapping[str, Any]) -> str:
        status = answer.get("status")
        if status is None and action != "UpdateFirmware":
            status = ""  # only the 1.6 UpdateFirmware.conf has none
        return progress.after_answer(FirmwareState(state), None if status is None else str(status)).value

    def cancels_older(self, action: str, answer: Mapping[str, Any] | None) -> bool:  # noqa: ARG002
        return True  # L01.FR.26: a charge point has one update at a time, the newest


def service(settings: WorkerSettings) -> ServiceDefinition:  # noqa: ARG001 - the face of every service
    """The firmware service."""
    lifecycle = FirmwareLifecycle()
    dispatcher = Dispatcher(lifecycle)
    report = report_handler(lifecycle, JOB_ACTIONS)
    return ServiceDefinition(
        service=Service.FIRMWARE,
        handlers={
            (Version.V16, "FirmwareStatusNotification"): report,
            (Version.V16, "SignedFirmwareStatusNotification"): report,
            (Version.V201, "FirmwareStatusNotification"): report,
            (Version.V21, "FirmwareStatusNotification"): report,
        },
        requests={topology.jobs_queue(Service.FIRMWARE): request_handler(lifecycle, dispatcher.attempt)},
        background=(dispatcher.dispatch_jobs,),
    )
