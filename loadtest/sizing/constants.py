"""What one of everything costs: the measured constants that sizes are made of, each with its source."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from importlib.resources import files
from math import isfinite
from typing import Any

from loadtest.report.model import Report

FILE = "constants.toml"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HEAD = """\
# The constants of `ocpp-loadtest size` and docs/capacity.md. Every one says where its value is from:
#   measured   by the command in `source`; `ocpp-loadtest size --from REPORT.json` replaces it by yours
#   setting    a default of a setting of ours, or a choice, as `source` says
#   estimate   by the reasoning in `source`: look at it before you buy hardware by it
# `figure` is what a report calls it; `where` says of which runs (settings of the report, and its scenario).
"""


class Basis(StrEnum):
    """What a value stands on."""

    MEASURED = "measured"
    SETTING = "setting"
    ESTIMATE = "estimate"


@dataclass(frozen=True, kw_only=True)
class Constant:
    """One value and where it is from."""

    value: float
    unit: str
    what: str
    basis: Basis
    source: str
    figure: str = ""
    """The name of the figure in a report that measures it; empty: none does."""
    where: Mapping[str, Any] | None = None
    """What the settings (and the `scenario`) of such a report must be."""

    def __post_init__(self) -> None:
        if not isfinite(self.value) or self.value < 0:
            raise ValueError(f"{self.value} is no cost")

    def measured_by(self, report: Report) -> "Constant | None":
        """The same with the value of a report, if that has measured it."""
        found = report.figure(self.figure) if self.figure else None
        if found is None or found.value is None:
            return None
        run = {**report.settings, "scenario": report.scenario}
        if any(run.get(name) not in _one_or_many(wanted) for name, wanted in (self.where or {}).items()):
            return None
        if found.unit != self.unit:
            raise ValueError(f"{self.figure} is in {found.unit}, not in {self.unit}")
        machine = report.machine
        cpu = " ".join(machine.cpu.split())
        source = f"{report.command} ({report.began[:10]}, {machine.cores} cores, {cpu})"
        return replace(self, value=float(found.value), basis=Basis.MEASURED, source=source)


@dataclass(frozen=True, kw_only=True)
class Constants:
    """The values by name; `sources` has the whole of each. Times are CPU time on one core."""

    gateway_cpu_us_per_call: float
    gateway_cpu_us_per_call_tls: float
    gateway_cpu_us_per_command: float
    gateway_cpu_us_per_ping: float
    gateway_cpu_us_per_handshake: float
    gateway_cpu_us_per_handshake_tls: float
    gateway_kb_per_socket: float
    gateway_kb_per_socket_tls: float
    gateway_start_mb: float
    gateway_sockets_proven: float
    gateway_max_connections: float
    gateway_window_mb: float
    gateway_handshakes_per_s: float
    gateway_handshakes_per_s_per_address: float
    gateway_open_handshakes: float
    gateway_retry_after_s: float
    gateway_ping_interval_s: float
    gateway_admission_timeout_s: float
    gateway_call_timeout_s: float

    worker_cpu_us_boot: float
    worker_cpu_us_heartbeat: float
    worker_cpu_us_authorize: float
    worker_cpu_us_status: float
    worker_cpu_us_start: float
    worker_cpu_us_stop: float
    worker_cpu_us_meter_values: float
    worker_cpu_us_transaction_event: float
    worker_cpu_us_admission: float
    worker_cpu_us_presence: float
    worker_cpu_us_command: float
    worker_cpu_us_event: float
    worker_start_mb: float
    worker_kb_per_directory_entry: float
    worker_transactions_per_s: float

    broker_cpu_us_per_call: float
    broker_calls_per_s_per_queue: float
    broker_disk_bytes_per_call: float
    broker_backlog_bytes_per_call: float
    broker_frame_log_gb: float
    broker_start_gb: float
    broker_cores_most: float

    store_cpu_us_heartbeat: float
    store_cpu_us_call: float
    store_cpu_us_meter_values: float
    store_wal_bytes_heartbeat: float
    store_wal_bytes_call: float
    store_wal_bytes_meter_values: float
    store_row_bytes_sample: float
    store_row_bytes_transaction: float
    store_row_bytes_transaction_event: float
    store_row_bytes_authorization: float
    store_row_bytes_charge_point: float
    store_page_writes_per_call: float
    store_cores_most: float

    cell_charge_points_most: float

    sources: Mapping[str, Constant]

    @classmethod
    def of(cls, sources: Mapping[str, Constant]) -> "Constants":
        """From the whole of each; ValueError when one is missing or unknown."""
        names = [field.name for field in fields(cls) if field.name != "sources"]
        if wrong := sorted(set(names) ^ set(sources)):
            raise ValueError(f"missing or unknown constants: {', '.join(wrong)}")
        values = {name: sources[name].value for name in names}
        return cls(**values, sources={name: sources[name] for name in names})

    def measured_by(self, reports: Iterable[Report]) -> tuple["Constants", list[str]]:
        """These with what the reports have measured, and the names of those; of two reports the later one counts."""
        sources, renewed = dict(self.sources), dict.fromkeys("")
        for report in reports:
            for name, constant in self.sources.items():
                measured = constant.measured_by(report)
                if measured is not None:
                    sources[name] = measured
                    renewed[name] = None
        return Constants.of(sources), list(renewed)

    def toml(self) -> str:
        """As the file that `read` reads."""
        parts = [_HEAD]
        for name, constant in self.sources.items():
            lines = [f"[{name}]", f"value = {_number(constant.value)}"]
            lines += [f"{key} = {_text(getattr(constant, key))}" for key in ("unit", "what", "basis", "source")]
            if constant.figure:
                lines.append(f"figure = {_text(constant.figure)}")
            if constant.where:
                where = ", ".join(f"{key} = {_any(value)}" for key, value in constant.where.items())
                lines.append(f"where = {{ {where} }}")
            parts.append("\n".join(lines) + "\n")
        return "\n".join(parts)


def read(text: str) -> Constants:
    """The constants of a TOML file; ValueError says what is wrong with it."""
    sources = {}
    for name, row in tomllib.loads(text).items():
        try:
            sources[name] = Constant(**{**row, "value": float(row["value"]), "basis": Basis(row["basis"])})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from None
    return Constants.of(sources)


def shipped() -> Constants:
    """Those that come with this version."""
    return read((files("loadtest.sizing") / FILE).read_text("utf-8"))


def _one_or_many(wanted: object) -> list[object]:
    return wanted if isinstance(wanted, list) else [wanted]


def _number(value: float) -> str:
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"


def _text(text: str) -> str:
    plain = _CONTROL.sub(" ", text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _any(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_any, value))}]"
    return _text(value) if isinstance(value, str) else f"{value!r}"
