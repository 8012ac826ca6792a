"""The operating guide and the drills name only what exists, and their command lines are understood."""

import re
import shlex
from collections.abc import Iterator
from itertools import groupby, takewhile
from pathlib import Path
from typing import Any

import opentelemetry.sdk.environment_variables as otel_sdk
import pytest
import yaml
from opentelemetry import environment_variables as otel_api
from sqlalchemy import select, text

from contracts.process.settings import variables
from contracts.topology import TOPOLOGY
from gateway.settings import GatewaySettings
from tests.support.command_lines import COMMANDS, NotUnderstoodError, understand
from tests.support.worker_store import migrated_store
from workers.settings import WorkerSettings
from workers.store.engine import StoreTransaction
from workers.store.outbox import event_sequences
from workers.store.tables import transactions

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "ocpp-gateway"
PAGES = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("operating", "drills")}
OBSERVING = (ROOT / "docs" / "observing.md").read_text()
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
CODE = "\n".join(
    path.read_text()
    for room in ("contracts", "gateway", "workers", "loadtest", "ocppctl")
    for path in (ROOT / room).rglob("*.py")
)
_OTHERS = {"compose.yaml", "site.toml", "cell-b.toml", "sizing.yaml", "event_id", "site.yaml", "handshake.refused"}
_FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
_INTO_A_CONTAINER = re.compile(r"docker (?:compose )?exec ([\w-]+) ")


def blocks(page: str, language: str) -> Iterator[str]:
    return (body for kind, body in _FENCE.findall(PAGES[page]) if kind == language)


def shell_commands(page: str) -> Iterator[list[str]]:
    """Each simple command of the page's shell blocks, as words; what a container is to run by itself."""
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            lexer = shlex.shlex(_INTO_A_CONTAINER.sub("", line), posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            for is_end, words in groupby(lexer, lambda word: word in {"|", "&&", ";"}):
                if not is_end:
                    yield list(takewhile(lambda word: word not in {">", "<"}, words))


def quoted(page: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", _FENCE.sub("", PAGES[page]))


def ours(words: list[str]) -> tuple[str, list[str]] | None:
    """Which command of ours these words call, and with what; None for others'."""
    if words[:2] == ["make", "load"]:
        return "make load", shlex.split(words[2].removeprefix("ARGS="))
    return (words[0], words[1:]) if words[0] in COMMANDS else None


@pytest.fixture
def _files_that_pages_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some are read as soon as a command line is."""
    for name, content in {"new-root.pem": "PEM", "profile.json": "{}", "FILE": "a password"}.items():
        (tmp_path / name).write_text(content)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_files_that_pages_name")
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_in_blocks_are_understood_as_they_stand(page):
    calls = [call for words in shell_commands(page) if (call := ours(words)) is not None]
    assert len(calls) > 5
    for command, words in calls:
        understand(command, words)


@pytest.mark.usefixtures("_files_that_pages_name")
@pytest.mark.parametrize("page", PAGES)
def test_commands_named_in_the_text_exist_though_some_are_named_without_all_they_need(page):
    for words in map(shlex.split, quoted(page)):
        inside = words[3:] if words[:2] == ["docker", "compose"] and words[2:3] == ["exec"] else words
        call = ours(inside[1:] if inside is not words else words)
        if call is None or call[0] == "make load":
            continue
        try:
            understand(*call)
        except NotUnderstoodError as error:  # a mention, not a command line
            assert "arguments are required" in str(error), words  # noqa: PT017


@pytest.mark.parametrize("page", PAGES)
def test_settings_exist(page):
    known = {name for kind in (GatewaySettings, WorkerSettings) for name, _, _ in variables(kind)}
    known |= {name for module in (otel_api, otel_sdk) for name in vars(module)}
    named = set(re.findall(r"\b(?:OCPP|OTEL|AMQP|DATABASE)_[A-Z_]+\b", PAGES[page]))
    assert named - known <= {"DATABASE_PASSWORD"}
    assert named


@pytest.mark.parametrize("page", PAGES)
def test_metrics_exist(page):
    named = {name for words in quoted(page) for name in re.findall(r"^ocpp_[a-z_]+", words)}
    assert {name for name in named if f"`{name}`" not in OBSERVING} == set()
    assert len(named) > 10
    for body in blocks(page, "sh"):
        for group in re.findall(r"\^ocpp_\(([a-z_|]+)\)", body):
            assert all(f"`ocpp_{name}`" in OBSERVING for name in group.split("|"))


@pytest.mark.parametrize("page", PAGES)
def test_events_exchanges_queues_reasons_tables_and_columns_exist(page):
    words = {word for word in quoted(page) if re.fullmatch(r"[a-z]+([._-][a-z_-]+)+", word)}
    values = chart_values()
    for word in words - _OTHERS:
        if (
            word.startswith("ocpp_")
            or word in values
            or re.search(rf"[`\"']{re.escape(word)}[`\"'.]", CODE + OBSERVING)
        ):
            continue
        known = {
            *COMMANDS,
            *SERVICES,
            *(one.name for one in TOPOLOGY.exchanges),
            *(one.name for one in TOPOLOGY.queues),
        }
        assert word in known or word.startswith(("rabbitmq_", "synchronous_", "meter_samples_", "net.")), word


def chart_values() -> set[str]:
    def paths(node: Any, before: str = "") -> Iterator[str]:
        if isinstance(node, dict):
            for key, value in node.items():
                yield f"{before}{key}"
                yield from paths(value, f"{before}{key}.")

    return set(paths(yaml.safe_load((CHART / "values.yaml").read_text())))


@pytest.mark.parametrize("page", PAGES)
def test_alerts_exist(page):
    rules = yaml.safe_load((CHART / "rules" / "alerts.yaml").read_text())
    known = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    named = set(re.findall(r"\bOcpp[A-Z]\w+", PAGES[page]))
    assert named - known == set()
    assert named


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page):
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    assert set(re.findall(r"\bmake ([a-z-]+) ARGS", PAGES[page])) <= targets


def test_the_drills_name_services_and_profiles_of_the_compose_file():
    page = PAGES["drills"]
    taking = ("kill", "up --detach", "stop", "start", "exec", "restart", "logs")
    named = {name for word in taking for name in re.findall(rf"docker compose {word} ([a-z]+)", page)}
    named |= set(re.findall(r"docker compose run .* ([a-z]+)$", page, re.MULTILINE))
    assert {"broker", "database", "gateway"} <= named <= set(SERVICES)
    profiles = {profile for service in SERVICES.values() for profile in service.get("profiles", [])}
    assert set(re.findall(r"--profile ([a-z]+)", page)) == profiles


def test_each_drill_says_what_to_see_and_how_it_ends():
    drills = re.split(r"(?m)^## ", PAGES["drills"])[1:]
    assert len(drills) == 9
    for drill in drills:
        assert "```sh\n" in drill
        assert "**See.**" in drill
        assert "**Ends**" in drill
        assert "*Seen:*" in drill


async def test_after_a_restore_no_number_is_given_twice(postgres_url):
    (statements,) = [body for body in blocks("operating", "sql") if "setval" in body]
    async with migrated_store(postgres_url) as store, store.transaction() as transaction:
        given = await _number_of_a_new_transaction(transaction, "1")
        await transaction.run(event_sequences.insert(), {"identity": "CP-1", "last_seq": 7})
        for statement in takewhile(str.strip, statements.split(";")):
            await transaction.run(text(statement))
        assert await _number_of_a_new_transaction(transaction, "2") > given + 99_999
        rows = await transaction.rows(select(event_sequences.c.last_seq))
        assert [row.last_seq for row in rows] == [100_007]


async def _number_of_a_new_transaction(transaction: StoreTransaction, key: str) -> int:
    row = {"identity": "CP-1", "natural_key": key, "ocpp_version": "1.6", "state": "active"}
    (made,) = await transaction.rows(transactions.insert().values(row).returning(transactions.c.id))
    return int(made.id)
