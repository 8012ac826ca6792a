"""Writes docs/settings.md from the settings classes; `make docs` runs it, a test holds the page against it."""

import sys
from pathlib import Path

from contracts.process.settings import ProcessSettings, variables
from contracts.tracing.settings import TracingSettings
from gateway.settings import GatewaySettings
from workers.settings import WorkerSettings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
HEAD = """# Settings

Every setting is an environment variable. `ocpp-gateway check-config` and `ocpp-worker check-config` print the values
that a process would use or, when there are any, all mistakes at once; a process with a mistake in its settings prints
the same lines and exits with status 2. This page is made from the code by `make docs`.
"""

TRACING = """Tracing

All processes; [tracing](tracing.md) tells what it is. Further variables of the OpenTelemetry SDK, such as
OTEL_EXPORTER_OTLP_CERTIFICATE, OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_BSP_* and OTEL_SPAN_*, work as it documents them."""


def page() -> str:
    """The whole page."""
    tracing = variables(TracingSettings)
    shared = [row for row in variables(ProcessSettings) if row not in tracing]
    names = {name for name, _, _ in (*shared, *tracing)}
    sections = [("All processes", shared)]
    for title, settings in (("Gateway", GatewaySettings), ("Workers", WorkerSettings)):
        sections.append((title, [row for row in variables(settings) if row[0] not in names]))
    sections.append((TRACING, tracing))
    return HEAD + "".join(_section(title, rows) for title, rows in sections)


def _section(title: str, rows: list[tuple[str, str, str]]) -> str:
    lines = [f"| `{name}` | {f'`{default}`' if default else ''} | {_cell(text)} |" for name, default, text in rows]
    return f"\n## {title}\n\n| variable | default | meaning |\n|---|---|---|\n" + "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(PAGE.write_text(page()) and 0)
