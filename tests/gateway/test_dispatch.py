"""Commands from whoever sent them to the session, and each outcome to whoever waits for it."""

from contracts.commands import Reason
from contracts.envelope import NOT_HERE, CommandEnvelope, OutcomeEnvelope, OutcomeKind
from contracts.topology import GATEWAYS
from tests.gateway.conftest import until
from tests.gateway.memory_link import MemoryLink, delivery
from tests.gateway.station import hear, plug_in, say

LATER = 2**42


def told(link: MemoryLink, asker: str) -> list[tuple[OutcomeKind, str | None]]:
    return [(one.kind, one.error_code) for one in outcomes(link, asker)]


def outcomes(link: MemoryLink, asker: str) -> list[OutcomeEnvelope]:
    return [OutcomeEnvelope.decode(message.body) for message in link.published if message.key == asker]


async def test_another_request_under_a_known_id_is_told_aside(edge_alone):
    gateway, link = await edge_alone()
    async with await plug_in(gateway) as station:
        link.command(CommandEnvelope("c1", "CP-1", "ClearCache", b"{}", LATER), "first")
        assert (await hear(station))[:2] == [2, "c1"]
        link.command(CommandEnvelope("c1", "CP-1", "Reset", b'{"type":"Soft"}', LATER), "second")
        assert told(link, "second") == [(OutcomeKind.REJECTED, Reason.COMMAND_ID_REUSED)]
        link.command(CommandEnvelope("c1", "CP-1", "ClearCache", b"{ }", LATER), "first again")
        await say(station, 3, "c1", {"status": "Accepted"})
        await until(lambda: told(link, "first again"))
        assert told(link, "first again") == [(OutcomeKind.RESULT, None)]
        assert told(link, "first") == []  # whoever asked last for it is told
        assert len(gateway.edge.dispatch) == 0


async def test_an_outcome_bears_the_correlation_id_that_its_command_came_with(edge_alone):
    gateway, link = await edge_alone()
    async with await plug_in(gateway) as station:
        for identity, command_id in (("CP-1", "c1"), ("CP-9", "c2")):
            body = CommandEnvelope(command_id, identity, "ClearCache", b"{}", LATER).encode()
            link.listener.delivered(
                delivery(body, correlation_id=f"of {command_id}", exchange=GATEWAYS, reply_to="asker")
            )
        await hear(station)
        await say(station, 3, "c1", {"status": "Accepted"})
        await until(lambda: len(told(link, "asker")) == 2)
        ids = {message.correlation_id for message in link.published if message.key == "asker"}
        assert ids == {"of c1", "of c2"}


async def test_the_details_of_a_call_error_reach_the_asker(edge_alone):
    gateway, link = await edge_alone()
    async with await plug_in(gateway) as station:
        link.command(CommandEnvelope("c1", "CP-1", "ClearCache", b"{}", LATER))
        await hear(station)
        await say(station, 4, "c1", "GenericError", "not now", {"why": "busy"})
        await until(lambda: told(link, "asker"))
        (outcome,) = outcomes(link, "asker")
        assert (outcome.kind, outcome.error_code) == (OutcomeKind.CALL_ERROR, "GenericError")
        assert (outcome.description, outcome.details) == ("not now", b'{"why":"busy"}')


async def test_what_may_have_been_sent_before_is_never_said_to_be_unsent(edge_alone):
    gateway, link = await edge_alone()
    async with await plug_in(gateway) as station:
        link.command(CommandEnvelope("c1", "CP-1", "ClearCache", b"{}", LATER, again=True), "known")
        link.command(CommandEnvelope("c1", "CP-1", "ClearCache", b"{}", LATER, "gone", again=True), "pinned")
        link.command(CommandEnvelope("c1", "CP-9", "ClearCache", b"{}", LATER, again=True), "absent")
        for asker in ("known", "pinned", "absent"):
            assert told(link, asker) == [(OutcomeKind.UNKNOWN, Reason.REDELIVERED)]
        link.command(CommandEnvelope("c2", "CP-1", "ClearCache", b"{}", LATER, "gone"), "pinned first")
        assert told(link, "pinned first") == [(OutcomeKind.OFFLINE, NOT_HERE)]
        link.command(CommandEnvelope("c3", "CP-1", "ClearCache", b"{}", LATER), "fresh")
        assert (await hear(station))[:2] == [2, "c3"], "and none of the others was sent"


async def test_a_command_that_cannot_be_read_is_a_bad_request(edge_alone):
    _, link = await edge_alone()
    link.listener.delivered(delivery(b"junk", correlation_id="x", exchange=GATEWAYS, reply_to="asker"))
    assert told(link, "asker") == [(OutcomeKind.REJECTED, Reason.BAD_REQUEST)]
