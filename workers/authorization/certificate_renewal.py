"""Renewal: charge points whose certificates expire soon are asked, day after day, to request the next ones."""

import asyncio
from datetime import timedelta

import structlog

from workers import metrics
from workers.runtime.context import ServiceContext
from workers.store import certificate_orders as orders
from workers.store import certificates
from workers.store.certificates import RENEW

LOOK_EVERY_S = 60.0
ASKED_AGAIN_AFTER = timedelta(hours=24)
"""A charge point that was asked has its own ideas of when; the certificate is valid for weeks yet."""

MOST_AT_ONCE = 50
"""Per look: a fleet that was set up in one day is not to be renewed in one minute."""

_log = structlog.get_logger()


async def renew_before_expiry(context: ServiceContext) -> None:
    """Look for certificates that expire soon, until cancelled; background work. Raises StoreUnavailableError."""
    while True:
        await ask_for_renewals(context)
        await asyncio.sleep(LOOK_EVERY_S)


async def ask_for_renewals(context: ServiceContext) -> int:
    """Ask those that are connected and were not asked of late; how many were."""
    now = context.now()
    until = now + timedelta(days=context.settings.certificate_renew_days)
    asked_before = now - ASKED_AGAIN_AFTER
    asked = 0
    async with context.store.transaction() as transaction:
        metrics.certificates_expiring.set(await certificates.count_expiring(transaction, until))
        for serial, identity in await certificates.expiring(transaction, until, asked_before, MOST_AT_ONCE):
            if await certificates.note_renewal(transaction, serial, asked_before, now):
                await orders.place(transaction, identity, RENEW, now, due_at=now)
                asked += 1
    if asked:
        _log.info("certificate.renewals_asked", count=asked)
    return asked
