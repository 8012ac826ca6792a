"""The arguments that all scenarios share, and what follows from them."""

import argparse
import os
import shlex
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from loadtest.parsing import DEFAULT_TAGS, file_to_read, identity_template, number, tag_list

_SOCKETS_PER_PROCESS = 15_000
_CALLS_PER_PROCESS = 20_000
_SOCKETS_PER_ADDRESS = 25_000
"""To one endpoint: about so many local ports are free for connections by default."""
_MOST_ADDRESSES = 250
_MOST_SHOWN = 20
"""Of a list in a report's settings."""
_SECRET = ("--password-template",)
_KINDS = ("heartbeat", "meter_values", "mix")


def add_to(parser: argparse.ArgumentParser, defaults: Mapping[str, Any]) -> None:
    """Add them, with what a scenario has for defaults where it differs."""
    crowd = parser.add_argument_group("charge points")
    add = crowd.add_argument
    add("--charge-points", type=number(1, 1_000_000, int), default=1000, metavar="N", help="(default %(default)s)")
    add("--share-201", type=number(0, 1), default=0.0, metavar="SHARE", help="of them speak 2.0.1 (%(default)s)")
    add("--tls", action="store_true", help="connect by wss://")
    add("--ca-file", type=file_to_read, metavar="FILE", help="trust roots for the server's certificate (the system's)")
    add("--password-template", type=identity_template, metavar="TEXT", help='passwords, as "key-{identity}-0123456789"')
    add("--id-tags", type=_tags, default=DEFAULT_TAGS, help="tags the system accepts, with ranges (%(default)s)")
    add("--prefix", default="LOAD", help="of the identities (%(default)s)")
    add("--ramp", type=number(1, 1_000_000), default=1000.0, metavar="RATE", help="connects a second (%(default)s)")
    add("--call-timeout-seconds", type=number(0.1, 3600), default=30.0, metavar="S", help="(%(default)s)")
    add("--heartbeat-seconds", type=number(0, 86_400), default=0.0, metavar="S",
        help="own interval while idle; 0: what the boot answer says")  # fmt: skip
    add("--source-addresses", type=number(0, _MOST_ADDRESSES, int), default=0, metavar="N",
        help="connect from 127.0.0.2 and on, so many; 0: as many as it takes")  # fmt: skip
    add("--processes", type=number(0, 256, int), default=0, metavar="N",
        help="that play them; 0: as many as it takes, and at most one for each core")  # fmt: skip
    add("--seed", type=number(0, 2**53, int), default=1, help="the same seed plays the same days (%(default)s)")
    load = parser.add_argument_group("load")
    add = load.add_argument
    add("--kind", choices=_KINDS, default="mix", help="what is sent (%(default)s)")
    add("--rate", type=number(0.01, 10_000_000), default=1000.0, metavar="R", help="Calls a second (%(default)s)")
    add("--seconds", type=number(1, 30 * 86_400), default=30.0, metavar="S", help="to measure for (%(default)s)")
    add("--warm-up-seconds", type=number(0, 3600), default=3.0, metavar="S", help="under load before (%(default)s)")
    run = parser.add_argument_group("run")
    add = run.add_argument
    add("--limit-p99-ms", type=number(0.1, 3_600_000), default=100.0, metavar="MS", help="(default %(default)s)")
    add("--settle-seconds", type=number(1, 86_400), default=120.0, metavar="S",
        help="for all to be connected and booted (%(default)s)")  # fmt: skip
    add("--finish-seconds", type=number(1, 86_400), default=60.0, metavar="S",
        help="for all transactions to be confirmed at the end (%(default)s)")  # fmt: skip
    add("--anchors", action="store_true", help="measure beside it what others reach on this machine")
    add("--report", type=Path, metavar="FOLDER", help="where the report goes")
    add("--no-plots", dest="plots", action="store_false", help="pages without pictures; `render` draws them later")
    add("--plain", action="store_true", help="plain lines instead of the live view")
    parser.set_defaults(**defaults)


def processes(options: argparse.Namespace, charge_points: int) -> int:
    """How many processes play so many charge points."""
    asked: int = options.processes
    wanted: float = max(charge_points / _SOCKETS_PER_PROCESS, options.rate / _CALLS_PER_PROCESS)
    return asked or max(1, min(ceil(wanted), os.cpu_count() or 1))


def source_addresses(options: argparse.Namespace, urls: Sequence[str], charge_points: int) -> tuple[str, ...]:
    """Local addresses to connect from: one has too few ports for very many connections to one endpoint."""
    count: int = options.source_addresses
    if not count:
        wanted = ceil(charge_points / (_SOCKETS_PER_ADDRESS * max(1, len(urls))))
        if wanted <= 1 or not all(_is_loopback(url) for url in urls):
            return ()
        # A port that is bound to an address before it connects is taken for all endpoints.
        count = min(ceil(charge_points / _SOCKETS_PER_ADDRESS), _MOST_ADDRESSES)
    return tuple(f"127.0.0.{2 + index}" for index in range(count))


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """What of the arguments belongs into a report: no secrets, and nothing but data."""
    hidden = {name.removeprefix("--").replace("-", "_") for name in _SECRET}
    return {
        name: _shown(value)
        for name, value in sorted(vars(options).items())
        if name not in hidden and (value is None or isinstance(value, str | int | float | bool | list | tuple | Path))
    }


def command_line(program: str, argv: Sequence[str]) -> str:
    """The command that gives this run again, without secrets."""
    shown: list[str] = []
    for word in argv:
        name, equals, _ = word.partition("=")
        if shown and shown[-1] in _SECRET:
            shown.append("***")
        elif name in _SECRET and equals:
            shown.append(f"{name}=***")
        else:
            shown.append(without_password(word))
    return f"{program} {shlex.join(shown)}".rstrip()


def without_password(text: str) -> str:
    """A text as it is, but for the password of an address."""
    head, equals, address = text.rpartition("=") if text.startswith("--") else ("", "", text)
    try:
        parts = urlsplit(address)
    except ValueError:
        return text
    if "://" not in address or parts.password is None:
        return text
    where = parts.netloc.rpartition("@")[2]
    return head + equals + urlunsplit(parts._replace(netloc=f"{parts.username}:***@{where}"))


def _tags(text: str) -> tuple[str, ...]:
    try:
        return tag_list(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _shown(value: Any) -> Any:
    if isinstance(value, list | tuple):
        shown = [_shown(one) for one in value]
        return shown if len(shown) <= _MOST_SHOWN else [shown[0], f"... {len(shown) - 2} more", shown[-1]]
    return without_password(str(value)) if isinstance(value, str | Path) else value


def _is_loopback(url: str) -> bool:
    try:
        return ip_address(urlsplit(url).hostname or "").is_loopback
    except ValueError:
        return urlsplit(url).hostname == "localhost"
