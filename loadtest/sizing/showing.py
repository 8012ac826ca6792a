"""A plan as text for people, as JSON, and as values for a Helm chart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

import orjson

from loadtest.sizing.cells import Cell, Plan
from loadtest.sizing.constants import Basis, Constants
from loadtest.sizing.storm import Recovery
from loadtest.sizing.tiers import Tier, rounded_up

SERVERS = ("broker", "store")
_NEAREST = 4
_SPARE_SOCKETS = 1.25
_STANDBYS = 1


def text(plan: Plan, constants: Constants) -> str:
    """For people."""
    cell = plan.cell
    asked = cell.demand
    lines = [
        f"{plan.charge_points:,} charge points in {plan.cells} {'cell' if plan.cells == 1 else 'cells'} ({plan.why})"
        + ("" if plan.cells == 1 else f", each of {asked.charge_points:,}; all below is of one cell"),
        (
            f"Busiest hour: {amount(asked.calls_per_s)} Calls/s, {amount(asked.commands)} commands/s, "
            f"{amount(asked.events)} events/s; Calls/s by action:"
        ),
        f"  {_by_action(asked.calls)}",
        "",
        *_table(
            ("part", "replicas", "cores each", "GB each", "cores busy", "what asks for so many"),
            [
                (tier.name, str(tier.replicas), f"{tier.cores:g}", f"{tier.memory_gb:g}", f"{tier.busy_cores:.2f}",
                 tier.why)
                for tier in cell.tiers
            ],
        ),
        "",
    ]  # fmt: skip
    for tier in cell.tiers:
        if tier.name in {"gateway", *SERVERS}:
            lines += [f"{tier.name}:", *(f"  {name}: {amount(value)}" for name, value in tier.figures.items())]
    lines += ["", "Nearest to its end, of what cannot be added to in a cell:"]
    lines += [f"  {ceiling.share:6.1%}  {ceiling.what}; then: {ceiling.then}" for ceiling in cell.ceilings[:_NEAREST]]
    lines += [
        "",
        f"Gateways lost: {told(cell.gateways_lost)}",
        f"Power cut: {told(cell.power_cut)}",
        "",
        f"In all, without the database's standby: {plan.cores:,.0f} cores, {plan.memory_gb:,.0f} GB of memory.",
        *_reliance(constants),
    ]
    return "\n".join(lines) + "\n"


def told(recovery: Recovery) -> str:
    """A recovery in two lines."""
    if not isfinite(recovery.registered_s):
        return "not all come back within the time that was looked at"
    return (
        f"half are back after {recovery.half_s:,.0f} s, all after {recovery.connected_s:,.0f} s, "
        f"registered after {recovery.registered_s:,.0f} s;\n"
        f"  {recovery.refused:,.0f} refusals with Retry-After, {recovery.dropped:,.0f} dropped, "
        f"{recovery.boots_again:,.0f} boots repeated; gateways at {recovery.busiest_share:.0%} in the busiest second"
    )


def json(plan: Plan, constants: Constants) -> bytes:
    """As data; infinite times are null."""
    data = asdict(plan)
    for storm in ("gateways_lost", "power_cut"):
        del data["cell"][storm]["moments"]
    data["total"] = {"cores": plan.cores, "memory_gb": plan.memory_gb}
    data["constants"] = {
        name: {"value": constant.value, "unit": constant.unit, "basis": constant.basis, "source": constant.source}
        for name, constant in constants.sources.items()
    }
    return orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS) + b"\n"


def helm_values(plan: Plan) -> str:
    """Values of the chart deploy/helm/ocpp-gateway for one cell, as YAML."""
    cell = plan.cell
    head = [
        f"# {plan.charge_points:,} charge points in {plan.cells} cell(s); one cell of {cell.demand.charge_points:,}.",
        *(f"# {line}" for name in SERVERS for line in _server(cell, name)),
    ]
    gateway, broker, store = (cell.tier(name) for name in ("gateway", *SERVERS))
    values = {
        "gateway": {**_values(gateway), "maxConnections": _most_sockets(gateway)},
        "workers": {tier.name: _values(tier) for tier in cell.tiers if tier.name not in {"gateway", *SERVERS}},
        "broker": {"operator": {**_values(broker), "storage": {"size": _disk(broker)}}},
        "database": {
            "operator": {
                "instances": 1 + _STANDBYS,
                "resources": _values(store)["resources"],
                "storage": {"size": _disk(store)},
            }
        },
    }
    return "\n".join([*head, *_yaml(values)]) + "\n"


def amount(value: float) -> str:
    """A number as people read it."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.2f}"


def _by_action(calls: Mapping[str, float]) -> str:
    return ", ".join(f"{action} {amount(rate)}" for action, rate in sorted(calls.items(), key=lambda item: -item[1]))


def _reliance(constants: Constants) -> list[str]:
    guessed = [name for name, constant in constants.sources.items() if constant.basis is Basis.ESTIMATE]
    if not guessed:
        return []
    return [
        f"{len(guessed)} of {len(constants.sources)} constants are estimates; --format json gives the reason",
        "of each, and --from REPORT.json puts your own measurements in their place.",
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        last = len(row) - 1
        cells = [
            cell.ljust(width) if column in {0, last} else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _server(cell: Cell, name: str) -> list[str]:
    tier = cell.tier(name)
    return [
        f"{name}: {tier.replicas} x {tier.cores:g} cores, {tier.memory_gb:g} GB; "
        + ", ".join(f"{figure} {amount(value)}" for figure, value in tier.figures.items() if "disk" in figure)
    ]


def _values(tier: Tier) -> dict[str, Any]:
    memory = f"{round(tier.memory_gb * 1024)}Mi"
    return {
        "replicas": tier.replicas,
        # No limit of CPU: a storm may use what is free on its node.
        "resources": {
            "requests": {"cpu": f"{round(tier.cores * 1000)}m", "memory": memory},
            "limits": {"memory": memory},
        },
    }


def _most_sockets(gateway: Tier) -> int:
    """What one is left with when others are lost, and a quarter more."""
    left = next(value for name, value in gateway.figures.items() if name.startswith("sockets each, "))
    return int(rounded_up(left * _SPARE_SOCKETS, 1000))


def _disk(server: Tier) -> str:
    return f"{next(value for name, value in server.figures.items() if name.startswith('disk GB')):.0f}Gi"


def _yaml(values: Mapping[str, Any], indent: int = 0) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield f"{' ' * indent}{name}:"
            yield from _yaml(value, indent + 2)
        else:
            yield f"{' ' * indent}{name}: {value}"
