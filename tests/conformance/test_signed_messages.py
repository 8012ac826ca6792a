"""Signed messages (OCPP 2.x part 4, chapter 7): keys on record, a gateway that verifies, workers that keep."""

from pathlib import Path
from typing import Any

import pytest

from contracts.versions import Version
from tests.conformance.test_v2x_transactions import EXPECTED, SESSION, state_of
from tests.gateway.signing import Signer, signer
from tests.support.calls_2x import VALID
from tests.support.live import LiveSystem, Records
from tests.support.stations import exchange
from workers.store import tables as t

VERSIONS = pytest.mark.parametrize("version", [Version.V201, Version.V21])
STATUS = VALID["StatusNotification"]


def put_on_record(live: LiveSystem, folder: Path, identity: str, policy: str, key: Signer) -> None:
    plan = folder / "signing.toml"
    pems = ", ".join(f"'''{pem}'''" for pem in (key.certificate_pem, signer("RS256").public_pem))
    plan.write_text(
        f'[[charge_points]]\nidentity = "{identity}"\nmessage_policy = "{policy}"\nmessage_keys = [{pems}]\n', "utf-8"
    )
    live.stack.run_worker_command("provision", str(plan))


def signed(key: Signer, action: str, payload: Any) -> tuple[str, dict[str, str]]:
    return f"{action}-Signed", key.jws(2, action, payload)


@VERSIONS
@pytest.mark.parametrize("policy", ["verify", "require"])
async def test_a_signed_session_is_kept_as_if_it_were_unsigned_and_a_forged_one_is_not(
    live: LiveSystem, records: Records, identity: str, tmp_path: Path, version: Version, policy: str
):
    key, forger = signer(), signer("ES256", "another")
    put_on_record(live, tmp_path, identity, policy, key)
    async with live.socket(identity, version) as socket:
        frame = await exchange(socket, *signed(key, "BootNotification", VALID["BootNotification"]))
        assert frame[2]["status"] == "Accepted"
        for event in (*SESSION, SESSION[-1]):  # one that is sent again is known again
            assert (await exchange(socket, *signed(key, "TransactionEvent", event)))[0] == 3
        for frame in (
            await exchange(socket, *signed(forger, "TransactionEvent", {**SESSION[0], "seqNo": 9})),
            await exchange(socket, "TransactionEvent-Signed", {**SESSION[0], "seqNo": 9}),
            await exchange(socket, "TransactionEvent-Signed", key.jws(2, "StatusNotification", SESSION[0])),
        ):
            assert (frame[0], frame[2]) == (4, "SecurityError"), frame
        unsigned = await exchange(socket, "StatusNotification", STATUS)
        assert unsigned[0] == (3 if policy == "verify" else 4), unsigned
        # what was signed is read by all in the same way, whatever its JSON looks like
        twice = b' {"timestamp":"2026-05-01T12:00:00Z","connectorStatus":"Faulted",\n"evseId":1,"connectorId":7,'
        twice += b'"connectorSt\\u0061tus":"Occupied"} '
        assert (await exchange(socket, *signed(key, "StatusNotification", twice)))[0] == 3
    assert await state_of(records) == EXPECTED
    states = {row["connector_id"]: row["status"] for row in await records.of(t.connector_states)}
    assert states == {7: "Occupied"} | (
        {STATUS["connectorId"]: STATUS["connectorStatus"]} if policy == "verify" else {}
    )


async def test_who_must_sign_cannot_get_around_it_by_an_older_version(
    live: LiveSystem, records: Records, identity: str, tmp_path: Path
):
    put_on_record(live, tmp_path, identity, "require", signer())
    start = {"connectorId": 1, "idTag": "TAG-OK", "meterStart": 0, "timestamp": "2026-05-01T12:00:00Z"}
    async with live.socket(identity, Version.V16) as socket:
        frame = await exchange(socket, "StartTransaction", start)
    assert (frame[0], frame[2]) == (4, "SecurityError")
    assert await records.of(t.transactions) == []
