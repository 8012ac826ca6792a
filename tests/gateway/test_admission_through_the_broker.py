"""Records by way of the real broker: asked for, forgotten when they change, served stale when nobody answers."""

from contracts.envelope import AdmissionVerdict
from tests.gateway.conftest import until
from tests.gateway.test_admitting import ON, come_in, record, refusal


async def test_a_change_is_heard_and_a_silent_worker_keeps_out_only_strangers(start_gateway, worker):
    gateway = await start_gateway(**ON, admission_cache_seconds=600, admission_timeout_seconds=0.5)
    known = gateway.edge.admitting.admissions._known
    worker.records = {"CP-1": record(), "CP-2": record("CP-2")}
    for identity in ("CP-1", "CP-1", "CP-2"):
        async with await come_in(gateway, identity):
            pass
    assert worker.asked == ["CP-1", "CP-2"]

    worker.records["CP-1"] = AdmissionVerdict("CP-1", known=False)
    await worker.change("CP-1")
    await until(lambda: list(known) == ["CP-2"])
    assert (await refusal(come_in(gateway))).status_code == 404
    worker.records["CP-1"] = record()
    await worker.change()
    await until(lambda: not known)
    for identity in ("CP-1", "CP-2"):
        async with await come_in(gateway, identity):
            pass

    worker.silent = True
    gateway.edge.admitting.admissions.link_down(gateway.edge.clock.now())  # a change may have been missed
    async with await come_in(gateway):
        assert worker.asked[-1] == "CP-1"
    assert (await refusal(come_in(gateway, "CP-3"))).status_code == 503
