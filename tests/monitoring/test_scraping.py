"""A real Prometheus reads a running system: rules evaluate, and each dashboard's query has an answer."""

import asyncio
import re
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from contracts.topology import DEAD_LETTERS, TOPOLOGY
from tests.monitoring.dashboard_files import Asked, asked
from tests.monitoring.metric_names import RABBITMQ, SUFFIXES
from tests.monitoring.odd_day import odd_day
from tests.monitoring.rule_files import FILES, alerts, metrics_in, rules
from tests.support.nodes import state_dir
from tools.load.local import LocalSystem
from tools.nodes.prometheus import PrivatePrometheus
from tools.observing_page import PAGE

pytestmark = pytest.mark.system
PATIENCE_S = 30
POLL_S = 0.2
OF_A_TARGET = {"__name__", "job", "instance", "namespace"}

QUIET = frozenset(
    {
        "ocpp_commands_redelivered_total",
        "ocpp_commands_untold_total",
        "ocpp_proxy_header_refused_total",
        "ocpp_signed_message_total",
        "ocpp_tls_revocations_next_update_seconds",
        "ocpp_worker_certificate_orders_total",
        "ocpp_worker_commands_total",
        "ocpp_worker_invalid_replies_total",
    }
)
"""What counts what does not come about here, and has labels of which no value is known before: there is no series. Of a
revocation list: there is none.
"""


def _configuration(system: LocalSystem) -> str:
    """Every process and the broker once a second, all in the namespace that Kubernetes would give them."""
    jobs = []
    for part in system.parts:
        if part.metrics_url is not None:
            jobs.append(_job(part.name, part.metrics_url))
            if part.kind == "broker":
                jobs.append(_job(f"{part.name}-overview", part.metrics_url.partition("/detailed")[0]))
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(file) for file in FILES],
            "scrape_configs": jobs,
        }
    )


def _job(name: str, url: str) -> dict[str, object]:
    parts = urlsplit(url)
    return {
        "job_name": name,
        "metrics_path": parts.path,
        "params": parse_qs(parts.query),
        "static_configs": [{"targets": [parts.netloc], "labels": {"namespace": "cell"}}],
    }


def _until(condition: Callable[[], bool], told: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(POLL_S)


@pytest.fixture(scope="module")
def prometheus(load_system: LocalSystem) -> Iterator[PrivatePrometheus]:
    """It has read the system before, while and after a charge point had two odd days, so that counters have grown."""
    server = PrivatePrometheus(state_dir("prometheus"), _configuration(load_system))
    try:
        server.start()
        _until(lambda: all_up(server), lambda: server.query("up"))
        load_system.stack.gateways[0].signal(signal.SIGHUP)  # its certificates are read anew
        for series in ("ocpp_call_answered_total", "namespace:ocpp_calls_failed:ratio_rate3d"):
            asyncio.run(odd_day(load_system.urls[0], load_system.secure_urls[0], str(load_system.amqp_url)))
            _until_there(server, series)
        yield server
    finally:
        server.discard()


def _until_there(server: PrivatePrometheus, series: str) -> None:
    _until(lambda: bool(server.query(series)), lambda: f"there is no {series}")


def all_up(server: PrivatePrometheus) -> bool:
    targets = server.query("up")
    return len(targets) >= 9 and all(target["value"][1] == "1" for target in targets)


def test_every_rule_evaluates(prometheus: PrivatePrometheus):
    def evaluated() -> dict[str, str]:
        groups = prometheus.api("rules")["groups"]
        return {rule["name"]: rule["health"] + rule.get("lastError", "") for group in groups for rule in group["rules"]}

    _until(lambda: "unknown" not in evaluated().values(), evaluated)
    assert evaluated() == {rule.get("alert") or rule["record"]: "ok" for rule in rules()}


def test_processes_expose_what_the_page_of_metrics_says_and_nothing_else(prometheus: PrivatePrometheus):
    rows = re.findall(r"^\| `(ocpp_\w+)` \| (\w+) \| (.*?) \|", PAGE.read_text(), re.MULTILINE)
    kinds = {name: {kind} for name, kind, _ in rows}
    labels = {
        f"{name.removesuffix('_total')}{suffix}": set(re.findall(r"\w+", named))
        for name, kind, named in rows
        for suffix in SUFFIXES[kind]
    }

    def exposed() -> dict[str, set[str]]:
        """Kinds by name; a metric is told of without a series, too."""
        told = prometheus.api("metadata")
        return {name: {one["type"] for one in told[name]} for name in told if name.startswith("ocpp_")}

    _until(lambda: exposed() == kinds, lambda: (exposed().keys() ^ kinds.keys(), exposed(), kinds))
    seen: dict[str, set[str]] = defaultdict(set)
    for series in prometheus.api("series", **{"match[]": '{__name__=~"ocpp_.+"}'}):
        seen[series["__name__"]] |= series.keys() - OF_A_TARGET  # where a label is empty, Prometheus leaves it out
    assert len(seen) > 100
    for name, found in seen.items():
        assert found == labels[name] | ({"le"} if name.endswith("_bucket") else set()), name


def test_what_we_read_of_rabbitmq_is_there(prometheus: PrivatePrometheus):
    _until(lambda: set(prometheus.api("label/__name__/values")) >= RABBITMQ, lambda: "not all of RabbitMQ's metrics")


def test_the_queues_that_must_have_consumers_are_those_of_the_topology(prometheus: PrivatePrometheus):
    every_queue, _, none = alerts()["OcppNoConsumers"]["expr"].rpartition("==")
    assert none.strip() == "0"
    ours = {queue.name for queue in TOPOLOGY.queues} - {DEAD_LETTERS}
    _until(lambda: {found["metric"]["queue"] for found in prometheus.query(every_queue)} == ours, lambda: ours)


def test_every_query_of_a_dashboard_has_an_answer(prometheus: PrivatePrometheus):
    exposed = prometheus.api("metadata")

    def excused(query: Asked) -> bool:
        read = metrics_in(query.filled_in("1m"))
        return read <= QUIET and read <= exposed.keys()

    unanswered = list(asked())

    def answered() -> bool:
        unanswered[:] = [query for query in unanswered if not prometheus.query(query.filled_in("1m"))]
        return all(map(excused, unanswered))

    _until(
        answered, lambda: "\n".join(f"{query.panel}: {query.expression}" for query in unanswered if not excused(query))
    )
    assert set().union(*(metrics_in(query.filled_in("1m")) for query in unanswered)) <= QUIET
