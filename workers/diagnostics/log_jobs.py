"""The lifecycle of log jobs: GetDiagnostics (1.6) and GetLog (1.6 security extension, 2.x)."""

from collections.abc import Mapping
from typing import Any

from contracts.actions import Service
from workers.diagnostics import log_progress
from workers.diagnostics.log_progress import LogState
from workers.jobs.progress import Step
from workers.runtime.reading import read_text

DIAGNOSTICS_ACTIONS = ("GetDiagnostics",)
LOG_ACTIONS = ("GetLog",)


class LogLifecycle:
    """An upload of diagnostics or logs."""

    service = Service.DIAGNOSTICS
    actions = (*DIAGNOSTICS_ACTIONS, *LOG_ACTIONS)
    replaces_unsent = False

    def rivals(self, action: str) -> tuple[str, ...]:
        return (action,)

    def is_terminal(self, state: str) -> bool:
        return log_progress.is_terminal(LogState(state))

    def after_report(self, state: str, status: str) -> Step[LogState]:
        return log_progress.after_report(LogState(state), status)

    def after_answer(self, action: str, state: str, answer: Mapping[str, Any]) -> str:
        if action in DIAGNOSTICS_ACTIONS:
            return log_progress.after_diagnostics_answer(LogState(state), read_text(answer.get("fileName"))[0]).value
        return log_progress.after_log_answer(LogState(state), read_text(answer.get("status"))[0]).value

    def cancels_older(self, action: str, answer: Mapping[str, Any] | None) -> bool:
        if action in DIAGNOSTICS_ACTIONS:
            return True  # its reports name no request: there can be one at a time
        return answer is not None and answer.get("status") == "AcceptedCanceled"
