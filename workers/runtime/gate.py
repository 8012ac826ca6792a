"""The registration gate: may this charge point be heard? And its newest session, noted on the way."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from contracts.actions import TRANSACTION_ACTIONS
from workers.runtime.calls import IncomingCall
from workers.store import presence, registration
from workers.store.engine import StoreTransaction
from workers.store.presence import Place


def closed_reason(action: str, registered: str | None) -> str | None:
    """Why a Call is refused with SecurityError, or None to let it in (1.6 errata 3.10; 2.x B02.FR.09, B03.FR.07).

    Boots are how a charge point gets accepted, and billing data is stored whatever its sender's standing.
    """
    if registered == "accepted" or action == "BootNotification" or action in TRANSACTION_ACTIONS:
        return None
    return "charge point is not on record" if registered is None else f"registration is {registered}"


class RegistrationGate:
    """Looks the senders of a batch up, all at once.

    Each time anew: once a boot is answered Rejected or Pending, every service must refuse what follows, and only the
    store knows of it in time.
    """

    def __init__(self, *, create_unknown: bool) -> None:
        self._create_unknown = create_unknown

    async def admit(
        self, transaction: StoreTransaction, calls: Sequence[IncomingCall], now: datetime
    ) -> Mapping[str, str]:
        """Registration by identity, unknown ones absent; creates them under the `open` policy; notes new sessions."""
        newest = _newest(calls)
        known = await registration.standings(transaction, newest)
        missing = [identity for identity in newest if identity not in known]
        if missing and self._create_unknown:
            await registration.create(transaction, missing, now)
            # Another process may have created one meanwhile, and even rejected it.
            known.update(await registration.standings(transaction, missing))
        await presence.note(transaction, _moved(newest.values(), known), now)
        return {identity: standing.registration for identity, standing in known.items()}


def _newest(calls: Sequence[IncomingCall]) -> dict[str, IncomingCall]:
    newest: dict[str, IncomingCall] = {}
    for call in calls:
        known = newest.get(call.identity)
        if known is None or call.epoch >= known.epoch:
            newest[call.identity] = call
    return newest


def _moved(calls: Iterable[IncomingCall], known: Mapping[str, registration.Standing]) -> list[Place]:
    moved = []
    for call in calls:
        standing = known.get(call.identity)
        if standing is None:
            continue
        place = standing.place
        if place is None or (call.epoch >= place.epoch and call.session != place.session):
            moved.append(Place(call.identity, call.gateway, call.session, call.epoch, call.version.value))
    return moved
