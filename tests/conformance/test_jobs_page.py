"""The example of docs/jobs.md, run as it stands."""

import asyncio
import os
import re
import sys
from pathlib import Path

from tests.support.live import LiveSystem, Records
from workers.store.job_tables import jobs

PAGE = Path(__file__).parents[2] / "docs" / "jobs.md"


async def test_the_pages_example_gets_its_receipt_and_leaves_a_job(
    live: LiveSystem, records: Records, identity: str, tmp_path: Path
):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(code)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), identity, env={**os.environ, "AMQP_URL": live.amqp_url}, stdout=-1, stderr=-1
    )
    async with asyncio.timeout(40):
        printed, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    assert "'accepted': True" in printed.decode()
    job = await records.one(jobs)
    assert (job["action"], job["service"], job["sent_at"]) == ("GetDiagnostics", "diagnostics", None)
