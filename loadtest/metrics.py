"""What Prometheus sees of a fleet."""

from collections.abc import Callable
from http.server import HTTPServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

# From 1 ms to 30 s, about a third apart, so that p50 and p99 can be read within that.
_BUCKETS = (
    0.001, 0.0015, 0.002, 0.003, 0.004, 0.006, 0.008, 0.011, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.11, 0.15,
    0.2, 0.3, 0.4, 0.6, 0.8, 1.1, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 15.0, 20.0, 30.0,
)  # fmt: skip
STATES = ("offline", "pending", "available", "charging", "faulted")
TRANSACTION_RESULTS = ("completed", "refused", "lost")


class Metrics:
    """Observes every charge point of a fleet; `frames`, `completed` and `states` are plain numbers for the terminal."""

    def __init__(self, on_completed: Callable[[], None] | None = None) -> None:
        self.registry = registry = CollectorRegistry()
        self.frames = {"in": 0, "out": 0}
        self.completed = 0
        self.states = dict.fromkeys(STATES, 0)
        self._on_completed = on_completed
        points = Gauge("ocpp_sim_charge_points", "Simulated charge points by state.", ["state"], registry=registry)
        self._points = {state: points.labels(state) for state in STATES}
        frames = Counter("ocpp_sim_frames_total", "OCPP frames by direction.", ["direction"], registry=registry)
        self._frames = {direction: frames.labels(direction) for direction in self.frames}
        self._roundtrips = Histogram(
            "ocpp_sim_roundtrip_seconds",
            "From a charge point's Call to its CALLRESULT.",
            ["action"],
            buckets=_BUCKETS,
            registry=registry,
        )
        transactions = Counter(
            "ocpp_sim_transactions_total", "Transactions by how they ended.", ["result"], registry=registry
        )
        self._transactions = {result: transactions.labels(result) for result in TRANSACTION_RESULTS}
        self._energy = Counter("ocpp_sim_energy_wh_total", "Energy of completed transactions.", registry=registry)
        self._call_errors = Counter("ocpp_sim_call_errors_total", "CALLERRORs by code.", ["code"], registry=registry)
        self._timeouts = Counter("ocpp_sim_call_timeouts_total", "Calls without any answer in time.", registry=registry)
        self._connect_failures = Counter(
            "ocpp_sim_connect_failures_total", "Connections that did not come about.", ["reason"], registry=registry
        )
        self._reconnects = Counter("ocpp_sim_reconnects_total", "Connections after the first.", registry=registry)
        self._protocol_errors = Counter(
            "ocpp_sim_protocol_errors_total", "Breaches of the specification by the server.", registry=registry
        )

    def serve(self, port: int, address: str = "127.0.0.1") -> tuple[HTTPServer, int]:
        """Serve `/metrics` from a thread (port 0: a free one); gives the server, for the caller to close, and port."""
        server, _thread = start_http_server(port, addr=address, registry=self.registry)
        return server, server.server_port

    def frame(self, identity: str, direction: str, text: str | bytes) -> None:
        del identity, text
        self.frames[direction] += 1
        self._frames[direction].inc()

    def roundtrip(self, action: str, seconds: float) -> None:
        self._roundtrips.labels(action).observe(seconds)

    def call_error(self, code: str) -> None:
        self._call_errors.labels(code[:40]).inc()

    def call_timeout(self) -> None:
        self._timeouts.inc()

    def connect_failed(self, identity: str, reason: str, again_in_s: float) -> None:
        del identity, again_in_s
        self._connect_failures.labels(reason).inc()

    def reconnect(self) -> None:
        self._reconnects.inc()

    def protocol_error(self, identity: str, note: str) -> None:
        del identity, note
        self._protocol_errors.inc()

    def transaction(self, result: str, energy_wh: int) -> None:
        self._transactions[result].inc()
        if result == "completed":
            self._energy.inc(energy_wh)
            self.completed += 1
            if self._on_completed is not None:
                self._on_completed()

    def state(self, before: str | None, after: str | None) -> None:
        if before is not None:
            self.states[before] -= 1
            self._points[before].dec()
        if after is not None:
            self.states[after] += 1
            self._points[after].inc()
