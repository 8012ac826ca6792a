"""The container nodes against a docker command that only takes notes: there need not be an engine where tests run."""

from pathlib import Path

import pytest

from tools.nodes import NodeFailed, binaries, broker_for, choose, database_for
from tools.nodes.docker import POSTGRES_IMAGE, RABBITMQ_IMAGE, DockerPostgres, DockerRabbit, docker_answers


class Docker:
    def __init__(self, directory: Path) -> None:
        self.notes = directory / "notes"
        self.program = directory / "docker"

    def behaves(self, body: str) -> None:
        self.program.write_text(f'#!/bin/sh\necho "$*" >>{self.notes}\n{body}\n')
        self.program.chmod(0o755)

    def calls(self, verb: str) -> list[str]:
        return [line for line in self.notes.read_text().splitlines() if line.split()[0] == verb]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    for variable in ("AMQP_URL", "DATABASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(binaries, "search_path", lambda: str(tmp_path))
    monkeypatch.setattr(binaries, "_RABBITMQ_DIRECTORIES", ())
    monkeypatch.setattr(binaries, "_POSTGRES_PATTERN", str(tmp_path / "none-*"))
    return Docker(tmp_path)


def test_containers_are_the_choice_where_only_an_engine_answers(docker: Docker, tmp_path: Path):
    assert not docker_answers()
    docker.behaves("exit 1")
    assert not docker_answers()
    docker.behaves("exit 0")
    assert docker_answers()
    assert isinstance(broker_for(tmp_path / "a"), DockerRabbit)
    assert isinstance(database_for(tmp_path / "b"), DockerPostgres)


def test_installed_servers_come_before_containers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(choose, "docker_answers", lambda: pytest.fail("the engine was asked"))
    assert not isinstance(database_for(tmp_path), DockerPostgres)


@pytest.mark.parametrize(
    ("node", "image", "ports"), [(DockerRabbit, RABBITMQ_IMAGE, 3), (DockerPostgres, POSTGRES_IMAGE, 1)]
)
def test_a_container_that_ends_at_once_fails_with_its_log_and_is_removed(
    docker: Docker, tmp_path: Path, node: type[DockerRabbit | DockerPostgres], image: str, ports: int
):
    docker.behaves("case $1 in start) echo out of memory; exit 137 ;; esac")
    container = node(tmp_path / "node")
    with pytest.raises(NodeFailed, match="out of memory"):
        container.start()
    container.discard()
    (created,) = docker.calls("create")
    assert image in created.split()
    assert created.count("--publish=127.0.0.1:") == created.count("--publish=") == ports
    (removed,) = docker.calls("rm")
    name = removed.split()[-1]
    assert f"--name={name}" in created
    assert not (tmp_path / "node").exists()


def test_an_image_that_cannot_be_pulled_fails_in_words(docker: Docker, tmp_path: Path):
    docker.behaves("case $1 in create) echo 'pull access denied' >&2; exit 1 ;; esac")
    with pytest.raises(NodeFailed, match="docker create failed: pull access denied"):
        DockerRabbit(tmp_path / "node").start()
