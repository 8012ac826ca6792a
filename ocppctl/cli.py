"""`ocppctl`: see what the system knows, have charge points do things, watch events and frames, handle dead letters."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

import structlog

from contracts.broker.endpoint import BrokerEndpoint
from contracts.client import CommandClient
from contracts.errors import BodyError, ContractError, RefusedError
from ocppctl import certificates, commanding, letters, meter_keys, records, security, watching
from ocppctl.exits import EXPLAINED, Exit
from ocppctl.output import Output, complain
from ocppctl.parsing import Subcommands, common_options, tls_files

_CONNECT_TIMEOUT_S = 10.0
SHELLS = ("bash", "zsh", "tcsh")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the command; returns the exit code."""
    parser = build_parser()
    chosen = parser.parse_args(arguments)
    try:
        BrokerEndpoint.parse(chosen.amqp_url)
    except ValueError as error:
        parser.error(str(error))
    if (problem := tls_files(chosen).problem()) is not None:
        parser.error(problem)
    try:
        if chosen.command == "completion":
            return _completion(parser, chosen.shell)
        _quiet(verbose=chosen.verbose or "stream" in chosen)
        return asyncio.run(_work(chosen))
    except KeyboardInterrupt:
        return Exit.DONE if "stream" in chosen else Exit.INTERRUPTED
    except BrokenPipeError:
        # `| head` has read enough; the interpreter must not find at its exit what could not be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except RefusedError as error:
        complain(str(error))
        return Exit.REFUSED
    except BodyError as error:
        complain(str(error))
        return Exit.USAGE
    except ContractError as error:
        complain(str(error))
        return Exit.UNREACHABLE


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="ocppctl",
        description=__doc__.partition(": ")[2].capitalize(),
        epilog=EXPLAINED,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ocppctl {version('ocpp-gateway')}")
    common_options(parser)
    commands = Subcommands(parser, "command")
    for room in (records, security, certificates, meter_keys, commanding, watching, letters):
        room.add_to(commands)
    completion = commands.add("completion", "a script that completes this command line in your shell", None)
    completion.add_argument("shell", choices=SHELLS)
    return parser


async def _work(chosen: argparse.Namespace) -> Exit:
    output = Output(as_json=chosen.json)
    if "letters" in chosen:
        return await letters.handle(chosen, output)
    connect_timeout_s = min(chosen.timeout, _CONNECT_TIMEOUT_S)
    client = CommandClient(
        chosen.amqp_url, name="ocppctl", connect_timeout_s=connect_timeout_s, files=tls_files(chosen)
    )
    async with client:
        code: Exit = await chosen.work(client, chosen, output)
        return code


def _completion(parser: argparse.ArgumentParser, shell: str) -> int:
    import shtab

    print(shtab.complete(parser, shell), flush=True)
    return Exit.DONE


def _quiet(*, verbose: bool) -> None:
    """Standard output is for results; what the broker link says goes to standard error, if anywhere."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if verbose else logging.CRITICAL),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
