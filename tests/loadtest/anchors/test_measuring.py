"""All anchors together, and the command."""

import orjson
import pytest

from loadtest.anchors.bodies import BOOT, HEARTBEAT, METER_VALUES
from loadtest.anchors.command import lines
from loadtest.anchors.measuring import OURS, Found, beside
from loadtest.cli import main
from loadtest.report.model import Anchor, Figure, Machine, Report
from loadtest.schemas import request_flaw


def report(*figures: Figure) -> Report:
    machine = Machine(cores=2, memory_bytes=2**32, cpu="", system="", python="")
    return Report(
        scenario="steady", command="", began="2026-01-05T08:00:00Z", seconds=1.0, machine=machine,
        figures=list(figures),
    )  # fmt: skip


def anchor(name: str, unit: str = "µs", value: float = 40.0) -> Anchor:
    return Anchor(name=name, unit=unit, value=value)


@pytest.mark.parametrize("message", [BOOT, HEARTBEAT, METER_VALUES])
def test_what_is_said_is_valid(message):
    _, unique_id, action, payload = orjson.loads(message % 7)
    assert unique_id == "7"
    assert request_flaw(action, payload, "1.6") is None


def test_our_figure_stands_beside_an_anchor_of_the_same_unit():
    theirs = [anchor("websockets_echo_cpu_us_per_call"), anchor("websockets_echo_p50_ms", "ms")]
    first, second = beside(theirs, report(Figure(name="gateway_cpu_us_per_call", value=80.0, unit="µs")))
    assert first.ratio == 2.0
    assert second.ratio is None


@pytest.mark.parametrize(
    "figures",
    [
        (),
        (Figure(name="gateway_cpu_us_per_call", value=0.08, unit="ms"),),
        (Figure(name="gateway_cpu_us_per_call", value=None, unit="µs"),),
    ],
)
def test_without_such_a_figure_there_is_no_ratio(figures):
    (only,) = beside([anchor("websockets_echo_cpu_us_per_call")], report(*figures))
    assert only.ratio is None


def test_the_table_is_in_columns_and_ends_with_the_notes():
    told = lines(Found(anchors=[anchor("a", "µs", 4.04), anchor("longer", "Calls/s", 12345.6)], notes=["but"]))
    assert told == ["a          4.0 µs       ", "longer  12,346 Calls/s  ", "but"]


def test_the_command_goes_on_without_what_fails_and_says_so(tmp_path, capsys):
    path = tmp_path / "anchors.json"
    arguments = ["--seconds", "0.1", "--active", "2", "--sockets", "6", "--amqp-url", "http://nobody", "--json", path]
    assert main(["anchors", *map(str, arguments)]) == 1
    told = orjson.loads(path.read_bytes())
    assert set(OURS) <= {anchor["name"] for anchor in told["anchors"]}
    assert told["notes"] == [
        "RabbitMQ's own ceiling: broker_answerer ended before its time; what it said on standard error tells why"
    ]
    assert told["notes"][0] in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--seconds", "0"], ["--seconds", "x"], ["--active", "9", "--sockets", "9"]])
def test_arguments_that_cannot_be_are_refused(arguments):
    with pytest.raises(SystemExit) as refused:
        main(["anchors", *arguments])
    assert refused.value.code == 2
