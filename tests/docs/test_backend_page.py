"""The guide for backend services includes the examples as they are, and leaves out nothing that the contract has."""

import json
import re
from typing import Any

from contracts import commands, topology
from contracts.bodies import MAX_BYTES
from contracts.commands import CommandOutcome, CommandRequest, Reason
from contracts.envelope import OutcomeKind
from contracts.events import EVENTS, binding_key, event_key
from contracts.operator import Operation, OperatorRequest
from gateway.settings import GatewaySettings
from tests.support.backend_examples import EXAMPLES
from tools.backend_page import PAGE, ROOT, page

TEXT = PAGE.read_text()


def test_the_page_is_what_the_code_and_the_examples_give():
    assert page(TEXT) == TEXT, "run `make docs`"


def test_every_example_is_on_the_page_as_it_is():
    files = [file for file in EXAMPLES.rglob("*.*") if file.suffix in {".py", ".js"}]
    assert len(files) == 6
    for file in files:
        assert f"<!-- begin {file.relative_to(ROOT)} -->\n" in TEXT
        assert f"\n{file.read_text()}```\n" in TEXT


def test_examples_need_nothing_of_ours():
    for file in EXAMPLES.rglob("*.py"):
        assert not re.search(
            r"^(from|import) (contracts|gateway|workers|tools|tests)\b", file.read_text(), re.MULTILINE
        )


def test_every_outcome_reason_event_and_operation_is_on_the_page():
    for word in (*OutcomeKind, *Reason, *EVENTS, *Operation):
        assert f"| `{word}` |" in TEXT, word


def _json_on_the_page() -> list[dict[str, Any]]:
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]


def test_the_bodies_on_the_page_are_what_our_code_reads():
    request, outcome, event, asked = _json_on_the_page()
    assert CommandRequest.model_validate(request).action == outcome["action"]
    assert CommandOutcome.model_validate(outcome).model_dump(mode="json") == outcome
    assert event["type"] in EVENTS
    assert OperatorRequest.model_validate(asked).operation is Operation.COMMAND


def test_the_limits_on_the_page_are_those_of_the_code():
    assert (commands.MOST_DIRECT_S, commands.MOST_TRACKED_S) == (600, 30 * 24 * 3600)
    assert MAX_BYTES == 1024**2
    waiting = GatewaySettings.model_fields["waiting_commands"].default
    assert f"| commands that wait for one connection | {waiting} by default |" in TEXT
    assert (topology.FRAME_LOG_AGE, topology.FRAME_LOG_BYTES) == ("24h", 2 * 1024**3)


def test_the_keys_on_the_page_are_those_of_the_code():
    assert event_key("x.y", "DE*ABC.1") == "x.y.DE=2AABC=2E1"
    assert "`DE=2AABC=2E1`" in TEXT
    assert f"`{binding_key()}`" in TEXT
    assert f"| `{binding_key('transaction.ended')}` |" in TEXT
    assert f"| `{binding_key(identity='DE-CP-0042')}` |" in TEXT
