"""`meter-key`: the public keys that signed meter values are verified with."""

import argparse
import sys
from pathlib import Path

from contracts.client import CommandClient
from contracts.operator import Operation
from ocppctl.exits import Exit
from ocppctl.output import Output
from ocppctl.parsing import Subcommands
from ocppctl.records import Records

COLUMNS = ("fingerprint", "meter_serial", "added_at", "public_key")


def add_to(commands: Subcommands) -> None:
    keys = commands.group("meter-key", "the public keys that signed meter values of a charge point are verified with")
    listed = keys.add("list", "those on record", _list)
    add = keys.add("add", "put one on record, or change which meter it is for", _add)
    add.add_argument("--key", type=_key, required=True, metavar="KEY", help="PEM or hexadecimal; @file reads a file")
    add.add_argument("--serial", metavar="SERIAL", help="the one meter it is for; any of the charge point without")
    remove = keys.add("remove", "forget one", _remove)
    remove.add_argument("--fingerprint", required=True, metavar="SHA256")
    for parser in (listed, add, remove):
        parser.add_argument("identity", metavar="IDENTITY")


def _key(text: str) -> str:
    try:
        given = sys.stdin.read() if text == "-" else Path(text[1:]).read_text() if text[:1] == "@" else text
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(f"cannot read {text[1:]}: {type(error).__name__}") from None
    return given.strip()


async def _list(client: CommandClient, chosen: argparse.Namespace, output: Output) -> Exit:
    return await Records(client, chosen, output).all(Operation.METER_KEYS, {"identity": chosen.identity}, COLUMNS)


async def _add(client: CommandClient, chosen: argparse.Namespace, output: Output) -> Exit:
    arguments = {"identity": chosen.identity, "public_key": chosen.key, "meter_serial": chosen.serial}
    return await Records(client, chosen, output).all(Operation.ADD_METER_KEY, arguments, COLUMNS)


async def _remove(client: CommandClient, chosen: argparse.Namespace, output: Output) -> Exit:
    arguments = {"identity": chosen.identity, "remove": chosen.fingerprint}
    return await Records(client, chosen, output).all(Operation.ADD_METER_KEY, arguments, COLUMNS)
