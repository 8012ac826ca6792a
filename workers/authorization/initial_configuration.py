"""Initial configuration: values that a charge point is told once it is accepted, such as its largest power."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import orjson

from contracts.envelope import OutcomeEnvelope, OutcomeKind
from contracts.versions import Version
from workers.authorization.boot_decision import matches
from workers.runtime.calls import Effect, IncomingCall
from workers.runtime.context import ServiceContext
from workers.runtime.reading import read_list, read_object
from workers.store import configuration
from workers.store.configuration import Push, Wanted
from workers.store.engine import StoreTransaction

# The charge point has understood: asking again would bring the same answer.
_FINAL = frozenset({"Accepted", "RebootRequired"})


def to_push(wanted: Sequence[Wanted], pushed: Mapping[str, Push], facts: Mapping[str, str | None]) -> dict[str, str]:
    """Key and value of what this charge point still needs; of several patterns the longest decides."""
    values = {
        want.key: want.value
        for want in wanted
        if matches(want.vendor_pattern, facts.get("vendor")) and matches(want.model_pattern, facts.get("model"))
    }
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


async def configure_accepted(call: IncomingCall, facts: Mapping[str, str | None], store: StoreTransaction) -> None:
    """Have what is missing pushed after the commit; a push that the charge point accepted is not repeated."""
    family = "2.x" if call.version.is_2x else "1.6"
    wanted = await configuration.wanted(store, family)
    if not wanted:
        return
    values = to_push(wanted, await configuration.pushes(store, call.identity), facts)
    if values:
        await configuration.request(store, call.identity, values, call.handled_at)
        store.after_commit(_push(call.identity, call.version, values))


def _push(identity: str, version: Version, values: dict[str, str]) -> Effect:
    async def push(context: ServiceContext) -> None:
        for key, value in values.items():  # one after the other: a charge point takes one Call at a time
            action, payload = request_of(version, key, value)
            deadline = context.now() + timedelta(seconds=context.settings.command_timeout_seconds)
            outcome = await context.commander.send(identity, action, payload, deadline)
            status, detail = result_of(version, outcome)
            async with context.store.transaction() as transaction:
                await configuration.finish(transaction, identity, Push(key, value, status), detail, context.now())

    return push
