"""Whatever bytes a peer sends: the process lives, no other session is touched, and each end is a defined one."""

import asyncio
import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.versions import Version
from gateway.session import Session
from gateway.session_rules import SessionRules
from tests.gateway.conftest import until
from tests.gateway.station import call, client_frame, plug_in, raw, upgrade_request

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=20,
)


@settings(deadline=None)  # the first one compiles the schemas
@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
       st.sampled_from(list(Version)))  # fmt: skip
def test_no_text_frame_breaks_a_session(frame: bytes, version: Version) -> None:
    session = Session("CP", version, "s", 1, SessionRules())
    for effect in session.frame_received(frame, 0.0):
        repr(effect)
    session.close(1.0)


@settings(deadline=None)  # the first one compiles the schemas
@given(st.lists(st.sampled_from([2, 3, 4, 5, 6, "Heartbeat", "c1", "MeterValues"]) | _JSON, max_size=6),
       st.sampled_from(list(Version)))  # fmt: skip
def test_no_json_array_breaks_a_session(message: list[object], version: Version) -> None:
    session = Session("CP", version, "s", 1, SessionRules())
    session.frame_received(json.dumps(message).encode(), 0.0)
    session.tick(100.0)
    assert session.idle


def _mutated(rng: random.Random) -> bytes:
    """A run of frames, each good, cut, corrupted, or noise."""
    data = b""
    for _ in range(rng.randint(1, 6)):
        text = rng.choice([b'[2,"a","Heartbeat",{}]', b"[", b"[3]", b"x" * 200, '["é"]'.encode(), b""])
        frame = client_frame(rng.choice([0, 1, 1, 1, 1, 2, 3, 8, 9, 10, 11]), text, fin=rng.random() < 0.8)
        kind = rng.random()
        if kind < 0.2:
            frame = frame[: rng.randint(0, len(frame))]
        elif kind < 0.4 and frame:
            changed = bytearray(frame)
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            frame = bytes(changed)
        elif kind < 0.5:
            frame = rng.randbytes(rng.randint(1, 40))
        data += frame
    return data


async def test_fuzzed_bytes_on_sockets_touch_nobody_else(edge_alone):
    gateway, link = await edge_alone(close_timeout_seconds=0.3, max_frame_bytes=4096)
    link.auto = True
    rng = random.Random(20260101)
    async with await plug_in(gateway, "bystander") as bystander:
        for _ in range(12):
            peers = []
            for number in range(25):
                head = upgrade_request(f"/ocpp/F{number}", rng.choice(["ocpp1.6", "ocpp2.0.1", "ocpp2.1"]))
                _, writer = await raw(gateway, head + _mutated(rng))
                peers.append(writer)
            assert (await call(bystander, "ok", "Heartbeat"))[:2] == [3, "ok"]
            for writer in peers:
                writer.close()
            await until(lambda: gateway.edge.sockets == 1)
        assert len(gateway.edge.relay) == 0
        assert {connection.session.identity for connection in gateway.edge.registry} == {"bystander"}


async def test_fuzzed_handshakes_are_refused_or_ended(edge_alone):
    gateway, _ = await edge_alone(handshake_timeout_seconds=0.3, close_timeout_seconds=0.3)
    rng = random.Random(7)
    async with await plug_in(gateway, "bystander") as bystander:
        for _ in range(150):
            request = bytearray(upgrade_request())
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(len(request))
                if rng.random() < 0.5:
                    request[at] = rng.randrange(256)
                else:
                    del request[at : at + rng.randint(1, 30)]
            await raw(gateway, bytes(request))
        await asyncio.wait_for(await bystander.ping(), 10)

    def quiet() -> bool:
        return len(gateway.edge._handshakes) == 0 and len(gateway.edge._closings) == 0

    await until(quiet)


async def test_ten_megabytes_in_one_frame_are_not_swallowed(edge_alone):
    gateway, _ = await edge_alone()
    async with await plug_in(gateway, "bystander") as bystander:
        reader, writer = await raw(gateway, upgrade_request("/ocpp/big"))
        writer.write(client_frame(1, b"[" + b" " * 10_000_000))
        answer = await asyncio.wait_for(reader.read(65536), 10)
        while b"\x88" not in answer:
            more = await asyncio.wait_for(reader.read(65536), 10)
            assert more
            answer += more
        assert (1009).to_bytes(2, "big") in answer
        await asyncio.wait_for(await bystander.ping(), 10)
