"""Writes the dashboards that the chart brings: `python -m tools.dashboards`; `make docs` runs it."""

from pathlib import Path

from tools.dashboards.charge_point import charge_point
from tools.dashboards.fleet import fleet
from tools.dashboards.gateway import gateway
from tools.dashboards.workers import workers

FOLDER = Path(__file__).parents[2] / "deploy" / "helm" / "ocpp-gateway" / "dashboards"
DASHBOARDS = {"fleet": fleet, "gateway": gateway, "workers": workers, "charge-point": charge_point}


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, made in DASHBOARDS.items():
        (FOLDER / f"{name}.json").write_text(made())


if __name__ == "__main__":
    main()
