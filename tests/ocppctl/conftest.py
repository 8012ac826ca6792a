"""`ocppctl` as a process."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from tests.support.commands_service import ScriptedService, scripted_service


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)


class Ctl:
    """Runs the command against a broker."""

    def __init__(self, amqp_url: str) -> None:
        self._environment = {**os.environ, "AMQP_URL": amqp_url, "COLUMNS": "200"}

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "ocppctl", *arguments)
        return await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, env=self._environment
        )

    async def __call__(self, *arguments: str, stdin: bytes = b"") -> Ran:
        process = await self.start(*arguments)
        async with asyncio.timeout(60):
            out, err = await process.communicate(stdin)
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())


@pytest.fixture
def ctl(amqp_url: str) -> Ctl:
    return Ctl(amqp_url)


@pytest.fixture
async def service(amqp_url: str) -> AsyncIterator[ScriptedService]:
    async with scripted_service(amqp_url) as service:
        yield service
