"""A system that runs elsewhere, as the arguments describe it."""

import argparse
import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from loadtest import scraping
from loadtest.parsing import websocket_url
from loadtest.scenarios.system import Fault, Part, SystemFailed, Usage

_CPU, _RSS = "process_cpu_seconds_total", "process_resident_memory_bytes"
_FAULT_S = 600.0
_SERVICES = ("authorization", "metering", "firmware", "diagnostics", "commands")


class Given:
    """What is known of it: endpoints, metrics of its processes, and commands that do it harm."""

    def __init__(
        self,
        urls: Sequence[str],
        parts: Sequence[Part] = (),
        *,
        amqp_url: str | None = None,
        faults: Mapping[Fault, Sequence[str]] | None = None,
    ) -> None:
        self.urls = tuple(url for url in urls if url.startswith("ws:"))
        self.secure_urls = tuple(url for url in urls if url.startswith("wss:"))
        self.ca_file: str | None = None
        self.amqp_url = amqp_url
        self.parts = tuple(parts)
        self._commands = dict(faults or {})

    @property
    def faults(self) -> frozenset[Fault]:
        """Those with a command."""
        return frozenset(self._commands)

    def usage(self) -> dict[str, Usage]:
        """From the metrics that every Prometheus client exposes of its own process."""
        used = {}
        for part in self.parts:
            if part.metrics_url is None:
                continue
            reading = scraping.read(part.metrics_url, (_CPU, _RSS))
            if reading.samples:
                used[part.name] = Usage(reading.total(_CPU), reading.total(_RSS))
        return used

    def inflict(self, fault: Fault) -> None:
        """Run its command to the end."""
        command = self._commands.get(fault)
        if command is None:
            raise SystemFailed(f"no command for {fault}: give --fault {fault}=COMMAND")
        try:
            done = subprocess.run(  # noqa: S603 - no shell, and the words are the operator's
                command, check=False, capture_output=True, text=True, timeout=_FAULT_S, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SystemFailed(f"{fault}: {error}") from None
        if done.returncode:
            raise SystemFailed(f"{fault}: exit code {done.returncode}: {done.stderr.strip()[-500:]}")

    def transactions(self) -> None:
        """Nobody here may look into the store."""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that describe it."""
    add = parser.add_argument_group("system").add_argument
    add("--url", action="append", required=True, type=websocket_url, dest="urls",
        help="an endpoint without identity, as ws://gateway:9310/ocpp; again for each further gateway")  # fmt: skip
    add("--metrics", action="append", default=[], type=_metrics, metavar="KIND=URL",
        help=f"of one process: gateway, {', '.join(_SERVICES)}, broker, store; again for each")  # fmt: skip
    add("--amqp-url", default=os.environ.get("AMQP_URL"), help="the broker, for commands (AMQP_URL)")
    add("--fault", action="append", default=[], type=_fault, metavar="NAME=COMMAND",
        help=f"the command that inflicts it, run without a shell: {', '.join(Fault)}")  # fmt: skip


@contextmanager
def opened(options: argparse.Namespace) -> Iterator[Given]:
    """The system of these arguments."""
    yield Given(options.urls, parts_of(options.metrics), amqp_url=options.amqp_url, faults=dict(options.fault))


def parts_of(metrics: Sequence[tuple[str, str]]) -> list[Part]:
    """A part for each, numbered where there are several of a kind: gateway-0, gateway-1, metering, metering-2."""
    parts: list[Part] = []
    for kind, url in metrics:
        before = sum(part.name.partition("-")[0] == kind for part in parts)
        if kind == "gateway":
            parts.append(Part(f"gateway-{before}", "gateway", url))
        else:
            name = f"{kind}-{before + 1}" if before else kind
            parts.append(Part(name, "worker" if kind in _SERVICES else kind, url))
    return parts


def _metrics(text: str) -> tuple[str, str]:
    kind, _, url = text.partition("=")
    if kind not in {"gateway", "broker", "store", *_SERVICES} or not url.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is not KIND=http://..., with a kind as in the help")
    return kind, url


def _fault(text: str) -> tuple[Fault, list[str]]:
    name, _, command = text.partition("=")
    try:
        fault, words = Fault(name), shlex.split(command)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None
    if not words:
        raise argparse.ArgumentTypeError(f"{text!r} has no command")
    return fault, words
