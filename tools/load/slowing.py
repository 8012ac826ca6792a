"""Workers that are made slow, and well again."""

import signal
import threading
from collections.abc import Sequence
from contextlib import suppress

from tools.nodes import NodeFailed
from tools.stack import OwnProcess

_TURN_S = 0.5
_AWAKE = 0.1
"""A slowed worker runs for this share of each turn, and stands still for the rest."""


class Slowing:
    """Lets workers run for a part of the time only, from a thread of its own, until `end`."""

    def __init__(self, workers: Sequence[OwnProcess]) -> None:
        self._workers = workers
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slow-worker", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Let them run freely again."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                self._signal(signal.SIGSTOP)
                self._over.wait(_TURN_S * (1 - _AWAKE))
                self._signal(signal.SIGCONT)
                self._over.wait(_TURN_S * _AWAKE)
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            with suppress(NodeFailed):  # ended meanwhile
                worker.signal(number)
