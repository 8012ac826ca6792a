"""The way in on real sockets: what is asked for, what is refused and how, who is held, who is slowed down."""

import asyncio
from base64 import b64encode
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response

from contracts.credentials import StoredKey
from contracts.envelope import AdmissionVerdict, ReplyEnvelope
from gateway import metrics
from gateway.settings import GatewaySettings
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

SECRET = b"\x00\xff0123456789abcdefgh"
KEY = StoredKey.of(SECRET, key_id="k1")
ON = {"authentication": "on", "registration": "closed"}


def record(identity: str = "CP-1", profile: int = 1, *keys: StoredKey, **more: Any) -> AdmissionVerdict:
    encoded = tuple(key.encode() for key in keys or (KEY,))
    return AdmissionVerdict(identity, known=True, profile=profile, keys=encoded, **more)


def showing(secret: bytes = SECRET, identity: str = "CP-1") -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(identity.encode() + b":" + secret).decode()}


async def come_in(gateway: Any, identity: str = "CP-1", secret: bytes = SECRET) -> ClientConnection:
    return await plug_in(gateway, identity, additional_headers=showing(secret, identity))


async def refusal(connecting: Any) -> Response:
    with pytest.raises(InvalidStatus) as caught:
        await connecting
    return caught.value.response


async def test_the_right_password_opens_and_a_wrong_or_missing_one_is_challenged(edge_alone):
    with capture_logs() as logs:
        gateway, link = await edge_alone(**ON)
        link.records = {"CP-1": record()}
        for headers in (None, showing(b"wrong"), {"Authorization": "Bearer x"}):
            response = await refusal(plug_in(gateway, additional_headers=headers))
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"] == 'Basic realm="ocpp"'
            gateway.edge.admitting._failures.succeeded("CP-1", "127.0.0.1")
        async with await come_in(gateway):
            (connection,) = gateway.edge.registry
            assert connection.session.profile == 1
    (line,) = [line for line in logs if line["event"] == "session.opened"]
    assert line["profile"] == 1
    refused = [line["reason"] for line in logs if line["event"] == "handshake.refused"]
    assert refused == ["credentials_missing", "credentials_wrong", "credentials_missing"]
    assert b64encode(SECRET).decode() not in str(logs)
    assert "wrong'" not in str(logs).replace("credentials_wrong'", "")


async def test_strangers_and_those_who_need_tls_are_refused_without_a_challenge(edge_alone):
    gateway, link = await edge_alone(**ON)
    link.records = {"CP-2": record("CP-2", 2), "CP-3": record("CP-3", 3)}
    assert (await refusal(come_in(gateway))).status_code == 404
    for identity in ("CP-2", "CP-3"):
        response = await refusal(come_in(gateway, identity))
        assert response.status_code == 403
        assert "WWW-Authenticate" not in response.headers


async def test_another_websocket_version_is_told_ours(edge_alone):
    gateway, _ = await edge_alone()
    reader, _writer = await raw(gateway, upgrade_request().replace(b"Version: 13", b"Version: 8"))
    status, headers = await head_of(reader)
    assert (status, headers["sec-websocket-version"]) == (426, "13")


async def test_a_pending_password_is_reported_once_it_opened_and_asked_about_again(edge_alone):
    gateway, link = await edge_alone(**ON)
    link.records = {"CP-1": record("CP-1", 1, KEY, StoredKey.of(b"next", pending=True, key_id="k2"))}
    async with await come_in(gateway):
        assert link.notices == []
    async with await come_in(gateway, secret=b"next"):
        (notice,) = link.notices
        assert (notice.identity, notice.profile, notice.key_id) == ("CP-1", 1, "k2")
    link.records = {"CP-1": record("CP-1", 1, StoredKey.of(b"next", key_id="k2"))}
    assert (await refusal(come_in(gateway))).status_code == 401
    async with await come_in(gateway, secret=b"next"):
        assert len(link.notices) == 1


async def test_after_a_wrong_password_the_next_is_not_looked_at_for_a_while_but_where_it_was_right_before(edge_alone):
    gateway, link = await edge_alone(**ON, failed_auth_first_seconds=60)
    link.records = {"CP-1": record(), "CP-2": record("CP-2")}
    assert (await refusal(come_in(gateway, secret=b"guess"))).status_code == 401
    response = await refusal(come_in(gateway))
    assert response.status_code == 503
    assert 60 <= int(response.headers["Retry-After"]) <= 120
    async with await come_in(gateway, "CP-2"):
        assert (await refusal(come_in(gateway, "CP-2", b"guess"))).status_code == 401
    async with await come_in(gateway, "CP-2"):
        pass


async def test_guesses_that_arrive_together_are_not_all_looked_at(edge_alone):
    gateway, link = await edge_alone(**ON, failed_auth_first_seconds=60)
    guesses = [asyncio.create_task(refusal(come_in(gateway, secret=b"guess"))) for _ in range(5)]
    await until(lambda: gateway.edge.sockets == 5 and link.published)
    waiting = gateway.edge.admitting.admissions._pending["CP-1"].answers
    await until(lambda: len(waiting) == 5)
    link.reply(link.published[0], record())
    statuses = sorted([(await guess).status_code for guess in guesses])
    assert statuses == [401, 503, 503, 503, 503]


async def test_a_known_charge_point_comes_in_while_no_worker_answers_and_a_stranger_does_not(edge_alone):
    gateway, link = await edge_alone(**ON, admission_cache_seconds=0, admission_timeout_seconds=0.3)
    link.records = {"CP-1": record()}
    async with await come_in(gateway):
        pass
    link.records = None
    async with await come_in(gateway):
        assert (await refusal(come_in(gateway, "CP-2"))).status_code == 503
    link.change("CP-1")
    assert (await refusal(come_in(gateway))).status_code == 503


@pytest.mark.parametrize(
    ("limit", "reason"),
    [("handshakes_per_second", "handshake_rate"), ("handshakes_per_second_per_address", "address_rate")],
)
async def test_over_the_rate_handshakes_are_put_off(edge_alone, limit, reason):
    gateway, _ = await edge_alone(**{limit: 1})
    before = metrics.REJECTED.labels(reason)._value.get()
    heads = []
    for _ in range(6):
        reader, _writer = await raw(gateway, upgrade_request())
        heads.append(await head_of(reader))
    statuses = [status for status, _ in heads]
    assert statuses[:2] == [101, 101]
    assert 503 in statuses[2:]
    assert all("retry-after" in headers for status, headers in heads if status == 503)
    assert metrics.REJECTED.labels(reason)._value.get() == before + statuses.count(503)


async def test_a_known_proxy_that_tells_no_address_has_no_rate_of_its_own(edge_alone):
    gateway, _ = await edge_alone(handshakes_per_second_per_address=0.1, proxies="127.0.0.1")
    for number in range(3):
        await opened(gateway, f"CP-{number}")


@pytest.mark.parametrize("limit", ["open_handshakes", "open_handshakes_per_address"])
async def test_too_many_that_open_at_once_are_dropped_and_those_that_are_open_take_no_room(edge_alone, limit):
    gateway, _ = await edge_alone(**{limit: 2})
    sessions = [await opened(gateway, f"CP-{number}") for number in range(3)]
    idle = [await raw(gateway, b"GET ") for _ in range(2)]
    await until(lambda: gateway.edge.sockets == 5)
    reader, _writer = await raw(gateway, b"")
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    idle[0][1].transport.abort()
    await until(lambda: gateway.edge.sockets == 4)
    await opened(gateway, "CP-9")
    assert len(gateway.edge.registry) == len(sessions) + 1
    for _, writer in (*sessions, *idle):
        writer.transport.abort()
    await until(lambda: len(gateway.edge._crowd) == 0)


async def test_a_handshake_that_takes_too_long_is_counted_out_once(edge_alone):
    gateway, _ = await edge_alone(handshake_timeout_seconds=0.2)
    await raw(gateway, b"GET ")
    await until(lambda: gateway.edge.sockets == 1)
    await until(lambda: gateway.edge.sockets == 0)
    assert len(gateway.edge._crowd) == 0


async def test_a_charge_point_that_flaps_is_held_and_only_the_newest_is_let_in(edge_alone):
    gateway, link = await edge_alone(reconnects_per_minute=2, flap_delay_seconds=1)
    for _ in range(2):
        async with await plug_in(gateway):
            pass
    await until(lambda: not len(gateway.edge.registry))
    announced = len(link.announced)
    held = metrics.FLAPPING._value.get()
    older = asyncio.create_task(plug_in(gateway))
    flapping = gateway.edge.admitting._flapping
    await until(lambda: len(flapping))
    newer = asyncio.create_task(plug_in(gateway))
    response = await refusal(older)
    assert (response.status_code, "Retry-After" in response.headers) == (503, True)
    async with await plug_in(gateway, "CP-2"):  # nobody else waits
        assert len(link.announced) <= announced + 2
        assert not newer.done()
    async with await newer:
        assert metrics.FLAPPING._value.get() == held + 2
    assert len(gateway.edge._crowd) == 0


async def test_one_that_was_held_and_left_meanwhile_replaces_nobody(edge_alone):
    gateway, _ = await edge_alone(reconnects_per_minute=1, flap_delay_seconds=0.4)
    await opened(gateway)
    (connection,) = gateway.edge.registry
    _, writer = await raw(gateway, upgrade_request())
    await until(lambda: len(gateway.edge.admitting._flapping))
    writer.transport.abort()
    await until(lambda: gateway.edge.sockets == 1)
    assert list(gateway.edge.registry) == [connection]
    assert (len(gateway.edge._crowd), len(gateway.edge.admitting._flapping)) == (0, 0)


async def test_a_reply_can_end_the_session_once_it_is_sent(edge_alone):
    gateway, link = await edge_alone()
    async with await plug_in(gateway) as station:
        await say(station, 2, "1", "Heartbeat", {})
        await until(lambda: link.calls)
        link.reply(link.calls[0], ReplyEnvelope(payload=b'{"a":1}', close=True))
        assert await hear(station) == [3, "1", {"a": 1}]
        with pytest.raises(ConnectionClosed):
            await station.recv()
        assert station.close_code == 1008


async def test_one_whose_record_changed_while_it_was_held_is_judged_by_the_new_one(edge_alone):
    gateway, link = await edge_alone(**ON, reconnects_per_minute=1, flap_delay_seconds=0.4)
    link.records = {"CP-1": record()}
    async with await come_in(gateway):
        pass
    held = asyncio.create_task(refusal(come_in(gateway)))
    await until(lambda: len(gateway.edge.admitting._flapping))
    link.records = {"CP-1": record("CP-1", 1, StoredKey.of(b"another", key_id="k2"))}
    link.change("CP-1")
    assert (await held).status_code == 401


# changes of record while a session is open


async def test_a_session_ends_when_its_password_is_retired_and_nobody_elses_does(edge_alone):
    gateway, link = await edge_alone(**ON)
    other = StoredKey.of(b"another", key_id="k2")
    link.records = {"CP-1": record("CP-1", 1, KEY, other), "CP-2": record("CP-2")}
    before = metrics.NO_LONGER._value.get()
    async with await come_in(gateway) as first, await come_in(gateway, "CP-2") as second:
        link.change("CP-1")
        await until(lambda: not gateway.edge.admitting._recheck)
        link.records["CP-1"] = record("CP-1", 1, other)
        link.change("CP-1")
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(first.recv(), 10)
        assert (first.close_code, first.close_reason) == (1008, "no longer let in")
        assert metrics.NO_LONGER._value.get() == before + 1
        del link.records["CP-2"]
        link.change()
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(second.recv(), 10)


async def test_a_session_stays_while_nobody_answers_and_ends_once_somebody_does(edge_alone):
    gateway, link = await edge_alone(**ON, admission_timeout_seconds=0.3)
    link.records = {"CP-1": record()}
    async with await come_in(gateway) as station:
        link.records = None
        asked = len(link.published)
        link.change("CP-1")
        await until(lambda: len(link.published) >= asked + 2)
        assert len(gateway.edge.registry) == 1
        link.records = {"CP-1": record("CP-1", 2)}
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(station.recv(), 10)


async def test_a_password_shown_as_hexadecimal_text_is_let_in_and_counted(edge_alone):
    gateway, link = await edge_alone(**ON)
    link.records = {"CP-1": record()}
    counted = metrics.TOLERATED.labels("hex_password_literal")._value
    before = counted.get()
    async with await come_in(gateway):
        assert counted.get() == before
    async with await come_in(gateway, secret=SECRET.hex().encode()):
        assert counted.get() == before + 1


# pace


async def test_a_charge_point_that_waits_for_answers_is_slowed_down_and_never_closed(edge_alone):
    gateway, link = await edge_alone(frames_per_second=50, throttled_close_seconds=0.3)
    link.auto = True
    loop = asyncio.get_running_loop()
    async with await plug_in(gateway) as station:
        began = loop.time()
        for number in range(620):
            assert (await call(station, str(number), "Heartbeat"))[0] == 3
        assert loop.time() - began > 2  # 500 at once, the others at the rate
        assert station.close_code is None


@pytest.mark.parametrize(("limit", "rate"), [("frames_per_second", 10), ("bytes_per_second", 4096)])
async def test_one_that_sends_on_and_on_is_closed_and_held_back_till_then(edge_alone, limit, rate):
    gateway, link = await edge_alone(**{limit: rate}, throttled_close_seconds=0.5)
    link.auto = True
    label = limit.split("_", 1)[0]
    before, closed = metrics.THROTTLED.labels(label)._value.get(), metrics.RATE_EXCEEDED._value.get()
    reader, writer = await opened(gateway)
    frame = client_frame(1, b'[2,"x","Heartbeat",{}]')
    writer.write(frame * 20_000)
    assert await close_code(reader) == 1008
    assert metrics.THROTTLED.labels(label)._value.get() > before
    assert metrics.RATE_EXCEEDED._value.get() == closed + 1
    assert len(link.calls) < 4096 * 16 / 20 + 1000
    assert len(gateway.edge._pacing) == 0


@pytest.mark.parametrize("opcode", [9, 10, 0])
async def test_pings_and_crumbs_of_a_message_without_end_are_frames_too(edge_alone, opcode):
    gateway, link = await edge_alone(frames_per_second=10, throttled_close_seconds=0.5)
    link.auto = True
    before = metrics.THROTTLED.labels("frames")._value.get()
    reader, writer = await opened(gateway)
    if opcode == 0:
        writer.write(client_frame(1, b'[2,"x",', fin=False))
    writer.write(client_frame(opcode, b"", fin=opcode != 0) * 20_000)
    assert await close_code(reader) == 1008
    assert metrics.THROTTLED.labels("frames")._value.get() > before
    assert link.calls == []


async def test_a_message_in_many_pieces_is_one_message(edge_alone):
    gateway, link = await edge_alone(frames_per_second=1, bytes_per_second=1024)
    link.auto = True
    reader, writer = await opened(gateway)
    text = b'[2,"x","Heartbeat",{' + b" " * 15_000 + b"}]"
    pieces = [text[at : at + 200] for at in range(0, len(text), 200)]
    for number, piece in enumerate(pieces):
        writer.write(client_frame(0 if number else 1, piece, fin=number == len(pieces) - 1))
    assert await asyncio.wait_for(reader.readexactly(12), 10) == b'\x81\x0a[3,"x",{}]'
    (connection,) = gateway.edge.registry
    assert not connection.throttled


# settings


@pytest.mark.parametrize(
    "changes",
    [
        {"authentication": "off", "registration": "closed"},
        {"authentication": "off", "min_security_profile": 1},
        {"flap_delay_seconds": 10, "handshake_timeout_seconds": 10},
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes):
    with pytest.raises(ValueError, match="OCPP_GATEWAY"):
        GatewaySettings.model_validate(changes)
