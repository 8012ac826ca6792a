"""Writes docs/observing.md, the metrics and log events of every process, from the code; `make docs` runs it."""

import ast
import importlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from gateway.durations import Durations
from gateway.journal import LOGGED

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "observing.md"
NOTICED_FIELDS = "`identity`, `session`, `detail`; `unique_id` and `trace` where there is one"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
HEAD = """# What the processes show

Every process serves `/metrics` (Prometheus), `/healthz` (alive; never depends on broker or database) and `/readyz`
(may take new work; the body names each check) on `OCPP_MONITOR_PORT`. Logs are JSON lines, or console lines on a
terminal; each has `event`, `level`, `timestamp`, `process`, and the fields named here. One charge point's story is the
lines with its `identity`; a session's are those with its `session`; `trace` is there where the Call's or command's
trace is recorded ([tracing](tracing.md)). Payloads, tokens and credentials are never logged,
and no metric has an identity for a label. These names are part of the contract. This page is made from the code by
`make docs`.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, module in (
        ("every process", "contracts.process.metrics"),
        ("the broker link", "contracts.broker.metrics"),
        ("the gateway", "gateway.metrics"),
        ("the workers", "workers.metrics"),
    ):
        rows = sorted(_metrics(module))
        parts.append(f"\n## Metrics of {title}\n\n" + _table(("metric", "kind", "labels", "meaning"), rows))
    for package in ("contracts", "gateway", "workers"):
        noticed = {(f"`{name}`", "warning", NOTICED_FIELDS) for name in LOGGED.values()}
        rows = sorted({*_events(package), *(noticed if package == "gateway" else ())})
        parts.append(f"\n## Log events of {package}\n\n" + _table(("event", "level", "fields"), rows))
    return "".join(parts)


def _metrics(module: str) -> Iterator[tuple[str, ...]]:
    for metric in vars(importlib.import_module(module)).values():
        if isinstance(metric, MetricWrapperBase | Durations):
            (family,) = metric.describe() if isinstance(metric, MetricWrapperBase) else metric.collect()
            suffix = "_total" if family.type == "counter" else ""
            # of the library's own metrics there is no public way to know
            named = metric.label_names if isinstance(metric, Durations) else getattr(metric, "_labelnames", ())
            labels = ", ".join(f"`{name}`" for name in named)
            yield f"`{family.name}{suffix}`", family.type, labels, family.documentation


def _events(package: str) -> Iterator[tuple[str, ...]]:
    for file in sorted((ROOT / package).rglob("*.py")):
        yield from events_of(file.read_text())


def events_of(source: str) -> Iterator[tuple[str, ...]]:
    """Event, level and fields of each log line that a module writes, those its logger is bound to among them."""
    module = ast.parse(source)
    shared = _bound(module.body)
    for scope in module.body:
        bound = shared | _bound(ast.walk(scope))
        for node in ast.walk(scope):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            name = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
            if node.func.attr in LEVELS and isinstance(name, str) and "." in name and " " not in name:
                named = [*bound.get(ast.unparse(node.func.value), ()), *_keywords(node)]
                fields = ", ".join(f"`{field}`" for field in named if field != "exc_info")
                yield f"`{name}`", "error" if node.func.attr == "exception" else node.func.attr, fields


def _bound(nodes: Iterable[ast.AST]) -> dict[str, list[str]]:
    """The fields that each logger (`self._log`, `_log`) is bound to where it is assigned."""
    return {
        ast.unparse(target): _keywords(node.value)
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        if isinstance(node.value.func, ast.Attribute) and node.value.func.attr == "bind"
        for target in node.targets
    }


def _keywords(call: ast.Call) -> list[str]:
    return [word.arg for word in call.keywords if word.arg]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return (
        "\n".join([*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)])
        + "\n"
    )


if __name__ == "__main__":
    sys.exit(PAGE.write_text(page()) and 0)
