"""The metering service: its routing table from action to handler, and the partitions of its samples."""

import asyncio

import structlog

from contracts.actions import Service
from contracts.versions import Version
from workers.metering.transactions_2x import Transactions2x, read_ahead
from workers.metering.transactions_16 import Transactions16
from workers.runtime.calls import Handler, ServiceDefinition
from workers.runtime.context import ServiceContext
from workers.settings import WorkerSettings
from workers.store.partitions import make_partitions

PARTITIONS_EVERY_S = 6 * 3600


def service(settings: WorkerSettings) -> ServiceDefinition:
    """The service with these settings; its other actions answer NotSupported."""
    old, new = Transactions16(settings), Transactions2x(settings)
    handlers: dict[tuple[Version, str], Handler] = {
        (Version.V16, "StartTransaction"): old.start,
        (Version.V16, "StopTransaction"): old.stop,
        (Version.V16, "MeterValues"): old.meter_values,
    }
    for version in (Version.V201, Version.V21):
        handlers[version, "TransactionEvent"] = new.transaction_event
        handlers[version, "MeterValues"] = new.meter_values
    return ServiceDefinition(
        service=Service.METERING, handlers=handlers, background=(keep_partitions,), read_ahead=read_ahead
    )


async def keep_partitions(context: ServiceContext) -> None:
    """Make the partitions of the coming months, a few times a day."""
    while True:
        found = await make_partitions(context.store, context.now())
        if found.made or found.impossible:
            structlog.get_logger().info("partitions.made", names=found.made, impossible=found.impossible)
        await asyncio.sleep(PARTITIONS_EVERY_S)
