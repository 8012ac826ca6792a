"""`python -m tools.chart` renews what is made from the code; `make docs` runs it, a test holds it against the code."""

import sys
from pathlib import Path

from tools.chart import values_schema, values_table

CHART = Path(__file__).parents[2] / "deploy/helm/ocpp-gateway"

if __name__ == "__main__":
    (CHART / "values.schema.json").write_text(values_schema.text())
    values_table.renew(CHART, CHART / "README.md")
    sys.exit(0)
