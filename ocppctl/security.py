"""`security`: what a charge point must show to be let in. A password is read from a file or standard input only."""

import argparse
import sys
from pathlib import Path

from contracts.client import CommandClient
from contracts.operator import Operation
from ocppctl.exits import Exit
from ocppctl.output import Output
from ocppctl.parsing import Subcommands
from ocppctl.records import Records

_PROFILES = (0, 1, 2, 3)
_POLICIES = ("off", "verify", "require")


def add_to(commands: Subcommands) -> None:
    security = commands.group("security", "what a charge point must show to be let in")
    show = security.add("show", "its profile and keys, without any secret", _ask, operation=Operation.SECURITY)
    rotate = security.add(
        "rotate-key", "give it a new password through the protocol", _ask, operation=Operation.ROTATE_KEY
    )
    settings = security.add("set", "change what is on record of it", _ask, operation=Operation.SET_SECURITY)
    settings.add_argument("--profile", type=int, choices=_PROFILES, help="in force at once; here alone it is lowered")
    settings.add_argument(
        "--certificate-name", metavar="NAME", help="what its certificate is issued to; '' for its identity"
    )
    settings.add_argument("--message-policy", choices=_POLICIES, help="what becomes of its signed messages")
    settings.add_argument(
        "--add-message-key", dest="add_message_keys", action="append", type=_text_of, metavar="FILE",
        help="a certificate or public key (PEM) that its messages are verified with",
    )  # fmt: skip
    settings.add_argument(
        "--remove-message-key", dest="remove_message_keys", action="append", metavar="THUMBPRINT", help="see show"
    )
    key = security.add(
        "set-key", "put a password in force that is entered at the charge point by hand", _ask,
        operation=Operation.SET_KEY,
    )  # fmt: skip
    given = key.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--password-file", dest="password", type=_password_of, metavar="FILE", help="- for standard input"
    )
    given.add_argument("--generate", action="store_true", help="a random one, which is shown once")
    raised = security.add(
        "raise-profile", "ask it for a higher security profile", _ask, operation=Operation.RAISE_PROFILE
    )
    raised.add_argument(
        "--no-send", dest="send", action="store_false", default=None, help="note it only: it is told in another way"
    )
    for parser in (show, rotate, settings, key, raised):
        parser.add_argument("identity", metavar="IDENTITY")
    raised.add_argument("profile", type=int, choices=_PROFILES[1:])


_FIELDS = (
    "identity", "profile", "certificate_name", "message_policy", "add_message_keys", "remove_message_keys", "password",
    "send",
)  # fmt: skip


async def _ask(client: CommandClient, chosen: argparse.Namespace, output: Output) -> Exit:
    arguments = {name: getattr(chosen, name, None) for name in _FIELDS}
    return await Records(client, chosen, output).one(chosen.operation, arguments)


def _password_of(name: str) -> str:
    """The first line of it."""
    return _text_of(name).partition("\n")[0].removesuffix("\r")


def _text_of(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot read {name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise argparse.ArgumentTypeError(f"{name} holds no UTF-8 text") from None
