"""What a connection asks of the edge behind it."""

from typing import TYPE_CHECKING, Protocol

from gateway.handshake import Refused
from gateway.peer import Request
from gateway.session import Session

if TYPE_CHECKING:
    from gateway.connection import Connection


class Front(Protocol):
    """Implemented by the edge; called from the event loop, so that nothing here may wait."""

    max_frame_bytes: int
    write_buffer_bytes: int
    compression: bool

    @property
    def accepting(self) -> bool: ...
    def arrived(self, address: str) -> bool:
        """A TCP connection was accepted, nothing of it is read yet; False: end it at once, without a word."""
        ...

    def settled(self, address: str) -> None:
        """The opening of one that `arrived` (True) is over, once for each: it is a session, refused, or gone."""
        ...

    def connected(self, connection: "Connection") -> None:
        """One that `arrived` is through with TLS, if any: its request is awaited."""
        ...

    def requested(self, connection: "Connection", request: Request) -> None: ...
    def refused(self, refused: Refused) -> dict[str, str]: ...
    def frame_read(self, connection: "Connection", size: int, *, whole: bool) -> None:
        """A frame of whatever kind came, of so many bytes; not `whole`: a piece of a message, and not its last."""
        ...

    def text_received(self, connection: "Connection", session: Session, frame: bytes) -> None: ...
    def wait_for_room(self, connection: "Connection") -> None: ...
    def closing(self, connection: "Connection") -> None: ...
    def lost(self, connection: "Connection") -> None: ...
