"""Telling gateways that what they know of a charge point is out of date."""

import structlog

from contracts import topology
from contracts.envelope import AdmissionChanged
from contracts.errors import LinkDownError
from workers.runtime.context import ServiceContext
from workers.store.engine import StoreTransaction

_log = structlog.get_logger()


def tell_after_commit(transaction: StoreTransaction, identity: str) -> None:
    """Have gateways forget the charge point's record once it has changed."""

    async def tell(context: ServiceContext) -> None:
        await tell_gateways(context, identity)

    transaction.after_commit(tell)


async def tell_gateways(context: ServiceContext, identity: str) -> bool:
    """Whether the broker has it; if not, gateways go by the old record until it is too old for them."""
    try:
        told = await context.publisher.publish(
            topology.ADMISSION_CHANGED, "", AdmissionChanged(identity).encode(), persistent=False
        )
    except LinkDownError:
        told = False
    if not told:
        _log.warning("admission.change_untold", identity=identity)
    return told
