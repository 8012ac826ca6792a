"""`sessions`, `charge-point`, `token`, `transactions`: what is on record, and changes of it."""

import argparse
from collections.abc import Sequence
from typing import Any

from contracts.client import CommandClient
from contracts.operator import Operation, OperatorAnswer
from ocppctl import exits
from ocppctl.arguments import moment
from ocppctl.exits import Exit
from ocppctl.output import Output, complain
from ocppctl.parsing import Subcommands, limit_of

SESSION_COLUMNS = ("identity", "gateway", "ocpp_version", "remote", "opened_at", "session")
TOKEN_COLUMNS = ("id_token", "status", "expires_at", "group_token", "concurrent")
TRANSACTION_COLUMNS = (
    "id", "transaction_id", "identity", "state", "id_token", "started_at", "ended_at", "energy_wh", "stop_reason",
    "flags",
)  # fmt: skip


class Records:
    """Asks the commands service, and shows what it answers."""

    def __init__(self, client: CommandClient, chosen: argparse.Namespace, output: Output) -> None:
        self._client, self._timeout_s, self._output = client, chosen.timeout, output

    async def all(self, operation: Operation, arguments: dict[str, Any], columns: Sequence[str]) -> Exit:
        """A list."""
        answer = await self._ask(operation, arguments)
        if answer.ok:
            self._output.items(answer.items, columns)
        return exits.of_answer(answer)

    async def one(self, operation: Operation, arguments: dict[str, Any]) -> Exit:
        """One item; of a change, what is on record now, where the service tells."""
        answer = await self._ask(operation, arguments)
        if answer.ok and (answer.items or self._output.as_json):
            self._output.item(answer.items[0] if answer.items else {})
        return exits.of_answer(answer)

    async def _ask(self, operation: Operation, arguments: dict[str, Any]) -> OperatorAnswer:
        given = {name: value for name, value in arguments.items() if value is not None}
        answer = await self._client.ask(operation, given, timeout_s=self._timeout_s)
        if not answer.ok:
            complain(f"{answer.error or 'refused'}: {answer.description}" if answer.description else str(answer.error))
        return answer


def add_to(commands: Subcommands) -> None:
    sessions = commands.add("sessions", "the charge points that are connected, and where", _sessions)
    sessions.add_argument("--gateway", metavar="ID")
    sessions.add_argument("--identity", metavar="IDENTITY")
    limit_of(sessions)

    charge_point = commands.group("charge-point", "a charge point on record")
    show = charge_point.add("show", "what is known of it", _change, operation=Operation.CHARGE_POINT)
    add = charge_point.add(
        "add", "put it on record, so that it may connect", _change, operation=Operation.ADD_CHARGE_POINT
    )
    add.add_argument("--registration", choices=("accepted", "pending", "rejected"))
    block = charge_point.add("block", "let it boot no more", _change, operation=Operation.BLOCK_CHARGE_POINT)
    for parser in (show, add, block):
        parser.add_argument("identity", metavar="IDENTITY")
        parser.set_defaults(fields=("identity", "registration"))

    token = commands.group("token", "tokens that may charge")
    listed = token.add("list", "the tokens on record", _tokens)
    listed.add_argument("id_token", metavar="TOKEN", nargs="?")
    limit_of(listed)
    add_token = token.add("add", "put a token on record, or change it", _change, operation=Operation.ADD_TOKEN)
    add_token.add_argument("--status", metavar="STATUS", help="such as Accepted (the default) or Blocked")
    add_token.add_argument("--expires-at", type=moment, metavar="TIME", help="ISO 8601, or a span from now such as 30d")
    add_token.add_argument("--group", metavar="TOKEN", help="the group that it belongs to")
    add_token.add_argument("--concurrent", action="store_true", default=None, help="may charge twice at a time")
    block_token = token.add("block", "let a token charge no more", _change, operation=Operation.BLOCK_TOKEN)
    for parser in (add_token, block_token):
        parser.add_argument("id_token", metavar="TOKEN")
        parser.set_defaults(fields=("id_token", "status", "expires_at", "group", "concurrent"))

    transactions = commands.add("transactions", "the transactions on record", _transactions)
    transactions.add_argument("--identity", metavar="IDENTITY")
    transactions.add_argument("--active", action="store_true", help="only those that have not ended")
    limit_of(transactions)


async def _sessions(client: CommandClient, chosen: argparse.Namespace, output: Output) -> Exit:
    arguments = {"gateway": chosen.gateway, "identity": chosen.identity, "limit": chosen.limit}
    return await Records(client, chosen, output).all(Operation.SESSIONS, arguments, SESSION_COLUMNS)


async def _tokens(client: CommandClient, chosen: argparse.Namespace, output: Output) -> Exit:
    arguments = {"id_token": chosen.id_token, "limit": chosen.limit}
    return await Records(client, chosen, output).all(Operation.TOKENS, arguments, TOKEN_COLUMNS)


async def _transactions(client: CommandClient, chosen: argparse.Namespace, output: Output) -> Exit:
    arguments = {"identity": chosen.identity, "active": chosen.active or None, "limit": chosen.limit}
    return await Records(client, chosen, output).all(Operation.TRANSACTIONS, arguments, TRANSACTION_COLUMNS)


async def _change(client: CommandClient, chosen: argparse.Namespace, output: Output) -> Exit:
    arguments = {name: getattr(chosen, name, None) for name in chosen.fields}
    return await Records(client, chosen, output).one(chosen.operation, arguments)
