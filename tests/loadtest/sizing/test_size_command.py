"""`ocpp-loadtest size` on the command line."""

import orjson
import pytest
import yaml

from loadtest.cli import main
from loadtest.report.model import Figure, Machine, Report
from loadtest.sizing.constants import Basis, read, shipped


def size(*arguments: str) -> int:
    return main(["size", *arguments])


def test_text_names_every_part_and_what_is_near_its_end(capsys) -> None:
    assert size("--charge-points", "1000000", "--tls") == 0
    said = capsys.readouterr().out
    for word in ("4 cells", "gateway", "authorization", "metering", "broker", "store", "another cell", "Power cut"):
        assert word in said
    assert all(len(line) <= 160 for line in said.splitlines())


def test_json_is_whole_and_has_the_source_of_each_constant(capsys) -> None:
    assert size("--charge-points", "30000", "--format", "json") == 0
    data = orjson.loads(capsys.readouterr().out)
    assert data["cells"] == 1
    assert {tier["name"] for tier in data["cell"]["tiers"]} >= {"gateway", "commands", "broker", "store"}
    assert data["constants"].keys() == shipped().sources.keys()
    assert all(constant["source"] for constant in data["constants"].values())


def test_helm_values_are_yaml_for_one_cell(capsys) -> None:
    assert size("--charge-points", "600000", "--format", "helm-values") == 0
    said = capsys.readouterr().out
    values = yaml.safe_load(said)
    assert values["gateway"]["replicas"] >= 3
    assert values["gateway"]["resources"]["requests"]["cpu"] == "1000m"
    assert set(values["workers"]) == {"authorization", "metering", "firmware", "diagnostics", "commands"}
    assert said.startswith("# 600,000 charge points in 3 cell(s); one cell of 200,000.")


def test_the_mix_is_what_the_arguments_say(capsys) -> None:
    base = ["--charge-points", "10000", "--format", "json"]
    calls = []
    for more in ([], ["--heartbeat-seconds", "60"], ["--sample-seconds", "10"], ["--charging-share", "0.25"]):
        assert size(*base, *more) == 0
        calls.append(sum(orjson.loads(capsys.readouterr().out)["cell"]["demand"]["calls"].values()))
    assert calls[0] == min(calls)
    assert len(set(calls)) == len(calls)


def test_a_report_and_written_constants_give_the_same_size_again(tmp_path, capsys) -> None:
    report = Report(
        scenario="idle", command="ocpp-loadtest idle", began="2026-05-01T12:00:00+00:00", seconds=1.0,
        machine=Machine(cores=4, memory_bytes=1, cpu="c", system="s", python="p"), settings={"tls": False},
        figures=[Figure(name="gateway_kb_per_connection", value=100.0, unit="KB")],
    )  # fmt: skip
    (tmp_path / "report.json").write_bytes(report.encode())
    kept = tmp_path / "constants.toml"
    base = ["--charge-points", "50000", "--format", "json"]
    assert size(*base, "--from", str(tmp_path / "report.json"), "--write-constants", str(kept)) == 0
    first = capsys.readouterr()
    assert "gateway_kb_per_socket" in first.err
    assert read(kept.read_text()).sources["gateway_kb_per_socket"].basis is Basis.MEASURED
    assert size(*base, "--constants", str(kept)) == 0
    assert capsys.readouterr().out == first.out
    assert size(*base) == 0
    assert capsys.readouterr().out != first.out


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--charge-points", "0"],
        ["--charge-points", "many"],
        ["--charge-points", "10", "--from", "/nowhere.json"],
        ["--charge-points", "10", "--from", __file__],
        ["--charge-points", "10", "--constants", __file__],
        ["--charge-points", "10", "--charging-share", "0.9", "--session-seconds", "nan"],
        ["--charge-points", "10", "--sample-seconds", "0"],
    ],
)
def test_bad_arguments_are_said_and_end_with_2(wrong, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        size(*wrong)
    assert ended.value.code == 2
    assert "ocpp-loadtest" in capsys.readouterr().err
