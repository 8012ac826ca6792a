"""`ocpp-gateway grant`: a user with the least permissions for each kind of process."""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from contracts.broker.endpoint import BrokerEndpoint
from contracts.errors import ContractError
from contracts.permissions import BrokerUser
from gateway.settings import GatewaySettings

EXIT_REFUSED = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("users", nargs="*", metavar="USER", help=f"of {', '.join(BrokerUser)}; all without")
    parser.add_argument("--passwords", type=Path, metavar="FILE", help='TOML: lines such as gateway = "password"')
    parser.add_argument("--generate", action="store_true", help="give new users random passwords, and print them once")
    parser.add_argument(
        "--print", action="store_true", dest="shown", help="print definitions to import; change nothing"
    )
    parser.add_argument("--prefix", default="ocpp-", help="before each user's name on the broker (ocpp-)")


def run(chosen: argparse.Namespace, settings: GatewaySettings) -> int:
    """The exit code."""
    from contracts.broker import grant  # slow to import, and only this needs it

    vhost = BrokerEndpoint.parse(settings.amqp_url.get_secret_value()).vhost
    try:
        users = [BrokerUser(name) for name in chosen.users] or list(BrokerUser)
        passwords = {} if chosen.passwords is None else grant.read_passwords(chosen.passwords)
    except ValueError as error:
        print(f"ocpp-gateway: {error}", file=sys.stderr)
        return EXIT_REFUSED
    if chosen.shown:
        print(json.dumps(grant.definitions(users, passwords, vhost=vhost, prefix=chosen.prefix), indent=2))
        return 0
    if settings.amqp_management_url is None:
        print("ocpp-gateway: grant needs AMQP_MANAGEMENT_URL, or --print", file=sys.stderr)
        return EXIT_REFUSED
    url = settings.amqp_management_url.get_secret_value()
    work = grant.grant(
        url,
        users,
        passwords,
        vhost=vhost,
        prefix=chosen.prefix,
        generate=chosen.generate,
        files=settings.amqp_files,
    )
    try:
        made = asyncio.run(work)
    except (ContractError, ValueError) as error:
        print(f"ocpp-gateway: {error}", file=sys.stderr)
        return 1
    for user, password in made.items():
        print(f'{user} = "{password}"')
    print(f"granted {len(users)} users their permissions on vhost {vhost}", file=sys.stderr)
    return 0
