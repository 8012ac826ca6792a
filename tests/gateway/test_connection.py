"""Sockets: handshakes, frames, keepalive, close, back-pressure. Real TCP, the broker played in memory."""

import asyncio
import zlib
from functools import partial

import pytest
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from contracts.envelope import AdmissionVerdict
from gateway.frames import Phase
from tests.gateway.conftest import until
from tests.gateway.station import (
    call,
    client_frame,
    close_code,
    head_of,
    hear,
    opened,
    plug_in,
    raw,
    say,
    upgrade_request,
)

# handshakes


async def test_exactly_one_subprotocol_is_echoed_the_clients_first(edge_alone):
    gateway, _ = await edge_alone()
    reader, _writer = await raw(gateway, upgrade_request(subprotocol="ocpp0.1, ocpp2.0.1, ocpp1.6"))
    status, headers = await head_of(reader)
    assert (status, headers["sec-websocket-protocol"]) == (101, "ocpp2.0.1")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (upgrade_request(subprotocol="ocpp0.1"), 400),
        (upgrade_request("/elsewhere/CP-1"), 404),
        (upgrade_request("/ocpp/%ff"), 400),
        (upgrade_request().replace(b"Connection: Upgrade\r\n", b""), 400),
        (upgrade_request().replace(b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", b"Sec-WebSocket-Key: short"), 400),
        (upgrade_request().replace(b"GET", b"POST"), 405),
        (upgrade_request().replace(b"Host: x", b"Host x"), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET /ocpp/" + b"x" * 20_000, 431),
        (upgrade_request().replace(b"Host: x", b"X: " + b"y" * 17_000), 431),
    ],
)
async def test_refused_handshakes_have_a_status_and_end_the_connection(edge_alone, request_bytes, status):
    gateway, _ = await edge_alone(close_timeout_seconds=0.5)
    reader, _writer = await raw(gateway, request_bytes)
    assert (await head_of(reader))[0] == status
    await asyncio.wait_for(reader.read(), 10)
    await until(lambda: gateway.edge.sockets == 0)


async def test_503_with_retry_after_while_draining_full_or_without_broker(edge_alone):
    gateway, link = await edge_alone(max_connections=1)

    async def refusal() -> tuple[int, int]:
        with pytest.raises(InvalidStatus) as caught:
            await plug_in(gateway, "other")
        return caught.value.response.status_code, int(caught.value.response.headers["Retry-After"])

    link.up = False
    assert (await refusal())[0] == 503
    assert gateway.monitor.unready() == {"broker": "not connected"}
    link.up, link.blocked = True, True
    assert (await refusal())[0] == 503
    assert gateway.monitor.unready() == {"broker": "blocks publishers"}
    link.blocked = False
    assert gateway.monitor.unready() == {}
    async with await plug_in(gateway):
        status, seconds = await refusal()
        assert status == 503
        assert 15 <= seconds <= 30
    await until(lambda: len(gateway.edge.registry) == 0)
    gateway.edge.begin_drain()
    assert (await refusal())[0] == 503


async def test_an_unfinished_handshake_is_ended(edge_alone):
    gateway, _ = await edge_alone(handshake_timeout_seconds=0.3)
    reader, _writer = await raw(gateway, b"GET /ocpp/CP-1 HT")
    assert await asyncio.wait_for(reader.read(), 10) == b""
    await until(lambda: gateway.edge.sockets == 0)


async def test_frames_sent_with_the_request_are_kept(edge_alone):
    gateway, link = await edge_alone()
    link.auto = True
    frame = client_frame(1, b'[2,"early","Heartbeat",{}]')
    reader, _writer = await raw(gateway, upgrade_request() + frame)
    assert (await head_of(reader))[0] == 101
    assert await asyncio.wait_for(reader.readexactly(16), 10) == b'\x81\x0e[3,"early",{}]'


async def test_refused_handshakes_are_logged_with_who_and_why_but_never_flood_the_log(edge_alone):
    with capture_logs() as logs:
        gateway, _ = await edge_alone()
        for _ in range(200):
            reader, _writer = await raw(gateway, upgrade_request("/ocpp/CP%201/more?password=topsecret"))
            assert (await head_of(reader))[0] == 400
    refusals = [line for line in logs if line["event"] == "handshake.refused"]
    assert 0 < len(refusals) < 200
    assert refusals[0]["reason"] == "bad_identity"
    assert refusals[0]["path"] == "/ocpp/CP%201/more"
    assert "topsecret" not in str(logs)


async def test_one_kind_of_trouble_does_not_hide_another_in_the_log(edge_alone):
    with capture_logs() as logs:
        gateway, _ = await edge_alone()
        _, writer = await opened(gateway, "NOISY")
        writer.write(client_frame(1, b"{}") * 100)
        await until(lambda: len([line for line in logs if line["event"] == "frame.malformed"]) >= 10)
        reader, _writer = await raw(gateway, upgrade_request("/ocpp/"))
        assert (await head_of(reader))[0] == 400
        await until(lambda: any(line["event"] == "log.suppressed" for line in logs))
    assert any(line["event"] == "handshake.refused" for line in logs)
    assert next(line for line in logs if line["event"] == "log.suppressed")["of"] == "frame.malformed"


# registration policy `closed`


async def test_a_connection_that_ended_before_the_verdict_is_not_called_refused(edge_alone):
    with capture_logs() as logs:
        gateway, link = await edge_alone(authentication="on", registration="closed", handshake_timeout_seconds=0.3)
        await raw(gateway, upgrade_request())
        await until(lambda: link.published)
        await until(lambda: gateway.edge.sockets == 0)
        link.reply(link.published[0], AdmissionVerdict(identity="CP-1", known=False))
    assert not [line for line in logs if line["event"] == "handshake.refused"]


async def test_closed_registration_asks_once_and_keeps_early_frames(edge_alone):
    gateway, link = await edge_alone(authentication="on", registration="closed")
    link.auto = False
    reader, _writer = await raw(gateway, upgrade_request() + client_frame(1, b'[2,"early","Heartbeat",{}]'))
    await until(lambda: link.published)
    (query,) = link.published
    assert (query.exchange, query.key, query.reply_to) == ("ocpp.admissions", "admission", "replies-1")
    link.auto = True
    link.reply(query, AdmissionVerdict(identity="CP-1", known=True))
    assert (await head_of(reader))[0] == 101
    assert await asyncio.wait_for(reader.readexactly(16), 10) == b'\x81\x0e[3,"early",{}]'
    async with await plug_in(gateway):
        assert len([message for message in link.published if message.exchange == "ocpp.admissions"]) == 1


async def test_closed_registration_refuses_the_unknown_and_gives_up_on_silence(edge_alone):
    gateway, link = await edge_alone(authentication="on", registration="closed", admission_timeout_seconds=0.3)
    connecting = asyncio.create_task(plug_in(gateway, "stranger"))
    await until(lambda: link.published)
    link.reply(link.published[0], AdmissionVerdict(identity="stranger", known=False))
    with pytest.raises(InvalidStatus) as caught:
        await connecting
    assert caught.value.response.status_code == 404
    with pytest.raises(InvalidStatus) as caught:
        await plug_in(gateway, "CP-2")
    assert caught.value.response.status_code == 503
    assert "Retry-After" in caught.value.response.headers


# frames


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (client_frame(2, b"binary"), 1003),
        (client_frame(1, b'["\xff"]'), 1007),
        (client_frame(1, b'["\xed\xa0\x80"]'), 1007),
        (client_frame(1, b"x", length=10_000_000), 1009),
        (client_frame(1, b"x" * 40_000, fin=False) + client_frame(0, b"x" * 40_000), 1009),
        (b"\x81\x02{}", 1002),  # not masked
        (client_frame(0, b"x"), 1002),
        (client_frame(3, b"x"), 1002),
        (b"\xc1\x80\0\0\0\0", 1002),  # compression that was not negotiated
        (client_frame(9, b"x" * 126), 1002),
        (client_frame(8, b"\x03"), 1002),
        (client_frame(8, b"\x03\xe8"), 1000),
    ],
)
async def test_broken_websocket_traffic_has_its_close_code(edge_alone, data, code):
    gateway, _ = await edge_alone(max_frame_bytes=65536)
    async with await plug_in(gateway, "bystander") as bystander:
        reader, writer = await opened(gateway, "broken")
        writer.write(data)
        assert await close_code(reader) == code
        await until(lambda: len(gateway.edge.registry) == 1)
        await (await bystander.ping())


async def test_half_a_frame_waits_and_is_forgotten_with_its_connection(edge_alone):
    gateway, link = await edge_alone()
    link.auto = True
    reader, writer = await opened(gateway)
    frame = client_frame(1, b'[2,"a","Heartbeat",{}]')
    for byte in frame:
        writer.write(bytes((byte,)))
        await writer.drain()
    assert await asyncio.wait_for(reader.readexactly(12), 10) == b'\x81\x0a[3,"a",{}]'
    writer.write(frame[:7])
    writer.close()
    await until(lambda: gateway.edge.sockets == 0)


async def test_fragments_are_joined_and_pings_answered_in_between(edge_alone):
    gateway, link = await edge_alone()
    link.auto = True
    reader, writer = await opened(gateway)
    message = b'[2,"a","Heartbeat",{}]'
    writer.write(client_frame(1, message[:5], fin=False) + client_frame(9, b"p"))
    writer.write(client_frame(0, b"", fin=False) * 1000 + client_frame(0, message[5:]))
    assert await asyncio.wait_for(reader.readexactly(15), 10) == b'\x8a\x01p\x81\x0a[3,"a",{}]'


async def test_malformed_ocpp_keeps_the_connection_and_is_answered_by_version(edge_alone):
    gateway, link = await edge_alone()
    link.auto = True
    async with await plug_in(gateway, "old") as old, await plug_in(gateway, "new", "ocpp2.1") as new:
        for text in ("", "[2,", "[" * 5000, "{}", "null", "[,{", '[2,"x"', "[" * 500 + "]" * 500, "2" * 5000):
            await old.send(text)
            await new.send(text)
            assert (await hear(new))[:3] == [4, "-1", "RpcFrameworkError"]
        deep = '{"a":' * 900 + "1" + "}" * 900
        for station in (old, new):
            await station.send(f'[2,"deep","Heartbeat",{deep}]')
            assert (await hear(station))[:2] == [4, "deep"]
            await station.send(f'[4,"deep","InternalError",{deep},{{}}]')
            await station.send(f'[3,"deep",{deep}]')
            assert (await call(station, "ok", "Heartbeat"))[:2] == [3, "ok"]


async def test_compression_is_for_2x_only_and_bounded(edge_alone):
    gateway, link = await edge_alone(max_frame_bytes=65536)
    link.auto = True
    async with await plug_in(gateway, "old", compression="deflate") as old:
        assert old.protocol.extensions == []
    async with await plug_in(gateway, "new", "ocpp2.0.1", compression="deflate") as new:
        assert len(new.protocol.extensions) == 1
        for number in range(3):
            assert (await call(new, str(number), "Heartbeat"))[0] == 3
    reader, writer = await raw(
        gateway,
        upgrade_request("/ocpp/bomb", "ocpp2.0.1").replace(
            b"Host: x", b"Host: x\r\nSec-WebSocket-Extensions: permessage-deflate"
        ),
    )
    assert "permessage-deflate" in (await head_of(reader))[1]["sec-websocket-extensions"]
    squeezer = zlib.compressobj(wbits=-15)
    bomb = squeezer.compress(b" " * 50_000_000) + squeezer.flush(zlib.Z_SYNC_FLUSH)
    frame = bytearray(client_frame(1, bomb[:-4]))
    frame[0] |= 0x40
    writer.write(bytes(frame))
    assert await close_code(reader) == 1009


async def test_compression_can_be_switched_off(edge_alone):
    gateway, _ = await edge_alone(compression=False)
    async with await plug_in(gateway, "new", "ocpp2.0.1", compression="deflate") as new:
        assert new.protocol.extensions == []


# life and death


async def test_a_silent_peer_is_given_up_and_one_that_only_talks_is_not(edge_alone):
    gateway, link = await edge_alone(ping_interval_seconds=0.4, missed_pings=3, close_timeout_seconds=0.3)
    link.auto = True
    silent, _silent_writer = await opened(gateway, "silent")
    talking, talking_writer = await opened(gateway, "talking")

    async def talk() -> None:
        while True:  # never a pong, as some charge points do
            talking_writer.write(client_frame(1, b'[2,"a","Heartbeat",{}]'))
            await asyncio.sleep(0.1)

    talk_task = asyncio.create_task(talk())
    assert await close_code(silent) == 1008
    await until(lambda: gateway.edge.sockets == 1)
    assert [connection.session.identity for connection in gateway.edge.registry] == ["talking"]
    assert not talking.at_eof()
    talk_task.cancel()
    await asyncio.gather(talk_task, return_exceptions=True)


async def test_a_peer_that_answers_pings_stays_without_a_word(edge_alone):
    gateway, _ = await edge_alone(ping_interval_seconds=0.2, missed_pings=2)
    async with await plug_in(gateway) as station:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(station.recv(), 1.5)
        assert len(gateway.edge.registry) == 1


async def test_a_socket_that_we_leave_unread_is_not_taken_for_dead(edge_alone):
    gateway, link = await edge_alone(ping_interval_seconds=0.2, missed_pings=2, window_calls=1)
    async with await plug_in(gateway) as station:
        await say(station, 2, "a", "Heartbeat", {})
        await say(station, 2, "b", "Heartbeat", {})
        await until(lambda: link.calls)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(station.recv(), 1.5)
        link.auto = True
        link.reply(link.calls[0])
        assert [(await hear(station))[1] for _ in range(2)] == ["a", "b"]


async def test_an_unanswered_close_frame_is_followed_by_an_abort(edge_alone):
    gateway, _ = await edge_alone(close_timeout_seconds=0.3)
    reader, _writer = await opened(gateway)
    (connection,) = gateway.edge.registry
    connection.close(1001, "bye")
    assert len(gateway.edge.registry) == 0
    assert await close_code(reader) == 1001
    assert connection.phase is Phase.CLOSING
    await until(lambda: gateway.edge.sockets == 0)


async def test_the_newest_socket_of_an_identity_wins(edge_alone):
    gateway, link = await edge_alone(close_timeout_seconds=0.3)
    link.auto = True
    first = await plug_in(gateway)
    half_open, _half_open_writer = await opened(gateway)
    second = await plug_in(gateway)
    with pytest.raises(ConnectionClosedError) as caught:
        await first.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1008
    assert await close_code(half_open) == 1008
    await until(lambda: gateway.edge.sockets == 1)
    assert (await call(second, "1", "Heartbeat"))[0] == 3
    (message,) = link.calls
    assert gateway.edge.registry.of_identity("CP-1").session.session_id == message.call.session
    await second.close()


async def test_a_full_gateway_lets_a_charge_point_replace_its_own_dead_socket(edge_alone):
    gateway, link = await edge_alone(max_connections=1)
    link.auto = True
    dead, _dead_writer = await opened(gateway)
    with pytest.raises(InvalidStatus):
        await plug_in(gateway, "other")
    async with await plug_in(gateway) as station:
        assert await close_code(dead) == 1008
        assert (await call(station, "1", "Heartbeat"))[0] == 3
        assert len(gateway.edge.registry) == 1


async def test_calls_before_a_goodbye_are_relayed_though_the_session_had_no_room_for_them(edge_alone):
    gateway, link = await edge_alone(pending_calls=1, close_timeout_seconds=0.3)
    reader, writer = await opened(gateway)
    calls = b"".join(client_frame(1, b'[2,"%d","Heartbeat",{}]' % number) for number in range(5))
    writer.write(calls + client_frame(8, b"\x03\xe8"))
    assert await close_code(reader) == 1000
    (connection,) = gateway.edge.registry
    connection.keepalive(3)  # a ping after the end of our stream would be an error

    def taken(number: int) -> bool:
        return len(link.calls) > number

    for number in range(5):
        await until(partial(taken, number))
        link.reply(link.calls[number])
    await until(lambda: gateway.edge.sockets == 0)
    assert [message.call.unique_id for message in link.calls] == ["0", "1", "2", "3", "4"]


async def test_a_peer_that_goes_away_in_the_middle_leaves_nothing_behind(edge_alone):
    gateway, link = await edge_alone()
    station = await plug_in(gateway)
    await say(station, 2, "a", "Heartbeat", {})
    await until(lambda: link.calls)
    station.transport.abort()
    await until(lambda: gateway.edge.sockets == 0)
    assert len(gateway.edge.relay) == 0
    link.reply(link.calls[0])  # dropped
    with pytest.raises(ConnectionClosed):
        await station.recv()
