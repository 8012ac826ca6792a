"""What a charge point tells whoever watches the fleet."""

from typing import Protocol


class Observer(Protocol):
    """Receives each thing worth counting as it happens; must not block."""

    def frame(self, identity: str, direction: str, text: str | bytes) -> None: ...
    def roundtrip(self, action: str, seconds: float) -> None: ...
    def call_error(self, code: str) -> None: ...
    def call_timeout(self) -> None: ...
    def connect_failed(self, identity: str, reason: str, again_in_s: float) -> None: ...
    def reconnect(self) -> None: ...
    def protocol_error(self, identity: str, note: str) -> None: ...
    def transaction(self, result: str, energy_wh: int) -> None: ...
    def state(self, before: str | None, after: str | None) -> None: ...


class Unobserved:
    """An observer that looks away."""

    def frame(self, identity: str, direction: str, text: str | bytes) -> None:
        pass

    def roundtrip(self, action: str, seconds: float) -> None:
        pass

    def call_error(self, code: str) -> None:
        pass

    def call_timeout(self) -> None:
        pass

    def connect_failed(self, identity: str, reason: str, again_in_s: float) -> None:
        pass

    def reconnect(self) -> None:
        pass

    def protocol_error(self, identity: str, note: str) -> None:
        pass

    def transaction(self, result: str, energy_wh: int) -> None:
        pass

    def state(self, before: str | None, after: str | None) -> None:
        pass
