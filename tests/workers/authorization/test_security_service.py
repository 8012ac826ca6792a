"""Credentials through a real broker: an operator's request, the command, the notice, and what gateways hear."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import structlog

from contracts import topology
from contracts.broker import BrokerLink, Delivery, PrivateQueue, Returned
from contracts.credentials import StoredKey
from contracts.envelope import (
    AdmissionChanged,
    AdmissionNotice,
    AdmissionQuery,
    AdmissionVerdict,
    OutcomeEnvelope,
    OutcomeKind,
)
from contracts.operator import Operation
from contracts.versions import ErrorKind, Version
from tests.support.calling import GATEWAY, caller_on, until
from tests.support.commanding import bringing_commands
from tests.support.operating import operator_on
from tests.support.serving import serving, worker_settings
from tests.support.worker_store import all_rows, migrated_store
from tools.nodes.ports import free_ports
from workers.authorization.service import service
from workers.runtime.admission_news import tell_all_gateways
from workers.store import tables

BOOT = {"chargePointVendor": "ACME", "chargePointModel": "W"}


class Admissions:
    """A gateway's part: queries, notices, and the news; it is its link's listener."""

    def __init__(self, url: str) -> None:
        self.verdicts: dict[str, AdmissionVerdict] = {}
        self.news: list[str | None] = []
        private = PrivateQueue("test.admissions", ((topology.ADMISSION_CHANGED, ""),))
        self.link = BrokerLink(url, self, name="test gateway", private_queue=private)
        self._number = 0

    async def verdict(self, identity: str) -> AdmissionVerdict:
        self._number += 1
        number = str(self._number)
        self.tell(AdmissionQuery(identity, GATEWAY).encode(), reply_to=self.link.reply_queue, correlation_id=number)
        found: AdmissionVerdict = await until(lambda: self.verdicts.get(number))
        return found

    def tell(self, body: bytes, **properties: Any) -> None:
        self.link.publish(topology.ADMISSIONS, topology.ADMISSION_KEY, body, **properties)

    def delivered(self, delivery: Delivery) -> None:
        if delivery.exchange == topology.ADMISSION_CHANGED:
            self.news.append(AdmissionChanged.decode(delivery.body).identity)
        else:
            self.verdicts[delivery.correlation_id] = AdmissionVerdict.decode(delivery.body)

    def link_up(self) -> None: ...
    def link_down(self) -> None: ...
    def confirmed(self, token: object) -> None: ...
    def refused(self, token: object) -> None: ...
    def flow_changed(self) -> None: ...
    def returned(self, message: Returned) -> None: ...


@asynccontextmanager
async def world(amqp_url: str, database_url: str) -> AsyncIterator[Any]:
    config = worker_settings(amqp_url)
    async with (
        migrated_store(database_url) as store,
        bringing_commands(amqp_url, store),
        serving(service(config), config, store),
        caller_on(amqp_url) as caller,
        operator_on(amqp_url) as operator,
    ):
        admissions = Admissions(amqp_url)
        running = asyncio.create_task(admissions.link.run())
        try:
            await until(lambda: admissions.link.up)
            yield store, caller, operator, admissions
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def key_of(verdict: AdmissionVerdict, secret: bytes) -> StoredKey | None:
    keys = [StoredKey.decode(line) for line in verdict.keys]
    return next((key for key in keys if key is not None and key.matches(secret)), None)


async def test_a_key_is_rotated_from_the_operators_request_to_the_gateways_notice(amqp_url, database_url):
    async with world(amqp_url, database_url) as (store, caller, operator, admissions):
        known_before: list[bool] = []

        def answer(command: Any) -> OutcomeEnvelope:
            known_before.append(admissions.news == ["CP-1"])
            return OutcomeEnvelope(
                command.command_id, "CP-1", OutcomeKind.RESULT, GATEWAY, "session-1", b'{"status":"Accepted"}'
            )

        caller.answer_command = answer
        assert (await caller.call("BootNotification", BOOT)).error is None
        with structlog.testing.capture_logs() as logs:
            assert (await operator.ask(Operation.ROTATE_KEY, identity="CP-1")).ok
            await until(lambda: any(line["event"] == "credential.brought" for line in logs))
        (command,) = caller.commands
        password = orjson.loads(command.payload)["value"]
        secret = bytes.fromhex(password)
        key = key_of(await admissions.verdict("CP-1"), secret)
        assert key is not None
        assert (key.pending, known_before) == (True, [True])
        admissions.tell(AdmissionNotice("CP-1", GATEWAY, 1, int(time.time() * 1000), key.key_id).encode())
        await until(lambda: admissions.news == ["CP-1", "CP-1"])
        confirmed = key_of(await admissions.verdict("CP-1"), secret)
        assert confirmed is not None
        assert not confirmed.pending
        rows = [await all_rows(store, table) for table in tables.metadata.sorted_tables]
        assert password not in repr((logs, rows))


async def test_many_queries_at_once_are_all_answered_and_an_unreadable_one_harms_none(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (_, caller, _operator, admissions):
        assert (await caller.call("BootNotification", BOOT)).error is None
        admissions.tell(b"what")
        verdicts = await asyncio.gather(*(admissions.verdict("CP-1" if n % 2 else f"X-{n}") for n in range(300)))
        assert [verdict.known for verdict in verdicts] == [bool(n % 2) for n in range(300)]
        await until(lambda: caller.dead)
        assert [letter.body for letter in caller.dead] == [b"what"]


async def test_a_boot_with_anothers_certificate_ends_the_session(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (store, caller, *_):
        payload = {"reason": "PowerUp", "chargingStation": {"vendorName": "A", "model": "W", "serialNumber": "SN-1"}}
        for name, closed in (("SN-1", False), ("SN-2", True)):
            reply = await caller.call("BootNotification", payload, version=Version.V201, certificate_name=name)
            assert (reply.close, reply.error) == (closed, ErrorKind.SECURITY if closed else None)
        assert [row["serial_number"] for row in await all_rows(store, tables.charge_points)] == ["SN-1"]


async def test_gateways_hear_of_charge_points_that_an_operator_adds_or_blocks(amqp_url, sqlite_database_url):
    async with world(amqp_url, sqlite_database_url) as (_, _caller, operator, admissions):
        assert (await operator.ask(Operation.ADD_CHARGE_POINT, identity="CP-7")).ok
        assert (await operator.ask(Operation.BLOCK_CHARGE_POINT, identity="CP-7")).ok
        await until(lambda: admissions.news == ["CP-7", "CP-7"])


async def test_gateways_hear_that_a_file_was_provisioned_and_words_say_why_not(amqp_url, sqlite_database_url):
    assert await tell_all_gateways(amqp_url) is None  # nobody has ever been here: nobody is to be told
    async with world(amqp_url, sqlite_database_url) as (*_, admissions):
        assert await tell_all_gateways(amqp_url) is None
        await until(lambda: admissions.news == [None])
    (port,) = free_ports(1)
    assert "no connection to the broker" in (await tell_all_gateways(f"amqp://127.0.0.1:{port}/") or "")
