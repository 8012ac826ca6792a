"""What the committed dashboards ask Prometheus."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tools.dashboards.__main__ import DASHBOARDS, FOLDER


@dataclass(frozen=True)
class Asked:
    """One query of one panel."""

    dashboard: str
    panel: str
    expression: str

    def filled_in(self, interval: str) -> str:
        """With values for Grafana's variables: everything, and this interval for rates."""
        filled = self.expression.replace("$__rate_interval", interval)
        return filled.replace("$namespace", ".*").replace("$instance", ".*")


def read(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return loaded


def panels(name: str) -> list[dict[str, Any]]:
    """Those that show something."""
    return [panel for panel in read(name)["panels"] if panel["type"] != "row"]


def asked() -> Iterator[Asked]:
    """Every query to Prometheus."""
    for name in DASHBOARDS:
        for panel in panels(name):
            for target in panel["targets"]:
                if target["datasource"]["type"] == "prometheus":
                    yield Asked(name, panel["title"], target["expr"])
