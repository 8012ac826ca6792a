"""Changing a charge point's password or profile through the protocol.

What it is asked to take is on record, and gateways know of it, before the command goes out: however the command ends,
whoever dies on the way, a charge point that took it is let in. The password itself is in memory alone.
"""

from datetime import timedelta

import structlog
from pydantic import SecretStr

from contracts.envelope import OutcomeEnvelope, OutcomeKind
from contracts.versions import Version
from workers.authorization.credential_rules import Delivered, delivered, key_request, profile_request
from workers.runtime.admission_news import tell_gateways
from workers.runtime.context import ServiceContext
from workers.store import credentials

_log = structlog.get_logger()


async def bring_key(context: ServiceContext, identity: str, version: Version, key_id: str, password: SecretStr) -> None:
    """Have the charge point take a key that is on record as pending, and store how that ended."""
    action, payload = key_request(version, password.get_secret_value())
    ended = delivered(version, await _send(context, identity, action, payload))
    async with context.store.transaction() as transaction:
        await credentials.lock(transaction, identity, context.now())
        await credentials.note_delivery(transaction, key_id, ended.word, ended.detail, retire=ended.surely_not)
    _told("key", identity, ended)
    if ended.surely_not:
        await tell_gateways(context, identity)


async def bring_profile(context: ServiceContext, identity: str, version: Version, profile: int) -> None:
    """Have the charge point take a profile that is on record as its target; one that it refuses is none any more."""
    action, payload = profile_request(version, profile)
    ended = delivered(version, await _send(context, identity, action, payload))
    async with context.store.transaction() as transaction:
        await credentials.lock(transaction, identity, context.now())
        known = await credentials.standing(transaction, identity)
        if known.target_profile == profile:  # else it has come with it already, or an operator said otherwise
            changes = {"target_delivery": ended.word} | ({"target_profile": None} if ended.surely_not else {})
            await credentials.save(transaction, identity, changes, context.now())
    _told("profile", identity, ended)
    if ended.surely_not:
        await tell_gateways(context, identity)


async def _send(context: ServiceContext, identity: str, action: str, payload: dict[str, object]) -> OutcomeEnvelope:
    # A gateway that goes by the old record would refuse a charge point that comes back at once with what it took.
    if not await tell_gateways(context, identity):
        return OutcomeEnvelope("", identity, OutcomeKind.OFFLINE, "", error_code="gateways_untold")
    deadline = context.now() + timedelta(seconds=context.settings.command_timeout_seconds)
    return await context.commander.send(identity, action, payload, deadline)


def _told(what: str, identity: str, ended: Delivered) -> None:
    _log.info("credential.brought", what=what, identity=identity, outcome=ended.word, taken=not ended.surely_not)
