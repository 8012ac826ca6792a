from dataclasses import replace

import pytest

from loadtest.cli import main
from loadtest.report import writing
from loadtest.report.model import Report, Series
from tests.support.reports import steady


@pytest.fixture
def run(tmp_path):
    """A small report in a folder of its own."""
    report = steady()
    report.series = [Series(name="p99", unit="ms", group="latency", points=[(0.0, 3.0), (60.0, 4.0)])]
    report.stages.clear()
    report.anchors.clear()
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "report.json").write_bytes(report.encode())
    return folder


def test_render_makes_everything_of_the_data(run, tmp_path, capsys):
    to = tmp_path / "deep" / "page"
    assert main(["render", str(run / "report.json"), "--to", str(to)]) == 0
    names = ["report.json", "plots/latency.png", "report.md", "report.html"]
    assert capsys.readouterr().out.splitlines() == [str(to / name) for name in names]
    assert sorted(path for path in to.rglob("*") if path.is_file()) == sorted(to / name for name in names)
    assert Report.decode((to / "report.json").read_bytes()) == Report.decode((run / "report.json").read_bytes())
    assert "data:image/png;base64," in (to / "report.html").read_text()


def test_without_matplotlib_the_pages_say_so(run, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "find_spec", lambda _: None)
    assert main(["render", str(run), "--to", str(tmp_path)]) == 0
    assert not (tmp_path / "plots").exists()
    for name in ("report.md", "report.html"):
        assert "matplotlib is not installed" in (tmp_path / name).read_text()


def test_the_data_is_there_when_drawing_breaks(run, tmp_path, monkeypatch):
    def broken(report):
        raise RuntimeError("no ink")

    monkeypatch.setattr(writing, "_pictures", broken)
    report = Report.decode((run / "report.json").read_bytes())
    with pytest.raises(RuntimeError, match="no ink"):
        writing.write(report, tmp_path / "to")
    assert Report.decode((tmp_path / "to" / "report.json").read_bytes()) == report


def test_compare_ends_with_what_it_found(run, tmp_path, capsys):
    worse = Report.decode((run / "report.json").read_bytes())
    worse.figures[1] = replace(worse.figures[1], value=7.1)
    other = tmp_path / "worse.json"
    other.write_bytes(worse.encode())
    assert main(["compare", str(run), str(other)]) == 1
    assert "**worse**" in capsys.readouterr().out
    assert main(["compare", str(run), str(other), "--tolerance", "20%"]) == 0
    assert main(["compare", str(other), str(run), "--tolerance", "5"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["render", "{tmp}/none.json", "--to", "{tmp}"], "none.json cannot be read: No such file"),
        (["render", "{tmp}/bad.json", "--to", "{tmp}"], "bad.json is not a report"),
        (["render", "{run}", "--to", "{tmp}/bad.json"], "bad.json cannot be written"),
        (["compare", "{run}", "{tmp}/bad.json"], "bad.json is not a report"),
        (["compare", "{run}", "{run}", "--tolerance", "much"], "'much' is not a percentage"),
        (["compare", "{run}", "{run}", "--tolerance", "-1"], "'-1' is not a percentage"),
        (["compare", "{run}", "{run}", "--tolerance", "nan"], "'nan' is not a percentage"),
    ],
)
def test_bad_arguments_are_named(run, tmp_path, capsys, arguments, words):
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(SystemExit) as ended:
        main([argument.format(run=run, tmp=tmp_path) for argument in arguments])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
