"""The bench of costs measures every constant that names it."""

import pytest

from loadtest.report.model import Report
from loadtest.sizing.constants import shipped
from tools.bench import costs


@pytest.mark.system
def test_every_constant_that_it_is_for_is_in_its_report(tmp_path) -> None:
    file = tmp_path / "costs.json"
    assert costs.main(["--sockets", "3", "--rounds", "1", "--report", str(file)]) == 0
    report = Report.decode(file.read_bytes())
    wanted = {
        name for name, constant in shipped().sources.items() if (constant.where or {}).get("scenario") == costs.SCENARIO
    }
    _, renewed = shipped().measured_by([report])
    assert set(renewed) == wanted
    assert {figure.name for figure in report.figures} >= {shipped().sources[name].figure for name in wanted}
