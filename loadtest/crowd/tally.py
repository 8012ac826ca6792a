"""What one process of a crowd counts, and the ticks made of it."""

import os
import resource
import time
from collections import Counter, defaultdict
from pathlib import Path

from loadtest.crowd.orders import Tick
from loadtest.roundtrips import bucket_of

_PAGE = resource.getpagesize()
_STATM = Path("/proc/self/statm")


class Tally:
    """Counters of a process since its start, latencies since the last tick."""

    def __init__(self) -> None:
        self.connected = 0
        self.booted = 0
        self.opened = 0
        self.reconnected = 0
        self.outlasted = 0
        self.cut_off = 0
        self.waiting = 0
        self.started = 0
        self.start_confirmed = 0
        self.stop_confirmed = 0
        self.open_transactions = 0
        self.unconfirmed = 0
        self.lag_s = 0.0
        self.refused: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self._latency: defaultdict[str, Counter[int]] = defaultdict(Counter)

    def answered(self, action: str, seconds: float) -> None:
        """A CALLRESULT came so many seconds after its Call was to be sent."""
        self.answers[action] += 1
        self._latency[action][bucket_of(seconds)] += 1

    def tick(self, *, longest_away_s: float, finished: bool) -> Tick:
        """Tell everything, and begin a new histogram."""
        latency = {action: dict(buckets) for action, buckets in self._latency.items()}
        self._latency.clear()
        lag_s, self.lag_s = self.lag_s, 0.0
        return Tick(
            at=time.monotonic(),
            connected=self.connected,
            booted=self.booted,
            opened=self.opened,
            reconnected=self.reconnected,
            refused=dict(self.refused),
            ended=dict(self.ended),
            outlasted=self.outlasted,
            longest_away_s=longest_away_s,
            calls=dict(self.calls),
            answers=dict(self.answers),
            errors=dict(self.errors),
            cut_off=self.cut_off,
            waiting=self.waiting,
            latency=latency,
            commands=dict(self.commands),
            started=self.started,
            start_confirmed=self.start_confirmed,
            stop_confirmed=self.stop_confirmed,
            open_transactions=self.open_transactions,
            unconfirmed=self.unconfirmed,
            finished=finished,
            cpu_s=time.process_time(),
            lag_s=lag_s,
            rss_bytes=rss_bytes(),
        )


def rss_bytes() -> int:
    """What this process holds in memory."""
    return int(_STATM.read_text().split()[1]) * _PAGE if os.access(_STATM, os.R_OK) else 0
