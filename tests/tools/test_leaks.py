"""The check that every test runs under, seen from outside."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFTEST = "from tests.support.leaks import _no_task_is_left, tasks_have_owners\n"
TESTS = """
import asyncio

async def forever():
    await asyncio.Event().wait()

async def test_leaves_a_task():
    globals()["kept"] = asyncio.create_task(forever(), name="the-orphan")

async def test_cancels_its_task():
    asyncio.create_task(forever()).cancel()

def test_without_a_loop():
    pass
"""


def test_a_task_left_pending_fails_its_test_by_name_and_no_other(tmp_path: Path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_three.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        str(ROOT / "pyproject.toml"),
        "--rootdir",
        str(tmp_path),
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run([*command, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "3 passed, 1 error" in done.stdout
    assert "the-orphan" in done.stdout
    assert "at teardown of test_leaves_a_task" in done.stdout
