"""What the broker link tells Prometheus; a process has one main link, so there are no labels."""

from prometheus_client import Counter, Gauge, Histogram

LINK_UP = Gauge("ocpp_broker_link_up", "1 while the link to the broker is up.")
CONNECTED = Counter("ocpp_broker_connected_total", "Connections to the broker that came up.")
BLOCKED = Gauge("ocpp_broker_blocked", "1 while the broker has blocked publishers (memory or disk alarm).")
UNCONFIRMED = Gauge("ocpp_broker_unconfirmed", "Publishes that the broker has not confirmed yet.")
CONFIRM_SECONDS = Histogram(
    "ocpp_broker_confirm_duration_seconds",
    "From a publish to its confirm; one at a time is timed, so it is a sample.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
RETURNED = Counter("ocpp_broker_returned_total", "Publishes that came back, as no queue took them.")
FAILED = Counter("ocpp_broker_disconnected_total", "Connections, or attempts at one, that ended.")
