"""The system that `make load` starts: its arguments, its records, what its processes use."""

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert

from tools.load.__main__ import main
from tools.load.local import Plan
from tools.load.records import Recorded, recorded
from tools.load.usage import usage_of
from workers.store.engine import Store
from workers.store.tables import transactions

_SPIN = "import time\nuntil = time.process_time() + 0.3\nwhile time.process_time() < until: pass\n"


@pytest.mark.parametrize(
    "wrong",
    [["--gateways", "0"], ["--replicas", "metering"], ["--replicas", "lorry=2"], ["--setting", "=1"], ["--rate", "0"]],
)
def test_bad_arguments_are_told_before_anything_is_started(wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["steady", *wrong])
    assert ended.value.code == 2
    assert "make load" in capsys.readouterr().err


def test_replicas_are_of_services_that_there_are():
    with pytest.raises(ValueError, match="no service lorry"):
        Plan(replicas={"lorry": 2})


def test_children_that_have_ended_are_a_part_of_what_was_used():
    before = usage_of(os.getpid())
    subprocess.run([sys.executable, "-c", _SPIN], check=True)
    after = usage_of(os.getpid())
    assert before is not None
    assert after is not None
    assert after.cpu_s - before.cpu_s >= 0.3
    assert after.rss_bytes > 0


def test_nothing_is_known_of_a_process_that_is_gone():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert usage_of(process.pid) is None


async def test_a_charge_that_was_recorded_twice_is_found(database_url):
    now = datetime.now(UTC)
    rows = [
        {"identity": identity, "natural_key": key, "ocpp_version": "1.6", "state": state, "connector_id": 1,
         "started_at": now, "meter_start_wh": 10.0}
        for identity, key, state in (("A", "1", "ended"), ("A", "2", "ended"), ("B", "1", "active"))
    ]  # fmt: skip
    store = Store(database_url)
    try:
        async with store.transaction() as transaction:
            await transaction.run(insert(transactions), rows)
    finally:
        await store.close()
    found = recorded(database_url)
    assert found == Recorded(open=1, ended=2, double=1)
    assert found.since(Recorded(open=1, ended=1)) == Recorded(open=0, ended=1, double=1)
