"""Who gets a certificate, in which name, and how often."""

from datetime import UTC, datetime

from contracts.operator import Operation
from contracts.versions import ErrorKind
from tests.support.certifying import ROOT, issued, requests_in, sign, world
from tests.support.signing import authority_files, csr
from workers.authorization import signing
from workers.authorization.certificate_operations import OPERATIONS, OneChargePoint
from workers.store import registration
from workers.store.security_tables import charge_point_security
from workers.store.tables import charge_points


async def test_an_identity_that_is_the_name_of_anothers_certificate_gets_none(amqp_url, database_url, tmp_path):
    async with world(amqp_url, database_url, **authority_files(tmp_path, ROOT)) as (caller, store):
        async with store.transaction() as transaction:
            row = {"identity": "CP-2", "certificate_name": "cp-1", "updated_at": datetime.now(UTC)}
            await transaction.run(charge_point_security.insert(), row)
        assert await sign(caller, csr()) == "Rejected"
        assert [row["detail"] for row in await requests_in(store, "rejected")] == ["other_name"]


async def test_a_charge_point_that_asks_without_end_is_rejected_and_leaves_nothing_more(
    amqp_url, sqlite_database_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(signing, "MOST_A_DAY", 2)
    async with world(amqp_url, sqlite_database_url, **authority_files(tmp_path, ROOT)) as (caller, store):
        same = csr()
        for _ in range(2):
            assert await sign(caller, same) == "Accepted"
            await requests_in(store, "accepted")
        assert [await sign(caller, request) for request in (same, csr(), "nonsense")] == ["Rejected"] * 3
        assert len(await requests_in(store, "accepted")) == 1
        assert sorted((await issued(store)).values()) == ["installed", "replaced"]


async def test_a_pending_charge_point_gets_a_certificate_only_when_it_was_asked_to_renew(
    amqp_url, sqlite_database_url, tmp_path
):
    async with world(amqp_url, sqlite_database_url, **authority_files(tmp_path, ROOT)) as (caller, store):
        async with store.transaction() as transaction:
            await registration.create(transaction, ["CP-1"], datetime.now(UTC))
            await transaction.run(charge_points.update().values(registration="pending"))
        refused = await caller.call("SignCertificate", {"csr": csr()})
        assert (refused.error, refused.description) == (ErrorKind.SECURITY, "registration is pending")
        async with store.transaction() as transaction:
            await OPERATIONS[Operation.RENEW_CERTIFICATE][1](
                OneChargePoint(identity="CP-1"), datetime.now(UTC), transaction
            )
        assert await sign(caller, csr()) == "Accepted"
        await requests_in(store, "accepted")
