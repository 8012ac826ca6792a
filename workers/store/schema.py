"""All tables of the store in one metadata: what migrations bring about."""

from workers.store import (
    command_tables,
    device_model,
    faults,
    job_tables,
    leases,
    outbox,
    security_events,
    security_tables,
    tables,
)

TABLE_MODULES = (
    tables,
    job_tables,
    device_model,
    faults,
    security_events,
    outbox,
    leases,
    command_tables,
    security_tables,
)
metadata = tables.metadata
