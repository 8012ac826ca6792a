"""What the broker link tells Prometheus; a process has one main link, so there are no labels."""

from prometheus_client import Counter, Gauge

LINK_UP = Gauge("ocpp_broker_link_up", "1 while the link to the broker is up.")
CONNECTED = Counter("ocpp_broker_connected_total", "Connections to the broker that came up.")
FAILED = Counter("ocpp_broker_disconnected_total", "Connections, or attempts at one, that ended.")
