"""`ocpp-gateway`: run the gateway, or check its configuration."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

from contracts.process import logs, running
from contracts.process import settings as process_settings
from gateway.settings import GatewaySettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the command; returns the exit code (2: bad settings)."""
    parser = argparse.ArgumentParser(prog="ocpp-gateway", description="Relays OCPP between charge points and RabbitMQ.")
    parser.add_argument("--version", action="version", version=f"ocpp-gateway {version('ocpp-gateway')}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("run", help="serve charge points (the default)")
    commands.add_parser("check-config", help="say what is wrong with the settings, all at once; list them when fine")
    chosen = parser.parse_args(arguments)
    return _check_config() if chosen.command == "check-config" else _run()


def _run() -> int:
    from gateway.app import serve

    settings = process_settings.load(GatewaySettings)
    logs.configure(settings, "ocpp-gateway")
    return running.run(lambda stop: serve(settings, stop))


def _check_config() -> int:
    settings, problems = process_settings.check(GatewaySettings)
    for problem in problems:
        print(problem, file=sys.stderr)
    if settings is None:
        return process_settings.EXIT_BAD_SETTINGS
    for variable, default, description in process_settings.variables(GatewaySettings):
        print(f"{variable:<45} {default:<40} {description}")
    return 0
