"""The rule files as data, and what their expressions name."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "helm" / "ocpp-gateway" / "rules"
FILES = (RULES / "recording.yaml", RULES / "alerts.yaml")
RUNBOOKS = ROOT / "docs" / "runbooks"


@cache
def rules() -> list[dict[str, Any]]:
    """Every rule of both files."""
    return [rule for file in FILES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """The alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def recorded() -> set[str]:
    """What the recording rules make."""
    return {rule["record"] for rule in rules() if "record" in rule}


def behind(alert: str) -> list[dict[str, Any]]:
    """This alert's rule, and before it those whose series it reads, directly or not."""
    wanted, kept = metrics_in(alerts()[alert]["expr"]), [alerts()[alert]]
    for rule in reversed(rules()):
        if rule.get("record") in wanted:
            wanted |= metrics_in(rule["expr"])
            kept.insert(0, rule)
    return kept


def metrics_in(expression: str) -> set[str]:
    """The names of all series that an expression reads; raises ValueError where it is not PromQL."""
    return {selector.name for selector in _selectors(promql_parser.parse(expression)) if selector.name}


def _selectors(node: Any) -> Iterator[Any]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
        return
    for part in ("expr", "lhs", "rhs", "param", "vector_selector"):
        below = getattr(node, part, None)
        if below is not None:
            yield from _selectors(below)
    for argument in getattr(node, "args", ()):
        yield from _selectors(argument)
