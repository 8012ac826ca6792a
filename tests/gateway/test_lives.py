"""Random lives of connections, at the edge as a whole: whatever happens in whatever order, nothing is left behind."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.envelope import AdmissionQuery, AdmissionVerdict
from contracts.topology import ADMISSIONS
from gateway.connection import Connection
from gateway.edge import Edge
from gateway.introduction import Introduction
from gateway.listener import Listener
from gateway.peer import Peer
from tests.gateway import conftest
from tests.gateway.memory_link import MemoryLink
from tests.gateway.station import client_frame, upgrade_request

PROXY = "192.0.2.1"
CALL = client_frame(1, b'[2,"1","Heartbeat",{}]')
SENT = [
    upgrade_request("/ocpp/CP-1"),
    upgrade_request("/ocpp/CP-2").replace(b"Host: x", b"Host: x\r\nX-Forwarded-For: 203.0.113.9"),
    upgrade_request("/ocpp/CP-1") + CALL * 3,
    upgrade_request()[:50],
    upgrade_request("/elsewhere"),
    b"nonsense",
    CALL,
    CALL * 400,
    client_frame(9, b""),
    client_frame(1, b"[2,", fin=False),
    client_frame(2, b"x"),
    client_frame(8, b"\x03\xe8"),
]

CHOSEN = conftest.settings(
    authentication="on",
    open_handshakes=5,
    open_handshakes_per_address=3,
    handshakes_per_second=5,
    handshakes_per_second_per_address=2,
    reconnects_per_minute=2,
    flap_delay_seconds=1,
    frames_per_second=5,
    throttled_close_seconds=2,
    proxies=PROXY,
)


class Now:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def wall_ms(self, at: float) -> int:
        return int(at * 1000)

    def synchronise(self) -> None:
        """It is right."""


class Wire:
    """A transport that goes nowhere. What is aborted or closed is lost a little later, as with a real one."""

    def __init__(self) -> None:
        self.ended = False

    def abort(self) -> None:
        self.ended = True

    close = write_eof = abort

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, _name: str) -> None:
        return None

    def set_write_buffer_limits(self, **_limits: int) -> None: ...
    def write(self, _data: bytes) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Life:
    """An edge, its worker, and the sockets that it has at the moment."""

    def __init__(self) -> None:
        self.clock = Now()
        self.edge = Edge(CHOSEN, self.clock)  # type: ignore[arg-type]
        self.link = MemoryLink(listener=Listener(self.edge))
        self.introduction = Introduction(CHOSEN.known_proxies, lambda: None)
        self.sockets: list[tuple[Connection, Any]] = []
        self.answered = 0

    def step(self, what: str, which: int) -> None:
        if what == "arrive":
            address = ("203.0.113.1", "203.0.113.2", PROXY)[which % 3]
            if self.edge.arrived(address):
                connection, wire = Connection(self.edge, Peer(address), self.introduction), Wire()
                connection.connection_made(wire)  # type: ignore[arg-type]
                self.sockets.append((connection, wire))
        elif what == "send" and self.sockets:
            connection, wire = self.sockets[which % len(self.sockets)]
            if not wire.ended:
                connection.data_received(SENT[which // 7 % len(SENT)])
        elif what == "lose" and self.sockets:
            self.sockets.pop(which % len(self.sockets))[0].connection_lost(None)
        elif what == "answer":
            self.answer(known=which % 3 > 0)
        elif what == "tick":
            self.clock.time += which / 100
            self.edge.tick()
        elif what == "change":
            self.link.change((None, "CP-1", "CP-2")[which % 3])
        elif what == "link":
            (self.link.go_down if self.link.up else self.link.come_up)()

    def answer(self, *, known: bool) -> None:
        for message in self.link.published[self.answered :]:
            if message.exchange == ADMISSIONS and message.reply_to:
                self.link.reply(message, AdmissionVerdict(AdmissionQuery.decode(message.body).identity, known=known))
        self.answered = len(self.link.published)

    def check(self) -> None:
        edge = self.edge
        assert edge.sockets == len(self.sockets)
        assert len(edge._crowd) == sum(edge._crowd._by_source.values()) == len(list(edge._handshakes))
        assert len(edge.admitting._waiting) == len(edge.admitting._flapping)

    def end(self) -> None:
        while self.sockets:
            self.step("lose", 0)
        self.clock.time += 100
        self.edge.tick()
        edge = self.edge
        assert (edge.sockets, len(edge.registry), len(edge._pacing)) == (0, 0, 0)
        assert (edge._crowd._by_source, edge._waiting_for_room, edge.admitting._waiting) == ({}, {}, {})
        assert edge.admitting.admissions._pending == {}


WHAT = st.sampled_from(["arrive", "send", "send", "send", "lose", "answer", "answer", "tick", "change", "link"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(WHAT, st.integers(0, 500)), max_size=60))
def test_whatever_happens_in_whatever_order_nothing_is_left_behind(steps: list[tuple[str, int]]) -> None:
    async def live() -> None:
        life = Life()
        for what, which in steps:
            life.step(what, which)
            await asyncio.sleep(0)
            for connection, wire in tuple(life.sockets):
                if wire.ended:
                    life.sockets.remove((connection, wire))
                    connection.connection_lost(None)
            life.check()
        life.end()

    asyncio.run(live())
