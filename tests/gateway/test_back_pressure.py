"""What is left unread, for how long, and what ends a peer that does not read. Real TCP, the broker played in memory."""

import asyncio
import contextlib
import json
import socket
import zlib

from contracts.envelope import ReplyEnvelope
from tests.gateway.conftest import until
from tests.gateway.station import client_frame, head_of, hear, opened, plug_in, raw, say, upgrade_request


async def test_a_large_message_reaches_a_peer_that_reads_however_small_the_write_buffer(edge_alone):
    gateway, link = await edge_alone(write_buffer_bytes=4096)
    async with await plug_in(gateway, max_size=None) as station:
        await say(station, 2, "a", "Heartbeat", {})
        await until(lambda: link.calls)
        link.reply(link.calls[0], ReplyEnvelope(payload=json.dumps({"data": "x" * 3_000_000}).encode()))
        assert len((await hear(station))[2]["data"]) == 3_000_000


async def test_what_waits_behind_a_full_window_goes_on_when_it_opens_not_when_its_own_call_ends(edge_alone):
    gateway, link = await edge_alone(window_calls=2)
    async with await plug_in(gateway, "other") as other:
        await say(other, 2, "x", "Heartbeat", {})
        await until(lambda: len(link.calls) == 1)
        reader, writer = await opened(gateway, "CP-1", "ocpp2.0.1")
        heartbeats = [client_frame(1, b'[2,"%s","Heartbeat",{}]' % unique_id) for unique_id in (b"a", b"b")]
        writer.write(b"".join(heartbeats) + client_frame(1, b"{}"))
        await until(lambda: len(link.calls) == 2)  # the window is full, b and {} wait behind it
        link.writable = False
        link.reply(link.calls[1])
        assert await asyncio.wait_for(reader.readexactly(12), 10) == b'\x81\x0a[3,"a",{}]'
        link.writable = True
        gateway.edge.relay.flow_changed()
        await until(lambda: len(link.calls) == 3)  # b has filled it again
        link.reply(link.calls[0])
        assert b"RpcFrameworkError" in await asyncio.wait_for(reader.readuntil(b"]"), 5)


def deflated(payload: bytes) -> bytes:
    """A frame of permessage-deflate without context takeover."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -12)
    frame = bytearray(client_frame(1, (squeezer.compress(payload) + squeezer.flush(zlib.Z_SYNC_FLUSH))[:-4]))
    frame[0] |= 0x40
    return bytes(frame)


async def opened_with_deflate(gateway) -> asyncio.StreamWriter:
    extension = b"\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
    request = upgrade_request("/ocpp/CP-1", "ocpp2.0.1").removesuffix(b"\r\n\r\n") + extension
    reader, writer = await raw(gateway, request)
    assert "permessage-deflate" in (await head_of(reader))[1]["sec-websocket-extensions"]
    return writer


async def test_small_deflated_frames_that_grow_a_thousandfold_are_held_as_they_came(edge_alone):
    gateway, link = await edge_alone()
    writer = await opened_with_deflate(gateway)
    writer.write(deflated(b'[2,"a","Heartbeat",{}]'))
    await until(lambda: link.calls)
    writer.write(deflated(b'[2,"b","Heartbeat",{"x":"%s"}]' % (b"x" * 1_000_000)) * 14)
    (connection,) = gateway.edge.registry
    await until(lambda: connection._paused)
    waiting = sum(len(frame.data) for frame in connection._backlog) + connection.session._pending_bytes
    assert waiting < 4_000_000
    assert len(connection._held) > 5_000


async def test_after_a_goodbye_a_flood_is_read_in_small_pieces(edge_alone):
    gateway, _ = await edge_alone()
    writer = await opened_with_deflate(gateway)
    (connection,) = gateway.edge.registry
    most, parse = 0, connection._ws.receive_data

    def watched(data: bytes) -> None:
        nonlocal most
        parse(data)
        most = max(most, sum(len(event.data) for event in connection._ws.events))

    connection._ws.receive_data = watched
    connection.close(1001, "bye")
    writer.write(deflated(b"x" * 1_000_000) * 60)
    writer.write(client_frame(8, (1001).to_bytes(2, "big")))
    await until(lambda: gateway.edge.sockets == 0)
    assert 1_000_000 <= most < 4_000_000
    assert connection._ws.close_rcvd is not None


async def test_a_read_full_of_tiny_frames_is_taken_in_turns(edge_alone):
    gateway, _ = await edge_alone()
    await opened(gateway, "CP-1", "ocpp2.0.1")
    (connection,) = gateway.edge.registry
    connection.data_received(client_frame(1, b"") * 20_000)
    assert len(connection._held) > 100_000
    await until(lambda: not connection._held and not connection._paused)


async def test_a_session_with_a_full_queue_is_not_read_and_loses_nothing(edge_alone):
    gateway, link = await edge_alone(pending_calls=2)
    async with await plug_in(gateway) as station:
        for number in range(200):
            await say(station, 2, str(number), "Heartbeat", {})
        await until(lambda: link.calls)
        (connection,) = gateway.edge.registry
        await until(lambda: not connection.session.wants_reading)
        link.auto = True
        link.reply(link.calls[0])
        assert [(await hear(station))[1] for _ in range(200)] == [str(number) for number in range(200)]


async def test_a_full_window_stops_all_sockets_and_opens_again(edge_alone):
    gateway, link = await edge_alone(window_calls=10)
    stations = [await plug_in(gateway, f"CP-{number}") for number in range(25)]
    for station in stations:
        await say(station, 2, "x", "Heartbeat", {})
    await until(lambda: len(gateway.edge._waiting_for_room) >= 15)
    assert len(gateway.edge.relay) == 10
    assert gateway.monitor.unready().get("window") == "full"
    link.auto = True
    for message in link.calls[:10]:
        link.reply(message)
    for station in stations:
        assert (await hear(station))[:2] == [3, "x"]
        await station.close()
    assert len(gateway.edge.relay) == 0


async def test_a_peer_that_does_not_read_is_not_read_and_then_ended(edge_alone):
    gateway, link = await edge_alone(write_buffer_bytes=65536, ping_interval_seconds=0.5, missed_pings=2)
    client = socket.create_connection(("127.0.0.1", gateway.port))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.sendall(upgrade_request())
    await until(lambda: len(gateway.edge.registry) == 1)
    big = ReplyEnvelope(payload=json.dumps({"data": "x" * 60_000}).encode())
    client.setblocking(False)
    answered = 0
    with client:
        while len(gateway.edge.registry):
            with contextlib.suppress(BlockingIOError, ConnectionError):
                client.send(client_frame(1, b'[2,"a","Heartbeat",{}]'))
            await asyncio.sleep(0.001)
            for message in link.calls[answered:]:
                link.reply(message, big)
                answered += 1
        # what could be written before the kernel's and our buffers were full, and not a reply more
        assert answered < 400
