"""A backend that commands charge points at a given rate, and notes how each command ends."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import count
from time import monotonic
from typing import Any

from contracts.client import CommandClient
from contracts.envelope import OutcomeKind
from contracts.errors import ContractError
from loadtest.roundtrips import RoundTrips

ACTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("TriggerMessage", {"requestedMessage": "Heartbeat"}),
    ("GetLocalListVersion", {}),
    ("ClearCache", {}),
)
"""Commands of the same words in OCPP 1.6 and 2.0.1, each of which a charge point obeys."""
NOT_SENT = "not sent"
_STRIDE = 7919
"""Prime: neighbours in number are not neighbours in time."""


class Backend:
    """An open loop: each command has its own time, and its latency counts from there. `run` lasts until cancelled."""

    def __init__(self, client: CommandClient, identities: Sequence[str], rate: float, timeout_s: float) -> None:
        self.ended: Counter[str] = Counter()
        """By outcome, or `not sent` where there was no connection to the broker."""
        self.issued = 0
        self.latency = RoundTrips()
        """Of those that the charge point answered."""
        self.second = RoundTrips()
        """The same since this was last replaced."""
        self.late = RoundTrips()
        """How long after their times we came to them."""
        self._client = client
        self._identities = identities
        self._rate = rate
        self._timeout_s = timeout_s
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> int:
        """Commands without an outcome yet."""
        return len(self._under_way)

    async def run(self) -> None:
        """Command one after the other, each at its time, whatever has become of those before."""
        began = monotonic()
        for number in count():
            due_s = began + number / self._rate
            if (early_s := due_s - monotonic()) > 0:
                await asyncio.sleep(early_s)
            elif number % 100 == 0:
                await asyncio.sleep(0)  # however late we are, outcomes have to come in
            self.late.add(max(0.0, monotonic() - due_s))
            self.issued += 1
            task = asyncio.create_task(self._command(number, due_s))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def finish(self) -> None:
        """Wait for the outcomes of all that are under way; each comes within its time."""
        await asyncio.gather(*self._under_way)

    async def abandon(self) -> None:
        """Wait for nothing more."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _command(self, number: int, due_s: float) -> None:
        action, payload = ACTIONS[number % len(ACTIONS)]
        identity = self._identities[number * _STRIDE % len(self._identities)]
        try:
            outcome = await self._client.call(identity, action, payload, timeout_s=self._timeout_s)
        except ContractError:
            self.ended[NOT_SENT] += 1
            return
        self.ended[outcome.outcome.value] += 1
        if outcome.outcome in (OutcomeKind.RESULT, OutcomeKind.CALL_ERROR):
            seconds = monotonic() - due_s
            self.latency.add(seconds)
            self.second.add(seconds)
