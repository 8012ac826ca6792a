"""What a service must tell the shared job machinery about its kind of job."""

from collections.abc import Mapping
from typing import Any, Protocol

from contracts.actions import Service
from workers.jobs.progress import Step

PENDING = "Pending"
UNCERTAIN = "Uncertain"
CANCELED = "Canceled"
FAILED = "Failed"
EXPIRED = "Expired"
UNRESOLVED = "Unresolved"
"""The states that the dispatch of a request itself gives; every lifecycle has them."""

UNANSWERED = frozenset({PENDING, UNCERTAIN})


class Lifecycle(Protocol):
    """The pure rules of one kind of job."""

    @property
    def service(self) -> Service:
        """The service that runs it."""

    @property
    def actions(self) -> tuple[str, ...]:
        """The requests to a charge point that begin such a job."""

    @property
    def replaces_unsent(self) -> bool:
        """Whether a new job makes older ones pointless that have not been sent yet."""

    def rivals(self, action: str) -> tuple[str, ...]:
        """The actions whose older jobs a job of this action may take the place of."""

    def is_terminal(self, state: str) -> bool:
        """Whether the job has ended."""

    def after_report(self, state: str, status: str) -> Step[Any]:
        """The state after the charge point reported a status."""

    def after_answer(self, action: str, state: str, answer: Mapping[str, Any]) -> str:
        """The state after the charge point's CALLRESULT."""

    def cancels_older(self, action: str, answer: Mapping[str, Any] | None) -> bool:
        """Whether this job, once under way (with an answer, or None: by its first report), ends older ones."""
