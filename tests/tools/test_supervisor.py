"""What dies is started again, until it keeps dying."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tools.nodes.faces import NodeFailed
from tools.supervisor import FORGIVEN_AFTER_S, MOST_DEATHS, Supervisor


@dataclass
class Process:
    log: Path
    name: str = "metering"
    alive: bool = True
    starts: int = 0

    def start(self) -> None:
        self.alive = True
        self.starts += 1

    def release(self) -> None:
        pass


@dataclass
class Broker:
    running: bool = True
    starts: int = 0
    failure: Exception | None = None
    may_start: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self.may_start.wait(20)
        self.starts += 1
        if self.failure is not None:
            raise self.failure
        self.running = True


class Watch:
    """A supervisor of one process and one broker, at a time that is given."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.told: list[str] = []
        self.process = Process(folder / "metering.log")
        self.broker = Broker()
        self.supervisor = Supervisor([self.process], self.broker, self.told.append, lambda: self.now)  # type: ignore[arg-type,list-item]

    def look_again_after_a_death(self, seconds: float) -> str | None:
        self.now += seconds
        self.process.alive = False
        return self.supervisor.look()


@pytest.fixture
def watch(tmp_path: Path):
    watch = Watch(tmp_path)
    yield watch
    watch.broker.may_start.set()
    watch.supervisor.close()


def test_a_process_that_keeps_dying_is_given_up_with_the_end_of_its_log(watch: Watch):
    watch.process.log.write_text("no such setting")
    assert [watch.look_again_after_a_death(1.0) for _ in range(MOST_DEATHS)] == [None] * MOST_DEATHS
    assert watch.process.starts == MOST_DEATHS
    assert watch.look_again_after_a_death(1.0) == "metering keeps dying; the end of metering.log:\nno such setting"


def test_the_deaths_of_a_process_that_stayed_up_are_forgotten(watch: Watch):
    for _ in range(3):
        assert [watch.look_again_after_a_death(1.0) for _ in range(MOST_DEATHS - 1)] == [None] * (MOST_DEATHS - 1)
        assert watch.look_again_after_a_death(FORGIVEN_AFTER_S) is None


def test_a_dead_broker_is_told_and_started_again_without_blocking_the_look(watch: Watch):
    watch.broker.running = False
    assert watch.supervisor.look() is None  # and returns, though the broker has not started yet
    assert watch.supervisor.look() is None
    watch.broker.may_start.set()
    watch.supervisor.close()
    assert watch.supervisor.look() is None
    assert watch.broker.starts == 1
    assert [text.split(",")[0].split(";")[0] for text in watch.told] == [
        "RabbitMQ has died and is started again",
        "RabbitMQ is back",
    ]


def test_a_broker_that_cannot_be_started_again_is_hopeless(watch: Watch):
    watch.broker.running = False
    watch.broker.failure = NodeFailed("the disk is full")
    watch.supervisor.look()
    watch.broker.may_start.set()
    watch.supervisor.close()
    assert watch.supervisor.look() == "the disk is full"


def test_a_given_broker_is_nobodys_to_start(tmp_path: Path):
    supervisor = Supervisor([], None, pytest.fail)
    assert supervisor.look() is None
    supervisor.close()
