"""Our commands' own parsers, to ask whether a command line that a page or a file names would be understood."""

import argparse
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn
from unittest.mock import patch

import gateway.cli
import loadtest.cli
import ocppctl.cli
import tools.load.__main__ as load_tool
import workers.cli

COMMANDS: dict[str, Callable[[list[str]], Any]] = {
    "ocpp-gateway": gateway.cli.main,
    "ocpp-worker": workers.cli.main,
    "ocpp-loadtest": loadtest.cli.main,
    "ocppctl": ocppctl.cli.main,
    "make load": load_tool.main,
}


class NotUnderstoodError(Exception):
    """The command has no such command line; the text is what its parser said."""


class _Parsed(BaseException):
    """Ends a command between its parser and its work; no `except Exception` of a command catches it."""


def understand(command: str, words: list[str]) -> argparse.Namespace:
    """What the command's own parser makes of these words; raises NotUnderstoodError. The command does not run."""
    parsed: list[argparse.Namespace] = []
    parse = argparse.ArgumentParser.parse_args

    def parse_only(parser: argparse.ArgumentParser, *arguments: Any) -> NoReturn:
        parsed.append(parse(parser, *arguments))
        raise _Parsed

    def refuse(parser: argparse.ArgumentParser, message: str) -> NoReturn:
        raise NotUnderstoodError(f"{parser.prog}: {message}")

    with (
        patch.object(argparse.ArgumentParser, "parse_args", parse_only),
        patch.object(argparse.ArgumentParser, "error", refuse),
        suppress(_Parsed),
    ):
        COMMANDS[command](words)
    return parsed[0]
