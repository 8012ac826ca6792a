"""What all dashboards have in common: their variables, their rows, links to each other, and stable JSON."""

import json
from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Panel,
    VariableRefresh,
    VariableSort,
)

from tools.dashboards.panels import PROMETHEUS

Panels = Sequence[Builder[Panel]]
Row = tuple[str, Panels]
TAG = "ocpp-gateway"


def board(name: str, title: str, about: str, variables: Sequence[Builder[Any]], rows: Sequence[Row]) -> str:
    """One dashboard as JSON text, the same for the same arguments."""
    made = (
        dashboard.Dashboard(f"OCPP / {title}")
        .uid(f"ocpp-{name}")
        .description(about)
        .tags([TAG])
        .editable()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
        .variables(list(variables))
        .links([_to_others()])
    )
    number = 0
    for row, panels in rows:
        number += 1
        made.with_row(dashboard.Row(row).id(number))
        for panel in panels:
            number += 1
            panel.id(number)  # type: ignore[attr-defined] # every builder of a panel has it; their face does not
            made.with_panel(panel)
    return json.dumps(made.build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def prometheus_variables() -> list[Builder[Any]]:
    """Which Prometheus, and which cells."""
    return [
        dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"),
        query_variable("namespace", "Namespace", "label_values(ocpp_build_info, namespace)", PROMETHEUS),
    ]


def query_variable(
    name: str, label: str, query: str, source: DataSourceRef, *, all_value: str | None = ".*"
) -> Builder[Any]:
    """Some or all values of a label. All is `.*`, which matches a label that is not there; with None, each of them."""
    variable = (
        dashboard.QueryVariable(name)
        .label(label)
        .query(query)
        .datasource(source)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
    )
    return variable if all_value is None else variable.all_value(all_value)


def _to_others() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("OCPP").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.as_dropdown(True).include_vars(True).keep_time(True)
