"""Where a gateway's own time for a Call goes, stage by stage: `python -m tools.bench.relay_stages`.

Sockets and broker are played in memory, so that neither the kernel nor the event loop is in these figures: the CPU
time of all code from the bytes read to the bytes written, the least of many rounds.
"""

import argparse
import asyncio
import gc
import logging
import sys
from collections.abc import Sequence
from time import process_time_ns
from typing import Any

import structlog
import uvloop

from contracts import schemas
from contracts.broker import codec
from contracts.broker.wire import Wire
from contracts.envelope import ReplyEnvelope
from gateway.app import Gateway
from gateway.connection import Connection
from gateway.introduction import Introduction
from gateway.peer import Peer
from gateway.settings import GatewaySettings
from tools.bench.callers import CALL, REQUEST, masked

SESSIONS = 200
IN_FLIGHT = 20
STAGES = ("Call in, to the outbox", "one write to the broker", "confirm in", "reply in, to the socket", "frame log")
SETTINGS = {
    "monitor_host": "127.0.0.1",
    "authentication": "off",
    "handshakes_per_second": 0,
    "handshakes_per_second_per_address": 0,
    "open_handshakes": 0,
    "open_handshakes_per_address": 0,
    "reconnects_per_minute": 0,
    "frames_per_second": 1e6,
    "bytes_per_second": 1e9,
}
"""Frames and bytes are charged for; the rest would hold up the opening."""


class Transport(asyncio.Transport):
    """Keeps the last thing that was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written = data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def is_closing(self) -> bool:
        return False


class Bench:
    """A gateway with open sessions, and the broker's part of the conversation."""

    def __init__(self, *, frame_log: bool) -> None:
        schemas.compile_all()
        settings = GatewaySettings.model_validate({**SETTINGS, "frame_log": "on" if frame_log else "off"})
        gateway = Gateway(settings)
        self.edge, self._link = gateway.edge, gateway.link
        self._wire = Wire(gateway.link, "bench")
        self._wire.connection_made(Transport())
        gateway.link._wire = self._wire  # noqa: SLF001 - connected, but to nobody
        gateway.link.reply_queue = f"ocpp.gateway.{settings.gateway_id}.0123456789ab"
        self._connections = [self._open(number, settings) for number in range(SESSIONS)]
        self._calls = [masked(CALL % b"BENCH-%05d" % number) for number in range(SESSIONS)]
        self._answer = ReplyEnvelope(payload=b"{}").encode()
        self._tag = 0

    def _open(self, number: int, settings: GatewaySettings) -> Connection:
        connection = Connection(
            self.edge, Peer("127.0.0.1", number), Introduction(settings.known_proxies, lambda: None)
        )
        self.edge.arrived("127.0.0.1")
        connection.connection_made(Transport())
        connection.data_received(REQUEST.format(identity=f"BENCH-{number:05}", subprotocol="ocpp1.6").encode())
        return connection

    async def round(self) -> list[float]:
        """Microseconds of each stage for a Call, one Call of each session."""
        spent = [0] * len(STAGES)
        for begin in range(0, SESSIONS, IN_FLIGHT):
            times = [process_time_ns()]
            for number in range(begin, begin + IN_FLIGHT):
                self._connections[number].data_received(self._calls[number])
            times.append(process_time_ns())
            await asyncio.sleep(0)
            times.append(process_time_ns())
            confirms, replies = self._broker_says()
            begun = process_time_ns()
            self._wire.data_received(confirms)
            confirmed = process_time_ns()
            self._wire.data_received(replies)
            replied = process_time_ns()
            if len(self.edge.relay):
                raise SystemExit("a Call was not answered")
            self.edge.frame_log.flush()
            logged = process_time_ns()
            stages = (
                times[1] - times[0],
                times[2] - times[1],
                confirmed - begun,
                replied - confirmed,
                logged - replied,
            )
            self._take_log()
            spent = [sum(pair) for pair in zip(spent, stages, strict=True)]
        self.edge.tick()
        return [one / SESSIONS / 1000 for one in spent]

    def _take_log(self) -> None:
        """Confirm the frame log's batches: kept, they would be too many to log any more."""
        log = self.edge.frame_log
        for batch in tuple(log._kept.values()):  # noqa: SLF001
            log.confirmed(batch)
        log._unpublished.clear()  # noqa: SLF001

    def _broker_says(self) -> tuple[bytes, bytes]:
        """A confirm and a reply for each Call in the window."""
        window = tuple(self.edge.relay._window)  # noqa: SLF001 - what a broker would have read off the wire
        last = self._link._sequence  # noqa: SLF001
        confirms = b"".join(codec.encode_ack(last - n, multiple=False) for n in reversed(range(len(window))))
        return confirms, b"".join(self._reply(correlation_id) for correlation_id in window)

    def _reply(self, correlation_id: str) -> bytes:
        """A basic.deliver as RabbitMQ writes it: the tail of a publish behind another method."""
        self._tag += 1
        queue = self._link.reply_queue.encode()
        name = bytes((len(queue),)) + queue
        method = b"\x00\x3c\x00\x3c" + name + self._tag.to_bytes(8) + b"\x00\x00" + name
        publish = codec.encode_publish(
            "",
            "",
            self._answer,
            frame_max=codec.FRAME_MAX,
            correlation_id=correlation_id,
            content_type="application/msgpack",
        )
        content = publish[publish.index(codec.FRAME_END + bytes((codec.HEADER, 0, codec.CHANNEL))) + 1 :]
        return codec.encode_frame(codec.METHOD, method) + content


async def measure(rounds: int, *, frame_log: bool) -> list[float]:
    """The least of each stage."""
    bench = Bench(frame_log=frame_log)
    gc.collect()
    gc.freeze()
    seen = [await bench.round() for _ in range(rounds)]
    return [min(one) for one in zip(*seen, strict=True)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.relay_stages", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--frame-log", action="store_true")
    options = parser.parse_args(arguments)
    # at info, as in production: at debug each Call has a line
    structlog.configure(processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    stages = uvloop.run(measure(options.rounds, frame_log=options.frame_log))
    for name, microseconds in zip((*STAGES, "all"), (*stages, sum(stages)), strict=True):
        print(f"{name:24} {microseconds:6.2f} us")
    return 0


def _drop(*_: object) -> Any:
    raise structlog.DropEvent


if __name__ == "__main__":
    sys.exit(main())
