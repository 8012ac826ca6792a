"""How the command line is read: options that every command has, and commands that have commands."""

import argparse
import os
from collections.abc import Awaitable, Callable
from typing import Any

from contracts.broker import TlsFiles
from contracts.broker.endpoint import CA_VARIABLE, CERT_VARIABLE, KEY_VARIABLE
from contracts.client import CommandClient
from ocppctl.arguments import positive, seconds
from ocppctl.exits import EXPLAINED, Exit
from ocppctl.output import Output

Work = Callable[[CommandClient, argparse.Namespace, Output], Awaitable[Exit]]
"""What a command does once the client is connected."""

DEFAULT_URL = "amqp://guest:guest@127.0.0.1:5672/"
DEFAULT_TIMEOUT_S = 30.0
_TLS_OPTIONS = (
    ("--amqp-ca-file", CA_VARIABLE, "trust roots"),
    ("--amqp-cert-file", CERT_VARIABLE, "our certificate"),
    ("--amqp-key-file", KEY_VARIABLE, "its key"),
)


class Subcommands:
    """Adds commands to a parser, each with the common options."""

    def __init__(self, parser: argparse.ArgumentParser, destination: str) -> None:
        self._parsers = parser.add_subparsers(dest=destination, metavar=destination.upper(), required=True)

    def add(self, name: str, summary: str, work: Work | None, **defaults: Any) -> argparse.ArgumentParser:
        """A command; `defaults` are set in what is parsed."""
        parser = self._parsers.add_parser(
            name,
            help=summary,
            description=summary[:1].upper() + summary[1:] + ".",
            epilog=EXPLAINED,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        common_options(parser, default=argparse.SUPPRESS)
        parser.set_defaults(work=work, **defaults)
        return parser

    def group(self, name: str, summary: str) -> "Subcommands":
        """A command that has commands."""
        return Subcommands(self.add(name, summary, None), "what")


def common_options(parser: argparse.ArgumentParser, default: Any = None) -> None:
    """The options of all commands; they may stand before or after the command."""
    own = default is not argparse.SUPPRESS
    parser.add_argument(
        "--json",
        action="store_true",
        default=False if own else default,
        help="JSON: one document, streams line by line",
    )
    parser.add_argument(
        "--amqp-url",
        metavar="URL",
        default=os.environ.get("AMQP_URL", DEFAULT_URL) if own else default,
        help="the broker; better in AMQP_URL, as others on this machine can see arguments",
    )
    for option, variable, what in _TLS_OPTIONS:
        parser.add_argument(
            option,
            metavar="FILE",
            default=os.environ.get(variable, "") if own else default,
            help=f"{what} for amqps (or {variable})",
        )
    parser.add_argument(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        default=DEFAULT_TIMEOUT_S if own else default,
        help="how long to wait for an answer (30)",
    )
    parser.add_argument(
        "--verbose", action="store_true", default=False if own else default, help="warnings of the broker link too"
    )


def tls_files(chosen: argparse.Namespace) -> TlsFiles:
    """What the options for amqps say."""
    return TlsFiles(chosen.amqp_ca_file, chosen.amqp_cert_file, chosen.amqp_key_file)


def limit_of(parser: argparse.ArgumentParser) -> None:
    """The option that bounds a list."""
    parser.add_argument("--limit", type=positive, metavar="N", help="at most so many")
