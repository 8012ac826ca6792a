"""Panels as our dashboards have them: what is shown, of which queries, in which unit."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import common, logs, loki, prometheus, stat, table, tempo, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef, DataTransformerConfig, DynamicConfigValue

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")
LOKI = DataSourceRef(type_val="loki", uid="${logs}")
TEMPO = DataSourceRef(type_val="tempo", uid="${traces}")

HEIGHT = 8
WIDTHS = {"third": 8, "half": 12, "whole": 24}

Query = tuple[str, str]
"""A PromQL expression, and the legend of its series."""


def graph(
    title: str,
    *queries: Query,
    unit: str = "short",
    width: str = "third",
    stacked: bool = False,
    from_zero: bool = True,
    about: str = "",
) -> timeseries.Panel:
    """What was over time; its axis begins at 0 unless what is shown may be less."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(WIDTHS[width])
        .height(HEIGHT)
        .draw_style(GraphDrawStyle.LINE)
        .fill_opacity(30 if stacked else 5)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
            .show_legend(True)
        )
    )
    if from_zero:
        panel.min(0)
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    return panel.targets(list(_targets(queries)))


def figure(title: str, *queries: Query, unit: str = "short", about: str = "") -> stat.Panel:
    """What is now, as a number."""
    return (
        stat.Panel()
        .title(title)
        .description(about)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(4)
        .height(4)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(BigValueGraphMode.AREA)
        .targets(list(_targets(queries)))
    )


def log_lines(title: str, query: str, *, about: str = "", height: int = HEIGHT) -> logs.Panel:
    """The lines that a LogQL query finds."""
    return (
        logs.Panel()
        .title(title)
        .description(about)
        .datasource(LOKI)
        .span(24)
        .height(height)
        .show_time(True)
        .wrap_log_message(True)
        .enable_log_details(True)
        .with_target(loki.Dataquery().ref_id("A").datasource(LOKI).expr(query).max_lines(1000))
    )


def lines_with_traces(title: str, query: str, columns: Sequence[str], *, about: str = "") -> table.Panel:
    """The lines that a LogQL query finds, their fields as columns; one of them is `trace`, which leads to Tempo."""
    shown = {"Time": 0} | {name: place for place, name in enumerate(columns, start=1)}
    return (
        table.Panel()
        .title(title)
        .description(about)
        .datasource(LOKI)
        .span(24)
        .height(HEIGHT)
        .show_header(True)
        .transformations(
            [
                DataTransformerConfig("extractFields", options={"source": "labels", "replace": False}),
                DataTransformerConfig("filterFieldsByName", options={"include": {"names": list(shown)}}),
                DataTransformerConfig("organize", options={"indexByName": shown}),
            ]
        )
        .override_by_name(
            "trace", [DynamicConfigValue("links", [{"title": "Trace", "url": TRACE_URL, "targetBlank": True}])]
        )
        .with_target(loki.Dataquery().ref_id("A").datasource(LOKI).expr(query).max_lines(1000))
    )


def log_rates(title: str, query: str, legend: str, *, about: str = "") -> timeseries.Panel:
    """How many lines a LogQL query finds over time."""
    return (
        timeseries.Panel()
        .title(title)
        .description(about)
        .datasource(LOKI)
        .span(24)
        .height(HEIGHT)
        .min(0)
        .draw_style(GraphDrawStyle.BARS)
        .stacking(common.StackingConfig().mode(StackingMode.NORMAL))
        .with_target(loki.Dataquery().ref_id("A").datasource(LOKI).expr(query).legend_format(legend))
    )


def traces(title: str, query: str, *, about: str = "") -> table.Panel:
    """The traces that a TraceQL query finds."""
    return (
        table.Panel()
        .title(title)
        .description(about)
        .datasource(TEMPO)
        .span(24)
        .height(HEIGHT)
        .show_header(True)
        .with_target(tempo.TempoQuery().ref_id("A").datasource(TEMPO).query_type("traceql").query(query).limit(50))
    )


TRACE_URL = (
    "/explore?schemaVersion=1&panes="
    '{"t":{"datasource":"${traces}","queries":[{"refId":"A","datasource":{"type":"tempo","uid":"${traces}"},'
    '"queryType":"traceql","query":"${__value.raw}"}],"range":{"from":"now-7d","to":"now"}}}'
)
"""Explore with the trace whose id is the value of the cell."""


def _targets(queries: Sequence[Query]) -> Sequence[prometheus.Dataquery]:
    return [
        prometheus.Dataquery()
        .ref_id(chr(ord("A") + number))
        .datasource(PROMETHEUS)
        .expr(expression)
        .legend_format(legend)
        for number, (expression, legend) in enumerate(queries)
    ]
