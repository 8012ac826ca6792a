"""Which sessions this process holds: by identity (the newest one) and by session id."""

import secrets
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from gateway.session import Session

MOST_EPOCH = 253_402_300_800_000
"""The year 10000: larger ones are nonsense, and would leave no room above them."""


class Holder(Protocol):
    """Whatever carries a session; here a connection."""

    @property
    def session(self) -> Session | None: ...


H = TypeVar("H", bound=Holder)


class Registry(Generic[H]):
    """The newest socket of an identity wins; removal is by session, so a late clean-up never hits the newer one."""

    def __init__(self) -> None:
        self._by_identity: dict[str, H] = {}
        self._by_session: dict[str, H] = {}
        self.last_epoch = 0
        """The largest that was given or heard."""

    def __len__(self) -> int:
        return len(self._by_session)

    def __iter__(self) -> Iterator[H]:
        """Every session held, also one that is being replaced."""
        return iter(tuple(self._by_session.values()))

    def next_epoch(self, wall_ms: int) -> int:
        """An epoch for a new session: milliseconds since 1970, but always larger than any given or heard before."""
        self.last_epoch = max(wall_ms, self.last_epoch + 1)
        return self.last_epoch

    def hear_epoch(self, epoch: int) -> None:
        """Another gateway has given this epoch; what no clock can show is not followed."""
        if self.last_epoch < epoch <= MOST_EPOCH:
            self.last_epoch = epoch

    @staticmethod
    def new_session_id() -> str:
        return secrets.token_hex(8)

    def add(self, holder: H, session: Session) -> H | None:
        """Enter a session; returns the holder of the identity's older one, which is now to be closed."""
        older = self._by_identity.get(session.identity)
        self._by_identity[session.identity] = holder
        self._by_session[session.session_id] = holder
        return older

    def remove(self, session: Session) -> None:
        """Forget a session; idempotent."""
        holder = self._by_session.pop(session.session_id, None)
        if holder is not None and self._by_identity.get(session.identity) is holder:
            del self._by_identity[session.identity]

    def of_identity(self, identity: str) -> H | None:
        return self._by_identity.get(identity)

    def of_session(self, session_id: str) -> H | None:
        return self._by_session.get(session_id)
