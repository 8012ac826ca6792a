"""The wheel holds exactly our packages, and its commands run from anywhere in an environment of their own."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = (
    ("ocpp-gateway", "check-config"),
    ("ocpp-worker", "check-config"),
    ("ocpp-loadtest", "--help"),
    ("ocppctl", "--help"),
)

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_ships_exactly_the_packages_of_the_house(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "contracts", "gateway", "loadtest", "ocppctl", "workers",
    }  # fmt: skip
    assert "contracts/actions.csv" in names


def test_the_commands_run_from_the_root_folder_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True, timeout=60)
    python = tmp_path / "venv" / "bin" / "python"
    site = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    # The locked dependencies come from the environment of this test run; our own code comes from the wheel alone.
    dependencies = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=120)
    (site / "locked.pth").write_text(f"{dependencies}\n")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OCPP_", "PYTHON"))}
    for name, argument in COMMANDS:
        entry = f"import sys; from {_module(name)} import main; sys.argv = [{name!r}, {argument!r}]; sys.exit(main())"
        ran = subprocess.run(
            [str(python), "-P", "-c", entry],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
    where = subprocess.run(
        [str(python), "-P", "-c", "import gateway; print(gateway.__file__)"], cwd="/", env=environment,
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert str(tmp_path) in where.stdout


def _module(command: str) -> str:
    modules = {"ocpp-gateway": "gateway.cli", "ocpp-worker": "workers.cli", "ocpp-loadtest": "loadtest.cli"}
    return modules.get(command, "ocppctl.cli")
