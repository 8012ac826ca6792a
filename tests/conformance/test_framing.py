"""OCPP-J at a running gateway: what each version answers to broken frames, repeated ids and stray replies."""

from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from contracts.versions import Version
from tests.support.live import LiveSystem
from tests.support.stations import exchange, heard, send_frames

VERSIONS = pytest.mark.parametrize("version", list(Version))
V2X = pytest.mark.parametrize("version", [Version.V201, Version.V21])
UNREADABLE = ['[2,"1","Heart', "[,{", "hello", "", "{}", "null", "[]", '"text"', '["2","1","Heartbeat",{}]', "[[]]"]
NO_ID = [[2], [2, 5, "Heartbeat", {}], [2, None, "Heartbeat", {}], [2, ["a"], "Heartbeat", {}]]


async def alive(socket: ClientConnection) -> None:
    """The next frame is the answer to this Heartbeat: nothing else was said, and the session goes on."""
    frame = await exchange(socket, "Heartbeat", {})
    assert frame[0] == 3
    assert list(frame[2]) == ["currentTime"]


async def test_malformed_json_is_dropped_in_silence_by_16(live: LiveSystem, identity: str):
    async with live.socket(identity, Version.V16) as socket:
        for text in UNREADABLE:
            await send_frames(socket, [text])
            await alive(socket)
        for frame in NO_ID:
            await send_frames(socket, [frame])
            await alive(socket)


@V2X
async def test_malformed_json_is_answered_without_its_text_by_2x(live: LiveSystem, identity: str, version: Version):
    async with live.socket(identity, version) as socket:
        for text in [*UNREADABLE, *NO_ID]:
            await send_frames(socket, [text])
            frame = await heard(socket)
            assert frame[:3] == [4, "-1", "RpcFrameworkError"], text
            assert "Heart" not in str(frame)
        await alive(socket)


@VERSIONS
@pytest.mark.parametrize(
    "rest", [["Heartbeat"], ["Heartbeat", {}, {}], [5, {}], ["Heartbeat", []], ["Heartbeat", "{}"], ["", {}]], ids=str
)
async def test_a_call_of_the_wrong_shape_is_refused_by_its_id(
    live: LiveSystem, identity: str, version: Version, rest: list[Any]
):
    codes = {"FormationViolation"} if version is Version.V16 else {"RpcFrameworkError", "FormatViolation"}
    async with live.socket(identity, version) as socket:
        await send_frames(socket, [[2, "shape-1", *rest]])
        frame = await heard(socket)
        assert frame[:2] == [4, "shape-1"]
        assert frame[2] in codes
        await alive(socket)


async def test_null_is_an_empty_payload_in_16_and_invalid_in_2x(live: LiveSystem, identity: str):
    async with live.socket(identity, Version.V16) as socket:
        assert (await exchange(socket, "Heartbeat", None))[0] == 3
    async with live.socket(identity, Version.V201) as socket:
        assert (await exchange(socket, "Heartbeat", None))[0] == 4


@VERSIONS
async def test_stray_replies_and_unknown_message_types_are_ignored(live: LiveSystem, identity: str, version: Version):
    strays = [
        [3, "nobody-asked", {}],
        [3, "nobody-asked"],
        [4, "nobody-asked", "GenericError", "", {}],
        [4, "nobody-asked", "GenericError"],
        [5, "nobody-asked", "FormatViolation", "", {}],
        [7, "x", "Heartbeat", {}],
        [-1, "x"],
        [9, {}, []],
    ]
    async with live.socket(identity, version) as socket:
        for frame in strays:
            await send_frames(socket, [frame])
            await alive(socket)


@VERSIONS
async def test_the_same_unique_id_twice_is_answered_twice(live: LiveSystem, identity: str, version: Version):
    async with live.socket(identity, version) as socket:
        beat = [2, "1", "Heartbeat", {}]
        await send_frames(socket, [beat, beat, beat])
        answers = [await heard(socket) for _ in range(3)]
        assert [answer[:2] for answer in answers] == [[3, "1"]] * 3
        await alive(socket)


@VERSIONS
async def test_pipelined_calls_are_answered_in_their_order(live: LiveSystem, identity: str, version: Version):
    transfer = {"vendorId": "com.example.nobody"}
    calls = [("Heartbeat", {}), ("DataTransfer", transfer), ("Reset", {}), ("Heartbeat", {}), ("NoSuchAction", {})]
    async with live.socket(identity, version) as socket:
        await send_frames(socket, [[2, f"p{number}", *call] for number, call in enumerate(calls)])
        answers = [await heard(socket) for _ in calls]
    assert [answer[1] for answer in answers] == [f"p{number}" for number in range(len(calls))]
    assert [answer[0] for answer in answers] == [3, 3, 4, 3, 4]
    assert [answer[2] for answer in answers if answer[0] == 4] == ["NotSupported", "NotImplemented"]


@VERSIONS
@pytest.mark.parametrize("unique_id", ["", "x" * 36, "id with spaces", "ü-1", '"'])
async def test_odd_unique_ids_are_echoed_as_they_are(live: LiveSystem, identity: str, version: Version, unique_id: str):
    async with live.socket(identity, version) as socket:
        await send_frames(socket, [[2, unique_id, "Heartbeat", {}]])
        assert (await heard(socket))[:2] == [3, unique_id]


@V2X
async def test_custom_data_is_open_and_everything_else_closed(live: LiveSystem, identity: str, version: Version):
    """OCTT P_03."""
    custom = {"customData": {"vendorId": "com.example", "anything": [1, {"goes": True}]}}
    async with live.socket(identity, version) as socket:
        assert (await exchange(socket, "Heartbeat", custom))[0] == 3
        assert (await exchange(socket, "Heartbeat", {"anything": 1}))[2] == "FormatViolation"


async def test_a_send_is_never_answered_and_the_session_goes_on(live: LiveSystem, identity: str):
    """OCPP 2.1 part 4, 4.2.4: not even an invalid or unknown one."""
    stream = {"id": 1, "pending": 0, "basetime": "2026-05-01T12:00:00Z", "data": [{"t": 0, "v": "1"}]}
    sends = [
        [6, "s1", "NotifyPeriodicEventStream", stream],
        [6, "s2", "NotifyPeriodicEventStream", {"id": "wrong"}],
        [6, "s3", "NoSuchAction", {}],
        [6, "s4", "Heartbeat", {}],
        [6, "s5"],
    ]
    async with live.socket(identity, Version.V21) as socket:
        for frame in sends:
            await send_frames(socket, [frame])
            await alive(socket)
        await send_frames(socket, [sends[0]] * 20)
        await alive(socket)
