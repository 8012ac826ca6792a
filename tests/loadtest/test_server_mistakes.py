"""The charge point sees what the server does wrong."""

import ocpp.v16.call as call16
import pytest

from loadtest.ledger import Ledger
from tests.loadtest.conftest import Plug
from tests.loadtest.csms import Csms


async def provoke(csms: Csms, plug_in: Plug, frame: str, version: str = "1.6") -> Ledger:
    csms.fates["Authorize"].append(f"raw:{frame}")
    point = await plug_in(version, call_timeout_s=0.1)
    await point.charge(1, "DEMO-0001", 60.0)
    await point.wait_drained()
    ledger: Ledger = point.ledger
    return ledger


@pytest.mark.parametrize(
    ("frame", "note"),
    [
        ('[3,"$ID",{"idTagInfo":{"status":"Perhaps"}}]', "Perhaps"),
        ('[3,"$ID",{}]', "idTagInfo"),
        ('[3,"$ID",{"idTagInfo":{"status":"Accepted"},"more":1}]', "more"),
        ('[3,"$ID",null]', "no specification knows"),
        ('[3,"other",{"idTagInfo":{"status":"Accepted"}}]', "reply to nothing"),
        ('[4,"$ID","FormatViolation","",{}]', "FormatViolation"),
        ('[4,"$ID","InternalError","",null]', "details"),
        ('[4,"$ID","InternalError",""]', "no specification knows"),
        ("[3", "not JSON"),
        ("{}", "not an array"),
    ],
)
async def test_a_wrong_answer_is_counted_with_its_reason(csms, plug_in, frame, note):
    ledger = await provoke(csms, plug_in, frame)
    assert ledger.protocol_errors == 1
    assert note in ledger.protocol_error_notes[0]


async def test_each_version_has_its_own_error_codes(csms, plug_in):
    ledger = await provoke(csms, plug_in, '[4,"$ID","FormatViolation","",{}]', "2.0.1")
    assert ledger.protocol_errors == 0
    assert ledger.call_errors == {"FormatViolation": 1}


async def test_a_second_answer_is_a_mistake(csms, plug_in):
    point = await plug_in("1.6")
    peer = csms.peers["CP 1/ä"]
    boot = csms.received[0].unique_id
    await peer._connection.send(f'[3,"{boot}",{{}}]')
    await peer.call(call16.ClearCache())
    assert point.ledger.protocol_error_notes == ["a reply to nothing, or a second one"]


async def test_a_late_answer_is_dropped_and_no_mistake(csms, plug_in):
    csms.fates["Authorize"].append("silence")
    point = await plug_in("1.6", call_timeout_s=0.4)
    await point.charge(1, "DEMO-0001", 60.0)
    late = next(message.unique_id for message in csms.received if message.action == "Authorize")
    peer = csms.peers["CP 1/ä"]
    await peer._connection.send(f'[3,"{late}",{{"idTagInfo":{{"status":"Accepted"}}}}]')
    await peer.call(call16.ClearCache())
    assert point.ledger.late_replies == 1
    assert point.ledger.protocol_errors == 0


@pytest.mark.parametrize(
    ("version", "stamp", "mistakes"),
    [
        ("1.6", "2024-05-01T12:00:00.123456+02:00", 0),
        ("1.6", "2024-05-01 12:00", 1),
        ("2.0.1", "2024-05-01T12:00:00.123Z", 0),
        ("2.0.1", "2024-05-01T12:00:00.123456Z", 1),
        ("2.0.1", "2024-05-01T12:00:00+00:00", 1),
        ("2.0.1", "2024-13-01T12:00:00Z", 1),
    ],
)
async def test_the_servers_time_is_checked_as_its_version_demands(csms, plug_in, version, stamp, mistakes):
    csms.current_time = stamp
    point = await plug_in(version)
    assert point.ledger.protocol_errors == mistakes


async def test_a_transaction_id_given_twice_is_a_mistake(csms, plug_in):
    csms.transaction_ids = iter([7, 7])
    point = await plug_in("1.6")
    await point.charge(1, "DEMO-0001", 60.0)
    await point.charge(1, "DEMO-0001", 60.0)
    await point.wait_drained()
    assert "transactionId 7" in point.ledger.protocol_error_notes[0]


async def test_a_20_start_without_token_info_is_a_mistake(csms, plug_in):
    csms.fates["TransactionEvent"].append('raw:[3,"$ID",{}]')
    point = await plug_in("2.0.1")
    await point.charge(1, "DEMO-0001", 60.0)
    await point.wait_drained()
    assert "E01.FR.12" in point.ledger.protocol_error_notes[0]


async def test_an_invalid_call_is_refused_with_the_versions_own_code_and_counted(csms, plug_in):
    for version, code in (("1.6", "FormationViolation"), ("2.0.1", "FormatViolation")):
        point = await plug_in(version, identity=version)
        connection = csms.peers[version]._connection
        answers = csms.peers[version]._response_queue
        await connection.send('[2,"a","Reset",{"type":"Warm"}]')
        answer = await answers.get()
        assert (answer.unique_id, answer.error_code) == ("a", code)
        assert point.ledger.protocol_errors == 1


async def test_without_validation_wrong_payloads_crash_nothing(csms, plug_in):
    point = await plug_in("1.6", validate=False)
    peer = csms.peers["CP 1/ä"]
    for action in point._commands._table:
        await peer._connection.send(f'[2,"{action}","{action}",{{"connectorId":{{}},"key":5,"type":[]}}]')
        answer = await peer._response_queue.get()
        assert answer.unique_id == action
