"""The series that a scrape of the system can bring."""

import importlib
from functools import cache

from prometheus_client import REGISTRY

OURS = ("gateway.metrics", "workers.metrics", "contracts.broker.metrics", "contracts.process.metrics")
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
"""What the names of its series end in after the name of a family, as the client for Python has it."""

RABBITMQ = frozenset(
    {
        "rabbitmq_alarms_free_disk_space_watermark",
        "rabbitmq_alarms_memory_used_watermark",
        "rabbitmq_channels",
        "rabbitmq_connections",
        "rabbitmq_detailed_queue_consumers",
        "rabbitmq_detailed_queue_messages_ready",
        "rabbitmq_detailed_queue_messages_unacked",
        "rabbitmq_disk_space_available_bytes",
        "rabbitmq_global_messages_acknowledged_total",
        "rabbitmq_global_messages_confirmed_total",
        "rabbitmq_global_messages_delivered_total",
        "rabbitmq_global_messages_received_total",
        "rabbitmq_process_resident_memory_bytes",
        "rabbitmq_resident_memory_limit_bytes",
    }
)
"""Those that we read, of RabbitMQ 3.10 to 4.x; `test_scraping` finds them at a real broker."""

ANYONES = frozenset({"up", "process_cpu_seconds_total", "process_resident_memory_bytes"})
"""Prometheus' own, and those of its client for Python."""


@cache
def known() -> frozenset[str]:
    """All names."""
    for module in OURS:
        importlib.import_module(module)
    ours = {
        f"{family.name}{suffix}"
        for family in REGISTRY.collect()
        if family.name.startswith("ocpp_")
        for suffix in SUFFIXES[family.type]
    }
    return frozenset(ours | RABBITMQ | ANYONES)
