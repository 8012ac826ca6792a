"""`dead-letters`: look at what nobody could digest, replay it, or drop it."""

import argparse
from collections.abc import Awaitable, Callable

from contracts.client import DeadLetters, Letter
from contracts.errors import RefusedError
from ocppctl.arguments import positive
from ocppctl.exits import Exit
from ocppctl.output import Output, complain
from ocppctl.parsing import Subcommands, tls_files

LETTER_COLUMNS = ("id", "died_at", "queue", "reason", "routing_key", "identity", "bytes")
_MOST_LISTED = 100


def add_to(commands: Subcommands) -> None:
    letters = commands.group("dead-letters", "deliveries that nobody could digest")
    listed = letters.add("list", "the oldest of them; they stay", None, letters=_list)
    listed.add_argument(
        "--limit", type=positive, metavar="N", default=_MOST_LISTED, help=f"at most so many ({_MOST_LISTED})"
    )
    show = letters.add("show", "all about one; it stays", None, letters=_show)
    show.add_argument("ids", metavar="ID", nargs=1)
    for name, summary, work in (
        ("replay", "publish them again where they were published first", _replay),
        ("drop", "throw them away", _drop),
    ):
        parser = letters.add(name, summary, None, letters=work)
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("ids", metavar="ID", nargs="*", default=[], help="as list shows it, or its beginning")
        which.add_argument("--all", action="store_true", help="all that list would show without a limit")


async def handle(chosen: argparse.Namespace, output: Output) -> Exit:
    """Do what was chosen; raises ContractError."""
    work: Callable[[DeadLetters, argparse.Namespace, Output], Awaitable[Exit]] = chosen.letters
    most = {"most": min(chosen.limit, 65_535)} if "limit" in chosen else {}
    timeout_s, files = min(chosen.timeout, 10.0), tls_files(chosen)
    async with DeadLetters(chosen.amqp_url, connect_timeout_s=timeout_s, files=files, **most) as letters:
        return await work(letters, chosen, output)


async def _list(letters: DeadLetters, _: argparse.Namespace, output: Output) -> Exit:
    output.items([letter.summary() for letter in letters.letters], LETTER_COLUMNS)
    if letters.left_out and not output.as_json:
        complain(f"{letters.left_out} more are not shown")
    return Exit.DONE


async def _show(letters: DeadLetters, chosen: argparse.Namespace, output: Output) -> Exit:
    output.item(letters.find(chosen.ids[0]).description())
    return Exit.DONE


async def _replay(letters: DeadLetters, chosen: argparse.Namespace, output: Output) -> Exit:
    return await _each(letters, chosen, output, letters.replay, "replayed")


async def _drop(letters: DeadLetters, chosen: argparse.Namespace, output: Output) -> Exit:
    return await _each(letters, chosen, output, letters.drop, "dropped")


async def _each(
    letters: DeadLetters,
    chosen: argparse.Namespace,
    output: Output,
    work: Callable[[Letter], Awaitable[None]],
    done: str,
) -> Exit:
    wanted = (
        letters.letters
        if chosen.all
        else list({(letter := letters.find(name)).id: letter for name in chosen.ids}.values())
    )
    results, worst = [], Exit.DONE
    for letter in wanted:
        try:
            await work(letter)
            results.append({"id": letter.id, "result": done})
        except RefusedError as error:
            results.append({"id": letter.id, "result": str(error)})
            worst = Exit.REFUSED
    output.items(results, ("id", "result"))
    return worst
