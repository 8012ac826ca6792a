"""Renews the tables of docs/capacity.md by the calculator; `make docs` runs it, a test compares.

`python -m tools.capacity_page REPORT.json ...` puts what these reports measured into the calculator's constants first.
Everything between `<!-- begin X -->` and `<!-- end X -->` is replaced, the rest is written by hand.
"""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import floor, isfinite
from pathlib import Path

from loadtest.report.model import Report
from loadtest.sizing import constants as room
from loadtest.sizing.cells import SCALES, Plan, cell_size, plan, size_cell
from loadtest.sizing.constants import Constants
from loadtest.sizing.demand import Options
from loadtest.sizing.gateways import handshakes_per_s
from loadtest.sizing.showing import amount
from loadtest.sizing.storm import Recovery
from loadtest.sizing.tiers import GB, KB, MB, MILLION

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "capacity.md"
CONSTANTS = ROOT / "loadtest" / "sizing" / room.FILE
_PART = re.compile(r"(<!-- begin (?P<name>\S+) -->\n).*?(<!-- end (?P=name) -->)", re.DOTALL)
_PLAIN, _TLS = Options(), Options(tls=True)
_CURVE = (5, 10, 20, 30, 60, 120, 300, 600, 1200)
_CURVED = 250_000


def page(text: str, constants: Constants) -> str:
    """The page with every table renewed; KeyError names a part that nothing stands for."""
    parts: dict[str, Callable[[Constants], str]] = {
        "units": _units,
        "scales": _scales,
        "scales-tls": _scales_tls,
        "servers": _servers,
        "limits": _limits,
        "storms": _storms,
        "curve": _curve,
        "mixes": _mixes,
        "constants": _constants,
    }
    return _PART.sub(lambda part: f"{part.group(1)}{parts[part.group('name')](constants)}{part.group(3)}", text)


def _units(constants: Constants) -> str:
    rows = []
    for name, options, socket_kb, call_us in (
        ("plain", _PLAIN, constants.gateway_kb_per_socket, constants.gateway_cpu_us_per_call),
        ("TLS 1.3", _TLS, constants.gateway_kb_per_socket_tls, constants.gateway_cpu_us_per_call_tls),
    ):
        sockets = (GB - constants.gateway_start_mb * MB) / (socket_kb * KB)
        rows.append((
            name, f"{socket_kb:.3g} KB", f"{sockets:,.0f}", f"{call_us:.3g} µs", f"{MILLION / call_us:,.0f}",
            f"{MILLION * _PLAIN.at_work / call_us:,.0f}",
            f"{handshakes_per_s(1.0, options, replace(constants, gateway_handshakes_per_s=0)):,.0f}",
        ))  # fmt: skip
    head = (
        "gateway", "memory per socket", "sockets per GB", "CPU per Call", "Calls/s per core",
        f"with {_PLAIN.head_room:.0%} head room", "handshakes/s per core, without a limit",
    )  # fmt: skip
    return _table(head, rows)


def _scales(constants: Constants) -> str:
    return _sizes(_PLAIN, constants)


def _scales_tls(constants: Constants) -> str:
    return _sizes(_TLS, constants)


def _sizes(options: Options, constants: Constants) -> str:
    plans = [plan(count, options, constants) for count in SCALES]
    names = [tier.name for tier in plans[0].cell.tiers if tier.name != "store"]
    head = ("charge points", "cells", "Calls/s", *names, "GB per gateway", "cores in all", "GB in all")
    rows = [
        (
            f"{one.charge_points:,}",
            str(one.cells),
            amount(one.cell.demand.calls_per_s),
            *(str(one.cell.tier(name).replicas) for name in names),
            f"{one.cell.tier('gateway').memory_gb:g}",
            f"{one.cores:,.0f}",
            f"{one.memory_gb:,.0f}",
        )
        for one in plans
    ]
    return _table(head, rows)


def _servers(constants: Constants) -> str:
    head = (
        "charge points", "broker: cores, GB, disk of each node", "broker writes a day", "database: cores, GB",
        "commits/s at most", "disk operations/s at most", "rows/day", "grows a day", "WAL a day",
        f"disk, {_PLAIN.keep_days:g} days",
    )  # fmt: skip
    rows = []
    for count in SCALES:
        one = plan(count, _PLAIN, constants)
        broker, store = one.cell.tier("broker"), one.cell.tier("store")
        rows.append((
            _of_cell(one),
            f"{broker.cores:g}, {broker.memory_gb:g}, {amount(broker.figures['disk GB'])} GB",
            f"{amount(broker.figures['written GB/day'])} GB",
            f"{store.cores:g}, {store.memory_gb:g}",
            amount(store.figures["commits/s in the busiest hour, at most"]),
            amount(store.figures["disk operations/s in the busiest hour, at most"]),
            amount(store.figures["rows/day"]),
            f"{amount(store.figures['grows GB/day'])} GB",
            f"{amount(store.figures['WAL GB/day'])} GB",
            f"{amount(store.figures[f'disk GB, {_PLAIN.keep_days:g} days kept'])} GB",
        ))  # fmt: skip
    return _table(head, rows)


def _limits(constants: Constants) -> str:
    count, why = cell_size(_PLAIN, constants)
    cell = size_cell(count, _PLAIN, constants)
    rows = [
        (one.what, f"{one.share:.1%}", f"{floor(count / one.share):,}" if one.share else "never", one.then)
        for one in cell.ceilings
    ]
    head = (f"of a cell of {count:,} ({why})", "used", "full with so many charge points", "then")
    return _table(head, rows)


def _storms(constants: Constants) -> str:
    head = ("charge points of the cell", "", "event", "return", "half back", "all connected", "all registered",
            "503", "dropped", "boots repeated", "busiest second")  # fmt: skip
    rows = []
    for count in (1_000, 10_000, 100_000, _CURVED):
        for name, options in (("plain", _PLAIN), ("TLS", _TLS)):
            cell = size_cell(count, options, constants)
            rows += [
                (
                    f"{count:,}",
                    name,
                    "a zone's gateways die",
                    f"{cell.gateways_lost.away:,.0f}",
                    *_told(cell.gateways_lost),
                ),
                (f"{count:,}", name, "power cut", f"{count:,}", *_told(cell.power_cut)),
            ]
    return _table(head, rows)


def _curve(constants: Constants) -> str:
    rows = []
    storms = [size_cell(_CURVED, options, constants) for options in (_PLAIN, _TLS)]
    for second in _CURVE:
        row = [f"{second:,} s"]
        for cell in storms:
            moments = cell.power_cut.moments
            at = moments[min(second, len(moments)) - 1]
            row += [f"{at.connected:,.0f}", f"{at.registered:,.0f}"]
        rows.append(tuple(row))
    return _table(("after", "connected, plain", "registered", "connected, TLS", "registered"), rows)


def _mixes(constants: Constants) -> str:
    mixes = {
        "as above": _PLAIN,
        "heartbeat every 60 s": replace(_PLAIN, mix=replace(_PLAIN.mix, heartbeat_s=60.0)),
        "samples every 10 s": replace(_PLAIN, mix=replace(_PLAIN.mix, sample_s=10.0)),
        "samples every 900 s": replace(_PLAIN, mix=replace(_PLAIN.mix, sample_s=900.0)),
        "twice as many sessions": replace(
            _PLAIN, mix=replace(_PLAIN.mix, sessions_per_day=_PLAIN.mix.sessions_per_day * 2)
        ),
        "all speak 2.0.1": replace(_PLAIN, share_201=1.0),
    }
    rows = []
    for name, options in mixes.items():
        one = plan(100_000, options, constants)
        cell = one.cell
        rows.append((
            name, amount(cell.demand.calls_per_s * one.cells), str(one.cells), str(cell.tier("gateway").replicas),
            str(cell.tier("metering").replicas), f"{cell.tier('store').cores:g}",
            f"{amount(cell.tier('store').figures['grows GB/day'] * one.cells)} GB",
            f"{cell.ceilings[0].what}, {cell.ceilings[0].share:.0%}",
        ))  # fmt: skip
    head = ("100,000 charge points", "Calls/s", "cells", "gateways", "metering", "database cores", "grows a day",
            "nearest to its end")  # fmt: skip
    return _table(head, rows)


def _constants(constants: Constants) -> str:
    rows = [
        (f"`{name}`", f"{one.value:,g} {one.unit}".replace(" count", ""), one.what, f"{one.basis}: {one.source}")
        for name, one in constants.sources.items()
    ]
    return _table(("constant", "value", "what", "from"), rows)


def _told(recovery: Recovery) -> tuple[str, ...]:
    times = (recovery.half_s, recovery.connected_s, recovery.registered_s)
    return (
        *(f"{seconds:,.0f} s" if isfinite(seconds) else "not within two hours" for seconds in times),
        f"{recovery.refused:,.0f}",
        f"{recovery.dropped:,.0f}",
        f"{recovery.boots_again:,.0f}",
        f"{recovery.busiest_share:.0%}",
    )


def _of_cell(one: Plan) -> str:
    return f"{one.charge_points:,}" + ("" if one.cells == 1 else f", each of {one.cells} cells")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Renew constants by reports, if there are any, and the page."""
    known = room.read(CONSTANTS.read_text(encoding="utf-8"))
    known, renewed = known.measured_by(Report.decode(Path(name).read_bytes()) for name in arguments)
    if arguments:
        CONSTANTS.write_text(known.toml(), encoding="utf-8")
        print(f"{CONSTANTS.relative_to(ROOT)}: {', '.join(renewed) or 'nothing'}")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), known), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
