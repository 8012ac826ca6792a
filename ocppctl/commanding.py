"""`send`, `track`, `command`, `commands`: have charge points do something, and see what came of it."""

import argparse

from contracts.client import CommandClient
from contracts.commands import CommandOutcome
from contracts.operator import Operation
from ocppctl import exits
from ocppctl.arguments import payload, span
from ocppctl.exits import Exit
from ocppctl.output import Output
from ocppctl.parsing import Subcommands, limit_of
from ocppctl.records import Records

COMMAND_COLUMNS = (
    "command_id",
    "identity",
    "action",
    "state",
    "outcome",
    "reason",
    "attempts",
    "created_at",
    "ended_at",
)


def add_to(commands: Subcommands) -> None:
    send = commands.add("send", "have a charge point do something, and wait for its answer", _send)
    _request(send)
    send.add_argument("--session", help="only this session of it may receive the command")
    track = commands.add("track", "have it done by a deadline, even if the charge point is offline now", _track)
    _request(track)
    track.add_argument("--deadline", type=span, required=True, metavar="SPAN", help="such as 2h; at most 30d")
    command = commands.add("command", "what became of a tracked command", _command)
    command.add_argument("id", metavar="ID")
    listed = commands.add("commands", "the tracked commands on record", _commands)
    listed.add_argument("--identity", metavar="IDENTITY")
    listed.add_argument("--open", action="store_true", help="only those that have not ended")
    limit_of(listed)


def _request(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("identity", metavar="IDENTITY")
    parser.add_argument("action", metavar="ACTION", help="such as Reset")
    parser.add_argument(
        "payload", metavar="PAYLOAD", nargs="?", type=payload, default={}, help="JSON; - from standard input, @file"
    )
    parser.add_argument("--id", metavar="ID", help="the command's id; the same id again is the same command")


async def _send(client: CommandClient, chosen: argparse.Namespace, output: Output) -> Exit:
    outcome = await client.call(
        chosen.identity,
        chosen.action,
        chosen.payload,
        timeout_s=chosen.timeout,
        command_id=chosen.id,
        session=chosen.session,
    )
    return _ended(outcome, output)


async def _track(client: CommandClient, chosen: argparse.Namespace, output: Output) -> Exit:
    answer = await client.track(
        chosen.identity,
        chosen.action,
        chosen.payload,
        deadline=chosen.deadline,
        command_id=chosen.id,
        timeout_s=chosen.timeout,
    )
    if isinstance(answer, CommandOutcome):
        return _ended(answer, output)
    output.item(answer.model_dump(mode="json", exclude={"v", "t"}))
    return Exit.DONE if answer.outcome is None else exits.of_outcome(answer.outcome)


async def _command(client: CommandClient, chosen: argparse.Namespace, output: Output) -> Exit:
    return await Records(client, chosen, output).one(Operation.COMMAND, {"command_id": chosen.id})


async def _commands(client: CommandClient, chosen: argparse.Namespace, output: Output) -> Exit:
    arguments = {"identity": chosen.identity, "open": chosen.open or None, "limit": chosen.limit}
    return await Records(client, chosen, output).all(Operation.COMMANDS, arguments, COMMAND_COLUMNS)


def _ended(outcome: CommandOutcome, output: Output) -> Exit:
    output.item(outcome.model_dump(mode="json", exclude={"v", "t"}))
    return exits.of_outcome(outcome)
