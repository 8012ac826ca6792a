"""The registration gate: may this charge point be heard? And its newest session, noted on the way."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.actions import TRANSACTION_ACTIONS
from workers.runtime.calls import IncomingCall
from workers.store import presence, registration
from workers.store.engine import StoreTransaction
from workers.store.presence import Place

MOST_REMEMBERED = 200_000
REMEMBERED_FOR = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class _Memory:
    registration: str
    session: str
    epoch: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Passage:
    """What a batch's lookup found: registration by identity, and what to remember once it is committed."""

    registrations: dict[str, str]
    learned: dict[str, _Memory]


def closed_reason(action: str, registered: str | None) -> str | None:
    """Why a Call is refused with SecurityError, or None to let it in (1.6 errata 3.10; 2.x B02.FR.09, B03.FR.07).

    Boots are how a charge point gets accepted, and billing data is stored whatever its sender's standing.
    """
    if registered == "accepted" or action == "BootNotification" or action in TRANSACTION_ACTIONS:
        return None
    return "charge point is not on record" if registered is None else f"registration is {registered}"


class RegistrationGate:
    """Looks charge points up, a batch at a time, and keeps the accepted ones in mind for a few seconds."""

    def __init__(self, *, create_unknown: bool) -> None:
        self._create_unknown = create_unknown
        self._memory: OrderedDict[str, _Memory] = OrderedDict()

    async def admit(self, transaction: StoreTransaction, calls: Sequence[IncomingCall], now: datetime) -> Passage:
        """Find every sender's standing; create unknown ones under the `open` policy; note new sessions."""
        newest = _newest(calls)
        unsure = [call for call in newest.values() if not self._remembers(call, now)]
        registrations = dict.fromkeys(newest, "accepted")
        if not unsure:
            return Passage(registrations, {})
        known = await registration.standings(transaction, (call.identity for call in unsure))
        missing = [call.identity for call in unsure if call.identity not in known]
        if missing and self._create_unknown:
            await registration.create(transaction, missing, now)
            # Another process may have created one meanwhile, and even rejected it.
            known.update(await registration.standings(transaction, missing))
        await presence.note(transaction, _moved(unsure, known), now)
        learned = {}
        for call in unsure:
            standing = known.get(call.identity)
            if standing is None:
                del registrations[call.identity]
                continue
            registrations[call.identity] = standing.registration
            if standing.registration == "accepted":
                learned[call.identity] = _Memory("accepted", call.session, call.epoch, now + REMEMBERED_FOR)
        return Passage(registrations, learned)

    def remember(self, passage: Passage) -> None:
        """Keep what was learned; to be called after the commit."""
        for identity, memory in passage.learned.items():
            self._memory[identity] = memory
            self._memory.move_to_end(identity)
        while len(self._memory) > MOST_REMEMBERED:
            self._memory.popitem(last=False)

    def forget(self, identities: Iterable[str]) -> None:
        """Look these up again next time: their registration may have changed."""
        for identity in identities:
            self._memory.pop(identity, None)

    def _remembers(self, call: IncomingCall, now: datetime) -> bool:
        memory = self._memory.get(call.identity)
        # A Call of an older session changes nothing: the newer one is on record already.
        return memory is not None and now < memory.until and call.epoch <= memory.epoch


def _newest(calls: Sequence[IncomingCall]) -> dict[str, IncomingCall]:
    newest: dict[str, IncomingCall] = {}
    for call in calls:
        known = newest.get(call.identity)
        if known is None or call.epoch >= known.epoch:
            newest[call.identity] = call
    return newest


def _moved(calls: Iterable[IncomingCall], known: dict[str, registration.Standing]) -> list[Place]:
    moved = []
    for call in calls:
        standing = known.get(call.identity)
        if standing is None:
            continue
        place = standing.place
        if place is None or (call.epoch >= place.epoch and call.session != place.session):
            moved.append(Place(call.identity, call.gateway, call.session, call.epoch, call.version.value))
    return moved
