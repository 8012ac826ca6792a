"""`ocpp-gateway`: run the gateway, check its configuration, declare the broker's topology, or grant its users."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version

from contracts.broker.endpoint import BrokerEndpoint
from contracts.errors import BrokerRefusedError, ContractError
from contracts.process import logs, running
from contracts.process import settings as process_settings
from contracts.topology import FRAME_LOG_TOPOLOGY, TOPOLOGY
from contracts.tracing.starting import started
from gateway import allocator, granting
from gateway.settings import GatewaySettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the command; returns the exit code (2: bad settings)."""
    parser = argparse.ArgumentParser(prog="ocpp-gateway", description="Relays OCPP between charge points and RabbitMQ.")
    parser.add_argument("--version", action="version", version=f"ocpp-gateway {version('ocpp-gateway')}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("run", help="serve charge points (the default)")
    commands.add_parser("check-config", help="say what is wrong with the settings, all at once; list them when fine")
    commands.add_parser("declare", help="declare the broker's topology, and its policies with AMQP_MANAGEMENT_URL")
    granting.add_arguments(commands.add_parser("grant", help="give each kind of process a user with least permissions"))
    chosen = parser.parse_args(arguments)
    work: dict[str | None, Callable[[], int]] = {
        "check-config": lambda: process_settings.check_config(GatewaySettings),
        "declare": _declare,
        "grant": lambda: granting.run(chosen, process_settings.load(GatewaySettings)),
    }
    return work.get(chosen.command, _run)()


def _run() -> int:
    from gateway.app import serve

    settings = process_settings.load(GatewaySettings)
    allocator.set_up(allocator.glibc())
    logs.configure(settings, "ocpp-gateway")
    tracing = started(settings, "ocpp-gateway", settings.gateway_id)
    return running.run(lambda stop: serve(settings, stop, tracing), "ocpp-gateway", tracing)


def _declare() -> int:
    from contracts.broker.declare import declare, put_policies

    settings = process_settings.load(GatewaySettings)
    management = settings.amqp_management_url
    amqp_url = settings.amqp_url.get_secret_value()

    async def work() -> str | None:
        await declare(amqp_url, TOPOLOGY, settings.amqp_files)
        try:
            await declare(amqp_url, FRAME_LOG_TOPOLOGY, settings.amqp_files)
        except BrokerRefusedError as error:  # nothing else hangs on it
            return str(error)
        finally:
            await policies()
        return None

    async def policies() -> None:
        if management is not None:
            vhost = BrokerEndpoint.parse(amqp_url).vhost
            await put_policies(management.get_secret_value(), vhost, TOPOLOGY.policies)

    try:
        streams = asyncio.run(work())
    except ContractError as error:
        print(f"ocpp-gateway: {error}", file=sys.stderr)
        return 1
    counts = f"{len(TOPOLOGY.exchanges)} exchanges, {len(TOPOLOGY.queues)} queues, {len(TOPOLOGY.bindings)} bindings"
    print(f"declared {counts}")
    print("the frame log has its stream" if streams is None else f"the frame log has no stream: {streams}")
    print("AMQP_MANAGEMENT_URL is not set: policies were left alone" if management is None else "set the policies")
    return 0
