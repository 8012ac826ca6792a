"""What is left unread, for how long, and what ends a peer that does not read. Real TCP, the broker played in memory."""

import asyncio
import contextlib
import json
import socket

from contracts.envelope import ReplyEnvelope
from tests.gateway.conftest import until
from tests.gateway.station import client_frame, hear, opened, plug_in, say, upgrade_request


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
