"""Initial configuration: values that a charge point is told once it is accepted, such as its largest power."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from contracts.commands import Reason
from contracts.envelope import OutcomeEnvelope, OutcomeKind
from contracts.versions import Version
from workers.authorization.boot_decision import matches
from workers.runtime.backoff import pause
from workers.runtime.calls import IncomingCall
from workers.runtime.context import ServiceContext
from workers.runtime.due_work import LEASE_MARGIN, attempt_what_is_due
from workers.runtime.reading import read_list, read_object
from workers.store import configuration
from workers.store.configuration import Push, Wanted
from workers.store.engine import StoreTransaction

# The charge point has understood: asking again would bring the same answer.
_FINAL = frozenset({"Accepted", "RebootRequired"})
HEAD_START = timedelta(seconds=5)
"""The boot's own process pushes at once, after its reply; whoever polls leaves it this time."""

LONGEST_PAUSE_S = 3600.0
GIVE_UP_AFTER = timedelta(days=7)
"""A charge point that was away for so long is asked again when it boots."""


def values_for(wanted: Sequence[Wanted], facts: Mapping[str, str | None]) -> dict[str, str]:
    """Key and value of what charge points like this one are told; of several patterns the longest decides."""
    return {
        want.key: want.value
        for want in wanted
        if matches(want.vendor_pattern, facts.get("vendor")) and matches(want.model_pattern, facts.get("model"))
    }


def to_push(values: Mapping[str, str], pushed: Mapping[str, Push]) -> dict[str, str]:
    """Those that the charge point has not accepted yet."""
    done = {key for key, push in pushed.items() if push.value == values.get(key) and push.status in _FINAL}
    return {key: value for key, value in values.items() if key not in done}


def request_of(version: Version, key: str, value: str) -> tuple[str, dict[str, Any]]:
    """The action and payload that set one value; in 2.x the key is `Component.Variable`."""
    if not version.is_2x:
        return "ChangeConfiguration", {"key": key, "value": value}
    component, _, variable = key.rpartition(".")
    setting = {"attributeValue": value, "component": {"name": component}, "variable": {"name": variable}}
    return "SetVariables", {"setVariableData": [setting]}


def result_of(version: Version, outcome: OutcomeEnvelope) -> tuple[str, str]:
    """Status and detail to store: the charge point's own word, or how the command ended."""
    if outcome.kind is not OutcomeKind.RESULT:
        return outcome.kind.value, outcome.error_code or outcome.description
    payload = read_object(orjson.loads(outcome.payload))
    if not version.is_2x:
        return str(payload.get("status", "unreadable")), ""
    results = read_list(payload.get("setVariableResult"))
    first = read_object(results[0]) if results else {}
    return str(first.get("attributeStatus", "unreadable")), ""


def again_at(outcome: OutcomeEnvelope, push: Push, now: datetime) -> datetime | None:
    """When to push once more: not if the charge point has answered, or never will take it, or has been away too long.

    To tell a charge point the same value twice does no harm.
    """
    answered = outcome.kind in {OutcomeKind.RESULT, OutcomeKind.CALL_ERROR}
    invalid = outcome.kind is OutcomeKind.REJECTED and outcome.error_code != Reason.QUEUE_FULL
    if answered or invalid or now >= push.requested_at + GIVE_UP_AFTER:
        return None
    return now + pause(push.attempts, push.key, most_s=LONGEST_PAUSE_S)


async def configure_accepted(call: IncomingCall, facts: Mapping[str, str | None], store: StoreTransaction) -> None:
    """Have what is missing pushed after the commit; a push that the charge point accepted is not repeated."""
    wanted = values_for(await configuration.wanted(store, _family(call.version)), facts)
    if not wanted:
        return
    values = to_push(wanted, await configuration.pushes(store, call.identity))
    if values:
        due_at = call.handled_at + HEAD_START
        await configuration.request(store, call.identity, values, call.handled_at, due_at=due_at)
        store.after_commit(lambda context: push_values(context, call.identity, due_at))


async def push_due_values(context: ServiceContext) -> None:
    """Push what an ended process or an absent charge point left, until cancelled; background work of the service."""

    async def attempt(context: ServiceContext, identity: str) -> None:
        await push_values(context, identity, context.now())

    await attempt_what_is_due(context, "configuration", configuration.due, attempt)


async def push_values(context: ServiceContext, identity: str, due_by: datetime) -> None:
    """Push a charge point's values that are due by then, one after the other, as long as it can be reached."""
    timeout = timedelta(seconds=context.settings.command_timeout_seconds)
    while True:
        now = context.now()
        async with context.store.transaction() as transaction:
            claim = await configuration.claim(transaction, identity, due_by, until=now + timeout + LEASE_MARGIN)
            if claim is None:
                return
            version = Version(claim.ocpp_version)
            value = values_for(await configuration.wanted(transaction, _family(version)), claim.facts).get(
                claim.push.key
            )
            if value is None:  # no longer wanted, or not in this version
                withdrawn = replace(claim.push, status="withdrawn")
                await configuration.finish(transaction, identity, withdrawn, "", now, again_at=None)
        if value is not None:
            push = replace(claim.push, value=value)  # it may have been corrected since
            if not await _attempt(context, identity, version, push, now + timeout):
                return


async def _attempt(context: ServiceContext, identity: str, version: Version, push: Push, deadline: datetime) -> bool:
    """Push one value and store what came of it; whether the charge point can be reached."""
    action, payload = request_of(version, push.key, push.value)
    outcome = await context.commander.send(identity, action, payload, deadline)
    status, detail = result_of(version, outcome)
    now = context.now()
    again = again_at(outcome, push, now)
    reached = again is None or outcome.kind is OutcomeKind.TIMEOUT
    async with context.store.transaction() as transaction:
        if again is not None and not reached:
            await configuration.postpone(transaction, identity, push.requested_at, again)
        await configuration.finish(transaction, identity, replace(push, status=status), detail, now, again_at=again)
    return reached


def _family(version: Version) -> str:
    return "2.x" if version.is_2x else "1.6"
