"""Strange identities at the door: each charge point is itself alone, or is refused."""

from urllib.parse import quote

import pytest

from contracts.envelope import CommandEnvelope, OutcomeEnvelope, OutcomeKind
from tests.gateway.conftest import until
from tests.gateway.station import call, head_of, hear, plug_in, raw, say, upgrade_request

STRANGE = ["a.b", "a.*", "a.#", "#", "*", "a/b", "a%2Fb", "a b", "a%b", "a+b", "a=2Eb", "Zähler-é", "充電", "CP.1|x@y"]
ONLY_16 = [one for one in STRANGE if set(one) & set("#/% äé充電")]


async def test_each_strange_identity_is_a_charge_point_of_its_own(start_gateway, worker):
    gateway = await start_gateway()
    stations = {identity: await plug_in(gateway, quote(identity, safe="")) for identity in STRANGE}
    assert len(gateway.edge.registry) == len(STRANGE)
    for identity, station in stations.items():
        assert (await call(station, "1", "Heartbeat"))[:2] == [3, "1"]
        assert worker.seen[-1].identity == identity
    for station in stations.values():
        await station.close()


async def test_a_command_reaches_the_one_that_is_named_and_no_other(edge_alone):
    gateway, link = await edge_alone()
    stations = {identity: await plug_in(gateway, quote(identity, safe="")) for identity in STRANGE}
    await until(lambda: len(gateway.edge.registry) == len(STRANGE))
    for number, (identity, station) in enumerate(stations.items()):
        link.command(CommandEnvelope(f"c{number}", identity, "ClearCache", b"{}", 2**42))
        assert (await hear(station))[:2] == [2, f"c{number}"]
        await say(station, 3, f"c{number}", {"status": "Accepted"})
    await until(lambda: len([message for message in link.published if message.key == "asker"]) == len(STRANGE))
    outcomes = [OutcomeEnvelope.decode(message.body) for message in link.published if message.key == "asker"]
    assert [(one.identity, one.kind) for one in outcomes] == [(one, OutcomeKind.RESULT) for one in STRANGE]
    for unknown in ("a", "a.c", "", "A.B", "a.b "):
        link.published.clear()
        link.command(CommandEnvelope("x", unknown, "ClearCache", b"{}", 2**42))
        assert [OutcomeEnvelope.decode(message.body).error_code for message in link.published] == ["not_here"]
    for station in stations.values():
        await station.close()


@pytest.mark.parametrize(
    ("path", "subprotocol", "status"),
    [
        ("x" * 48, "ocpp2.0.1", 101),
        ("x" * 49, "ocpp2.0.1", 400),
        ("x" * 48, "ocpp2.1", 101),
        ("x" * 49, "ocpp2.1", 400),
        ("x" * 49, "ocpp1.6", 101),
        ("x" * 128, "ocpp1.6", 101),
        ("x" * 129, "ocpp1.6", 400),
        (quote("é" * 127), "ocpp1.6", 101),  # 254 bytes
        (quote("é" * 128), "ocpp1.6", 400),  # 256 bytes: no AMQP routing key
        (quote("電" * 85), "ocpp1.6", 101),  # 255 bytes
        (quote("電" * 86), "ocpp1.6", 400),
        ("a%", "ocpp1.6", 400),
        ("a%2", "ocpp1.6", 400),
        ("a%zz", "ocpp1.6", 400),
        ("a%00", "ocpp1.6", 400),
        ("%20a", "ocpp1.6", 400),
        ("a%20", "ocpp1.6", 400),
        ("%FF", "ocpp1.6", 400),
        ("a/b", "ocpp1.6", 400),
        ("", "ocpp1.6", 400),
        *((quote(identity, safe=""), "ocpp2.0.1", 400) for identity in ONLY_16),
    ],
)
async def test_what_no_identity_can_be_is_refused(edge_alone, path: str, subprotocol: str, status: int):
    gateway, _ = await edge_alone()
    reader, _ = await raw(gateway, upgrade_request(f"/ocpp/{path}", subprotocol))
    assert (await head_of(reader))[0] == status
    await until(lambda: len(gateway.edge.registry) == (1 if status == 101 else 0))
