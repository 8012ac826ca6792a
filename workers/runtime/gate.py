"""The registration gate: may this charge point be heard?"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from contracts.actions import TRANSACTION_ACTIONS
from workers.runtime.calls import IncomingCall
from workers.store import registration
from workers.store.engine import StoreTransaction


def closed_reason(action: str, registered: str | None) -> str | None:
    """Why a Call is refused with SecurityError, or None to let it in (1.6 errata 3.10; 2.x B02.FR.09, B03.FR.07).

    Boots are how a charge point gets accepted, and billing data is stored whatever its sender's standing. A pending
    one's SignCertificate is let in: its handler knows whether it was asked for, which B02.FR.09 exempts.
    """
    if registered == "pending" and action == "SignCertificate":
        return None
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
        """Registration by identity, unknown ones absent; creates them under the `open` policy."""
        senders = {call.identity for call in calls}
        known = await registration.standings(transaction, senders)
        missing = senders - known.keys()
        if missing and self._create_unknown:
            await registration.create(transaction, missing, now)
            # Another process may have created one meanwhile, and even rejected it.
            known.update(await registration.standings(transaction, missing))
        return known
