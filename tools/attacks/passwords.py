"""Attacks on passwords."""

import asyncio

from loadtest.crowd.socket import basic
from tools.attacks.outcome import ADMITTED, BUSY, CUT, Attack, Outcome
from tools.attacks.pace import swarm
from tools.attacks.target import ATTACKERS, HONEST_ADDRESSES, Effort, Target
from tools.attacks.wire import Refused, ask, drop, request, session

_PER_S = 200
_TRIES = 10


async def _guess(target: Target, identity: str, source: str, number: int) -> str:
    shown = basic(identity, b"guess-%016d" % number)
    return await ask(target, source, request(f"{target.path}/{identity}", authorization=shown))


async def one_identity(target: Target, effort: Effort) -> Outcome:
    """Guesses at one connected charge point, which must come back with the right password meanwhile and afterwards."""
    outcome = Outcome(f"{effort.of(_PER_S)} guesses/s at one identity from 4 addresses")
    source = HONEST_ADDRESSES[-1]
    _, connected = await session(target, target.victim, source)

    async def one(number: int) -> str:
        return await _guess(target, target.victim, ATTACKERS[number % 4], number)

    await swarm(outcome, one, per_s=effort.of(_PER_S), seconds=effort.seconds, most=100_000)
    if connected.is_closing():
        outcome.mistakes.append("the guesses ended the charge point's own connection")
    drop(connected)
    end = await _come_back(target, source)
    if end != ADMITTED:
        outcome.mistakes.append(f"the charge point could not come back: {end}")
    return outcome


async def _come_back(target: Target, source: str) -> str:
    """Reconnect as a charge point does: again when the gateway is busy, for a while."""
    end = ""
    for _ in range(_TRIES):
        try:
            _, writer = await session(target, target.victim, source)
        except Refused as refused:
            end = refused.end
        else:
            drop(writer)
            return ADMITTED
        if end not in BUSY | CUT:
            break
        await asyncio.sleep(1.0)
    return end


async def many_identities(target: Target, effort: Effort) -> Outcome:
    """A guess at each charge point in turn; none may lose its connection."""
    outcome = Outcome(f"{effort.of(_PER_S)} guesses/s across {len(target.honest)} identities from 4 addresses")

    async def one(number: int) -> str:
        identity = target.honest[number % len(target.honest)]
        return await _guess(target, identity, ATTACKERS[number % 4], number)

    await swarm(outcome, one, per_s=effort.of(_PER_S), seconds=effort.seconds, most=100_000)
    return outcome


_WRONG = frozenset({"HTTP 401"})
ATTACKS = (
    Attack("wrong passwords, one identity", one_identity, _WRONG, BUSY | CUT),
    Attack("wrong passwords, many identities", many_identities, _WRONG, BUSY | CUT),
)
