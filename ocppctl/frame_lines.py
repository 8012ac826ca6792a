"""OCPP-J frames as lines for a person: a reply is shown with the action of its Call. Pure."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from contracts.frame_log import Direction, LoggedFrame

_MOST_CALLS = 1000
_KINDS = {2: "call", 3: "result", 4: "error", 5: "result_error", 6: "send"}
_OTHER = {Direction.IN: Direction.OUT, Direction.OUT: Direction.IN}
_ARROWS = {Direction.IN: "→", Direction.OUT: "←"}


@dataclass(frozen=True, slots=True)
class FrameLine:
    """A frame taken apart; `kind` is `unreadable` for what is no OCPP-J, and `content` its text then."""

    frame: LoggedFrame
    kind: str
    action: str = ""
    unique_id: str = ""
    content: Any = None
    error_code: str = ""
    description: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "at": self._at.isoformat(timespec="milliseconds"),
            "identity": self.frame.identity,
            "session": self.frame.session,
            "direction": self.frame.direction,
            "kind": self.kind,
            "action": self.action or None,
            "unique_id": self.unique_id or None,
            "error_code": self.error_code or None,
            "description": self.description or None,
            "payload": self.content,
        }

    def as_text(self) -> str:
        """Time, arrow (→ from the charge point), action, what it is unless a Call, content."""
        content = self.content if isinstance(self.content, str) else orjson.dumps(self.content).decode()
        kind = "" if self.kind == "call" else self.kind
        words = (self.action, kind, self.error_code, self.description and repr(self.description), content)
        when = self._at.strftime("%Y-%m-%d %H:%M:%S.") + f"{self._at.microsecond // 1000:03d}"
        return " ".join((when, _ARROWS[self.frame.direction], *(word for word in words if word)))

    @property
    def _at(self) -> datetime:
        return datetime.fromtimestamp(self.frame.at_ms / 1000, UTC)


class Conversation:
    """Remembers Calls until they are answered, a bounded number of them."""

    def __init__(self) -> None:
        self._actions: OrderedDict[tuple[str, str, Direction, str], str] = OrderedDict()

    def read(self, frame: LoggedFrame) -> FrameLine:
        """The frame as a line."""
        try:
            message = orjson.loads(frame.frame)
            kind, unique_id, *rest = message
            name = _KINDS[kind]
            orjson.dumps([[message]])  # it reads deeper than it writes
        except (ValueError, TypeError, KeyError):
            return FrameLine(frame, "unreadable", content=frame.frame.decode("utf-8", "replace"))
        unique_id = str(unique_id)
        if name in {"call", "send"}:
            action = str(rest[0]) if rest else ""
            if name == "call":
                self._remember((frame.identity, frame.session, frame.direction, unique_id), action)
            return FrameLine(frame, name, action, unique_id, rest[1] if len(rest) > 1 else None)
        action = self._actions.pop((frame.identity, frame.session, _OTHER[frame.direction], unique_id), "")
        if name == "result":
            return FrameLine(frame, name, action, unique_id, rest[0] if rest else None)
        code, description, details = (*rest, "", "", None)[:3]
        return FrameLine(frame, name, action, unique_id, details, str(code), str(description))

    def _remember(self, key: tuple[str, str, Direction, str], action: str) -> None:
        self._actions[key] = action
        if len(self._actions) > _MOST_CALLS:
            self._actions.popitem(last=False)
