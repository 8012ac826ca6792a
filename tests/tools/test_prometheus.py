"""A Prometheus of our own: it answers, says what is wrong with its configuration, and leaves nothing behind."""

from pathlib import Path

import pytest

from tools.nodes import NodeFailed, NodeUnavailable, PrivatePrometheus, binaries
from tools.nodes.ports import accepts


def test_it_answers_queries_and_leaves_nothing_behind(tmp_path: Path):
    server = PrivatePrometheus(tmp_path / "node", "global: {scrape_interval: 1s}\n")
    server.start()
    try:
        (one,) = server.query("vector(1)")
        assert one["value"][1] == "1"
        with pytest.raises(NodeFailed, match="parse error"):
            server.query("sum(")
    finally:
        server.discard()
    assert not accepts(int(server.url.rpartition(":")[2]))
    assert not server.data_dir.exists()


def test_a_faulty_configuration_is_told_with_the_log(tmp_path: Path):
    server = PrivatePrometheus(tmp_path / "node", "scrape_config: []\n")
    with pytest.raises(NodeFailed, match="field scrape_config not found"):
        server.start()


def test_a_machine_without_it_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(binaries, "search_path", lambda: str(tmp_path))
    monkeypatch.setattr(binaries, "_UNPACKED_PROMETHEUS", tmp_path)
    with pytest.raises(NodeUnavailable, match=r"tools/bootstrap\.sh test"):
        binaries.prometheus_directory()
