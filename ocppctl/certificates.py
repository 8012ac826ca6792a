"""`certificate`: what charge points have, and what they are to do about it."""

import argparse
import sys
from pathlib import Path
from typing import Any

from contracts.client import CommandClient
from contracts.operator import Operation
from ocppctl.exits import Exit
from ocppctl.output import Output
from ocppctl.parsing import Subcommands, limit_of
from ocppctl.records import Records

COLUMNS = ("record", "type", "serial", "state", "detail", "at", "until")
_LONGEST = 100_000


def add_to(commands: Subcommands) -> None:
    group = commands.group("certificate", "certificates of a charge point")
    listed = group.add("list", "what was issued, requested, reported as installed, and asked", _list)
    renew = group.add("renew", "have it request its next certificate", _one, operation=Operation.RENEW_CERTIFICATE)
    install = group.add("install", "have it install a root certificate", _one, operation=Operation.INSTALL_CERTIFICATE)
    refresh = group.add(
        "refresh", "ask it which certificates it has installed", _one, operation=Operation.REFRESH_CERTIFICATES
    )
    delete = group.add(
        "delete", "have it delete an installed certificate", _one, operation=Operation.DELETE_CERTIFICATE
    )
    for parser in (listed, renew, install, refresh, delete):
        parser.add_argument("identity", metavar="IDENTITY")
        parser.set_defaults(fields=("identity",))
    limit_of(listed)
    install.add_argument("certificate", type=_pem, metavar="FILE", help="the certificate as PEM; - reads it")
    install.add_argument("--type", required=True, metavar="TYPE", help="such as ManufacturerRootCertificate")
    install.set_defaults(fields=("identity", "type", "certificate"))
    delete.add_argument("serial_number", metavar="SERIAL", help="as `certificate list` shows what is installed")
    delete.set_defaults(fields=("identity", "serial_number"))


async def _list(client: CommandClient, chosen: argparse.Namespace, output: Output) -> Exit:
    arguments = {"identity": chosen.identity, "limit": chosen.limit}
    return await Records(client, chosen, output).all(Operation.CERTIFICATES, arguments, COLUMNS)


async def _one(client: CommandClient, chosen: argparse.Namespace, output: Output) -> Exit:
    arguments: dict[str, Any] = {name: getattr(chosen, name) for name in chosen.fields}
    return await Records(client, chosen, output).one(chosen.operation, arguments)


def _pem(text: str) -> str:
    try:
        raw = sys.stdin.buffer.read(_LONGEST) if text == "-" else Path(text).read_bytes()[:_LONGEST]
        return raw.decode("ascii")
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot read {text}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise argparse.ArgumentTypeError(f"{text} is not PEM") from None
