"""Targets for what a peer sends before and within a session."""

from types import ModuleType
from typing import Any, cast

from contracts.versions import Version
from loadtest.crowd.socket import basic
from tools.attacks.wire import CONTINUATION, PING, TEXT, frame, request

_VERSIONS = tuple(Version)
_ENDPOINT = "/ocpp"


def requests() -> list[bytes]:
    return [
        request("/ocpp/CP-1"),
        request("/ocpp/RDAM%20123?a=b", subprotocol="ocpp2.0.1, ocpp1.6", authorization=basic("CP", b"p")),
        b"GET / HTTP/1.1\r\n\r\n",
    ]


def paths() -> list[bytes]:
    return [b"/ocpp/CP-1", b"/ocpp/RDAM%20123", b"/ocpp/%C3%A4", b"/ocpp//x/", b"/ocpp/ws://h/CP"]


def headers() -> list[bytes]:
    fixed = b"\r\n\r\n\x00\r\nQUIT\n"
    four = bytes((192, 0, 2, 1, 127, 0, 0, 1)) + b"\x12\x34\x00\x50"
    return [
        fixed + b"\x20\x00\x00\x00",
        fixed + b"\x21\x11\x00\x0c" + four,
        fixed + b"\x21\x21\x00\x24" + bytes(36),
        fixed + b"\x21\x11\x00\x14" + four + b"\x20\x00\x05\x01\x00\x00\x00\x00",
    ]


def basics() -> list[bytes]:
    return [basic("CP-1", b"secret").encode(), basic("CP", bytes(range(20))).encode(), b"Basic ", b"Bearer x", b"basic"]


def streams() -> list[bytes]:
    call = b'[2,"a","Heartbeat",{}]'
    return [
        b"\x00" + frame(TEXT, call) + frame(PING, b"p"),
        b"\x01" + frame(TEXT, call[:9], fin=False) + frame(CONTINUATION, call[9:]),
        b"\x02" + frame(TEXT, b"\xaa\x56\x4a\xad\x28\x50\xb2\x52\x4a\x2c\x4a\x05\x00", rsv1=True),
    ]


def messages() -> list[bytes]:
    return [
        b'\x00[2,"a","Heartbeat",{}]',
        b'\x01[2,"a","BootNotification",{"reason":"PowerUp","chargingStation":{"model":"m","vendorName":"v"}}]',
        b'\x02[6,"a","NotifyPeriodicEventStream",{}]',
        b'\x00[3,"a",{}]',
        b'\x01[4,"a","InternalError","",{}]',
        b'\x02[5,"a","InternalError","",{}]',
    ]


def _cut(data: bytes) -> list[bytes]:
    """The input in pieces whose size its first byte decides: a parser must not care how bytes arrive."""
    size = (data[0] if data else 0) + 1
    rest = data[1:]
    return [rest[at : at + size] for at in range(0, len(rest), size)]


def opening(module: ModuleType) -> Any:
    from gateway.handshake import Refused

    def attempt(data: bytes) -> None:
        whole, pieces = module.Opening(), module.Opening()
        rest = data[1:]
        at_once = whole.feed(rest)
        assert at_once is None or isinstance(at_once, module.Head | Refused)
        for piece in _cut(data):
            found = pieces.feed(piece)
            if isinstance(found, module.Head):
                assert isinstance(at_once, module.Head)
                assert found.head == at_once.head
                return
            if isinstance(found, Refused):
                # a head that is whole at once is left to the library, which knows what a request is
                assert not isinstance(at_once, module.Head) or not rest.startswith(b"GET ")
                return
        assert at_once is None

    return attempt


def handshake(module: ModuleType) -> Any:
    """The library's reading of a head, then our decision, as a connection does it."""
    from websockets.http11 import Request

    from gateway import frames as framing

    def attempt(data: bytes) -> None:
        protocol = framing.new_protocol(65536)
        protocol.receive_data(data)
        protocol.data_to_send()
        for event in protocol.events_received():
            assert isinstance(event, Request)
            offered = tuple(event.headers.get_all("Sec-WebSocket-Protocol"))
            verdict = module.decide(event.path, offered, _ENDPOINT)
            assert isinstance(verdict, module.Accepted | module.Refused)
            assert isinstance(verdict, module.Accepted) or verdict.status in {400, 404}
            protocol.accept(event)

    return attempt


def identity(module: ModuleType) -> Any:
    def attempt(data: bytes) -> None:
        found = module.from_path(data.decode("utf-8", "surrogateescape"), _ENDPOINT)
        if isinstance(found, str):
            assert 0 < len(found) <= module.MAX_LENGTH
            assert len(module.routing_token(found)) <= module.MAX_TOKEN_LENGTH
            for version in _VERSIONS:
                module.check_version_limits(found, version)
        else:
            assert isinstance(found, module.BadIdentity)

    return attempt


def proxy_protocol(module: ModuleType) -> Any:
    def attempt(data: bytes) -> None:
        fixed, rest = data[: module.FIXED_BYTES], data[module.FIXED_BYTES :]
        size = module.rest_of(fixed)
        if not isinstance(size, module.BadHeader):
            assert 0 <= size <= module.MOST_BYTES
            rest = rest[:size].ljust(size, b"\x00")
        assert isinstance(module.decode(fixed, rest), module.Told | module.BadHeader)

    return attempt


def credentials(module: ModuleType) -> Any:
    def attempt(data: bytes) -> None:
        shown = module.read(data.decode("utf-8", "surrogateescape"))
        assert shown is None or isinstance(shown, module.Shown)
        if shown is not None:
            assert all(isinstance(one, bytes) for one in shown.candidates(hex_literal=True))

    return attempt


def frames(module: ModuleType) -> Any:
    """The library as a connection uses it: plain and with compression, whatever the slices."""
    from websockets.http11 import Request
    from websockets.typing import Subprotocol

    offer = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"

    def attempt(data: bytes) -> None:
        version = _VERSIONS[data[0] % len(_VERSIONS)] if data else _VERSIONS[0]
        protocol = module.new_protocol(65536)
        protocol.available_subprotocols = [Subprotocol(version.subprotocol)]
        protocol.available_extensions = module.DEFLATE if version.is_2x else None
        protocol.receive_data(request("/ocpp/CP", subprotocol=version.subprotocol, extensions=offer))
        response = protocol.accept(cast("Request", protocol.events_received()[0]))
        assert response.status_code == 101
        protocol.send_response(response)
        size = 0
        for piece in _cut(data[1:]):
            protocol.receive_data(piece)
            size += sum(len(event.data) for event in protocol.events_received())
            protocol.data_to_send()
        assert size <= 65536 * (1 + len(data)), "a frame beyond the bound was let through"
        code, _ = module.farewell(protocol)
        assert 1000 <= code < 5000

    return attempt


def ocppj(module: ModuleType) -> Any:
    kinds = (
        module.Call, module.Send, module.CallResult, module.CallError, module.CallResultError, module.BadFrame,
    )  # fmt: skip

    def attempt(data: bytes) -> None:
        version = _VERSIONS[data[0] % len(_VERSIONS)] if data else _VERSIONS[0]
        found = module.decode(data[1:], version)
        assert isinstance(found, kinds)
        if isinstance(found, module.BadFrame) and found.answer is not None:
            # our own answer must be a frame that we could read
            assert isinstance(module.decode(found.answer, version), module.CallError)

    return attempt


def session(module: ModuleType) -> Any:
    def attempt(data: bytes) -> None:
        version = _VERSIONS[data[0] % len(_VERSIONS)] if data else _VERSIONS[0]
        one = module.Session("CP", version, "s", 1, module.SessionRules())
        for effect in one.frame_received(data[1:], 0.0):
            repr(effect)
        one.tick(100.0)
        one.close(101.0)

    return attempt
