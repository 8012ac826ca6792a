"""`tail` and `events`: what happens, as it happens."""

import argparse
from datetime import timedelta
from uuid import uuid4

from contracts.client import CommandClient
from contracts.events import EVENTS
from ocppctl.arguments import positive, span
from ocppctl.exits import Exit
from ocppctl.frame_lines import Conversation
from ocppctl.output import Output, shown
from ocppctl.parsing import Subcommands

_WHOLE_LOG = timedelta(days=30)


def add_to(commands: Subcommands) -> None:
    tail = commands.add("tail", "every OCPP frame of a charge point (→ from it, ← to it)", _tail, stream=True)
    tail.add_argument("identity", metavar="IDENTITY")
    tail.add_argument("--since", type=span, metavar="SPAN", help="from so long ago on, such as 2h (else from now on)")
    tail.add_argument("--no-follow", action="store_true", help="end with the log; without --since all that is in it")
    events = commands.add("events", "domain events as they come", _events, stream=True)
    events.add_argument("--type", action="append", default=[], choices=sorted(EVENTS), metavar="TYPE", dest="types",
                        help="only these: " + ", ".join(sorted(EVENTS)))  # fmt: skip
    events.add_argument("--identity", action="append", default=[], metavar="IDENTITY", dest="identities")
    events.add_argument("--queue", metavar="NAME", help="a durable queue, which keeps what comes while nobody listens")
    events.add_argument("--count", type=positive, metavar="N", help="end after so many")


async def _tail(client: CommandClient, chosen: argparse.Namespace, output: Output) -> Exit:
    follow = not chosen.no_follow
    since = chosen.since or (None if follow else _WHOLE_LOG)
    conversation = Conversation()
    async for frame in client.frames(since=since, identity=chosen.identity, follow=follow):
        line = conversation.read(frame)
        output.line(line.as_json(), line.as_text())
    return Exit.DONE


async def _events(client: CommandClient, chosen: argparse.Namespace, output: Output) -> Exit:
    stream = client.events(
        chosen.queue or f"ocpp.ctl.events.{uuid4().hex[:12]}",
        types=chosen.types,
        identities=chosen.identities,
        temporary=chosen.queue is None,
    )
    left = chosen.count
    async for event in stream:
        when = event.occurred_at.isoformat(timespec="milliseconds")
        text = f"{when} {event.type} {event.identity} #{event.seq} {shown(event.data)}"
        output.line(event.model_dump(mode="json", exclude={"v", "t"}), text)
        left = left and left - 1
        if left == 0:
            await stream.finish()
            break
    return Exit.DONE
