"""The spans of commands in the commands service: from entry to outcome, and each attempt at a tracked one."""

from collections import OrderedDict

from contracts import topology
from contracts.actions import label
from contracts.broker import Delivery
from contracts.tracing import Kind, Span, Tracing
from contracts.tracing.attributes import of_command
from contracts.tracing.recording import Value
from workers.commands.dispatching import Command
from workers.commands.memory import Key

MOST_TAKEN = 1000
"""Recorded tracked commands whose first attempt is still to come; the oldest are forgotten, and begin anew."""


class CommandTraces:
    """Begins spans and gives them to their commands, which end with them. Does nothing while tracing is off."""

    def __init__(self) -> None:
        self.tracing: Tracing | None = None
        """Set before the first delivery."""
        self._taken: OrderedDict[Key, Span] = OrderedDict()

    def taken(self, delivery: Delivery, command: Command, *, tracked: bool) -> None:
        """A command came: its trace is its sender's, or begins here."""
        if self.tracing is None:
            return
        span = self.tracing.processing(delivery, topology.COMMANDS, attributes_of, command, begins=True)
        if span is None:
            return
        command.spans.append(span)
        if tracked:
            self._taken[command.key] = span
            if len(self._taken) > MOST_TAKEN:
                self._taken.popitem(last=False)

    def attempted(self, command: Command) -> None:
        """A tracked command is dispatched: the first time within its sender's trace, if that is still known here."""
        if self.tracing is None:
            return
        name = f"dispatch {label(command.action)}"
        taken = self._taken.pop(command.key, None)
        if taken is not None:
            command.spans.append(taken.child(name, attributes=attributes_of(command)))
        elif (context := self.tracing.begin()) is not None:
            command.spans.append(self.tracing.root(context, name, Kind.INTERNAL, attributes_of(command)))

    def answered(self, delivery: Delivery) -> None:
        """A gateway's word on a command came."""
        if self.tracing is not None and (sent := self.tracing.followed(delivery)) is not None:
            self.tracing.joined(sent, "receive outcome", Kind.CONSUMER, {}).end()


def attributes_of(command: Command) -> dict[str, Value]:
    """What names a command in its trace."""
    return of_command(command.identity, command.command_id, command.action)
