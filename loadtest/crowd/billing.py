"""A charge point's billing data: begun, kept and confirmed in order, with the same words however often it is sent."""

from typing import Any

from loadtest.crowd.speech import Charging, Said, Speech, Stamp
from loadtest.crowd.tally import Tally
from loadtest.crowd.timeline import Step


class Message:
    """A Call: what it is about, its words, and the time (monotonic) at which it was to be sent."""

    __slots__ = ("action", "body", "charging", "due_s", "sent", "step", "unnumbered")

    def __init__(
        self, step: Step, said: Said, due_s: float, charging: Charging | None = None, *, unnumbered: bool = False
    ) -> None:
        self.step = step
        self.action, self.body = said
        self.due_s = due_s
        self.charging = charging
        """The transaction that it bills; such a message is repeated until it is confirmed."""
        self.sent = False
        self.unnumbered = unnumbered
        """Its words lack the transaction's number, which the server may not have given yet."""

    def numbered(self) -> bytes:
        """Its words with the transaction's number, for one that lacks it."""
        return self.body if self.charging is None else self.body % self.charging.number


class Billing:
    """The transaction of one charge point, if there is one, and what the server has not confirmed yet."""

    __slots__ = ("_register_wh", "_speech", "_stamp", "_tally", "charging", "held", "owed")

    def __init__(self, speech: Speech, tally: Tally, stamp: Stamp) -> None:
        self.charging: Charging | None = None
        self.held = False
        """The first message was refused, and waits before it is sent again."""
        self.owed: list[Message] = []
        """What is not confirmed; the oldest is always sent first."""
        self._register_wh = 0
        self._speech = speech
        self._tally = tally
        self._stamp = stamp

    def start(self, tag: str, due_s: float, remote_start: int | None = None) -> Charging:
        """Begin a transaction; the one that runs, if there is one."""
        if self.charging is not None:
            return self.charging
        charging = self.charging = Charging(tag, self._register_wh, remote_start)
        self._tally.started += 1
        self._tally.open_transactions += 1
        stamp = self._stamp(charging.moment(int(due_s * 1000)))
        self._owe(Message(Step.START, self._speech.start(charging, stamp), due_s, charging))
        return charging

    def meter(self, tag: str, due_s: float) -> None:
        """Take a sample; without a transaction this begins one."""
        charging = self.start(tag, due_s)
        charging.advance()
        stamp = self._stamp(charging.moment(int(due_s * 1000)))
        said = self._speech.meter(charging, stamp)
        self._owe(Message(Step.METER, said, due_s, charging, unnumbered=self._speech.server_numbers))

    def stop(self, due_s: float, reason: str) -> None:
        """End the transaction, if there is one."""
        charging, self.charging = self.charging, None
        if charging is None:
            return
        charging.advance()
        self._register_wh = charging.register_wh
        self._tally.open_transactions -= 1
        stamp = self._stamp(charging.moment(int(due_s * 1000)))
        said = self._speech.stop(charging, stamp, reason)
        self._owe(Message(Step.STOP, said, due_s, charging, unnumbered=self._speech.server_numbers))

    def confirm(self, message: Message, reply: dict[str, Any]) -> None:
        """The server has taken the oldest message."""
        del self.owed[0]
        self._tally.unconfirmed -= 1
        if message.step is Step.START:
            self._tally.start_confirmed += 1
            number = reply.get("transactionId")
            if message.charging is not None and isinstance(number, int):
                message.charging.number = number
        elif message.step is Step.STOP:
            self._tally.stop_confirmed += 1

    def _owe(self, message: Message) -> None:
        self.owed.append(message)
        self._tally.unconfirmed += 1
        self._tally.waiting += 1
