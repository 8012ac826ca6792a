"""Telling gateways that what they know of a charge point is out of date."""

import asyncio

import structlog

from contracts import topology
from contracts.client.linked import Linked
from contracts.envelope import AdmissionChanged
from contracts.errors import LinkDownError
from workers.runtime.context import ServiceContext
from workers.store.engine import StoreTransaction

BROKER_WAIT_S = 2.0
_NO_EXCHANGE = "closed by the broker: 404 "
"""No gateway or worker has ever been at this broker: nobody is there to be told."""

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


async def tell_all_gateways(amqp_url: str) -> str | None:
    """Have gateways forget everybody's record, from a process that has no link of its own; why not, if not."""
    teller = _Teller(amqp_url, name="ocpp-worker provision", connect_timeout_s=BROKER_WAIT_S)
    try:
        await teller.start()
        async with asyncio.timeout(BROKER_WAIT_S):
            return None if await teller.tell() else "the broker refused it"
    except LinkDownError as error:
        return None if _NO_EXCHANGE in str(error) else str(error)
    except TimeoutError:
        return "the broker did not confirm it"
    finally:
        await teller.close()


class _Teller(Linked):
    _answer: asyncio.Future[bool] | None = None

    async def tell(self) -> bool:
        """Publish, and return whether the broker took it; raises LinkDownError."""
        self._answer = asyncio.get_running_loop().create_future()
        self.link.publish(topology.ADMISSION_CHANGED, "", AdmissionChanged().encode())
        return await self._answer

    def gave_up(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LinkDownError(self.refused_for_good or self.why_down))

    def confirmed(self, _token: object) -> None:
        self._settle(taken=True)

    def refused(self, _token: object) -> None:
        self._settle(taken=False)

    def _settle(self, *, taken: bool) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(taken)
