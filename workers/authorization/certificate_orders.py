"""What charge points are to do with certificates: asked until they answer, and what they answer kept.

OCPP 1.6 security whitepaper M03 to M05; OCPP 2.x part 2, A02.FR.01, M03 to M05.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from contracts.versions import Version
from workers import metrics
from workers.authorization.certificate_lifecycle import Ending, Heard, again_at, heard, renewal_request
from workers.runtime.context import ServiceContext
from workers.runtime.due_work import LEASE_MARGIN, attempt_what_is_due
from workers.runtime.reading import read_list, read_object, read_text
from workers.store import certificate_orders as orders
from workers.store import presence
from workers.store.certificate_orders import Order
from workers.store.certificates import RENEW
from workers.store.engine import StoreTransaction

INSTALL, REFRESH, DELETE = "install", "refresh", "delete"
KINDS = (RENEW, INSTALL, REFRESH, DELETE)

HEAD_START = timedelta(seconds=5)
"""The process that was asked goes on at once, after its answer; whoever polls leaves it this time."""

TYPES_16 = ("CentralSystemRootCertificate", "ManufacturerRootCertificate")
TYPES_2X = (
    *("CSMSRootCertificate", "ManufacturerRootCertificate", "V2GRootCertificate", "MORootCertificate"),
    *("V2GCertificateChain", "OEMRootCertificate"),
)
_ALIKE = {"CentralSystemRootCertificate": "CSMSRootCertificate"}
"""1.6's word and 2.x's for the root of our own certificate."""

_CHANGES = frozenset({INSTALL, DELETE})
_MOST_REPORTED = 200
_log = structlog.get_logger()

Reported = list[tuple[str, dict[str, Any]]]
"""Type and hash data of each certificate that a charge point says it has."""


def requests_for(version: Version, order: Order) -> list[tuple[str, dict[str, Any]]]:
    """The actions and payloads that the order takes in this version, one after the other."""
    if order.kind == RENEW:
        return [renewal_request(version)]
    if order.kind == INSTALL:
        kind = type_in(version, str(order.details["type"]))
        return [("InstallCertificate", {"certificateType": kind, "certificate": order.details["pem"]})]
    if order.kind == DELETE:
        return [("DeleteCertificate", {"certificateHashData": order.details["hash_data"]})]
    if version.is_2x:
        return [("GetInstalledCertificateIds", {})]
    return [("GetInstalledCertificateIds", {"certificateType": kind}) for kind in TYPES_16]


def type_in(version: Version, certificate_type: str) -> str:
    """The version's word for a type of certificate."""
    there = _ALIKE if version.is_2x else {new: old for old, new in _ALIKE.items()}
    return there.get(certificate_type, certificate_type)


def reported_in(asked: dict[str, Any], answer: dict[str, Any]) -> Reported:
    """What a GetInstalledCertificateIds.conf lists, chains' children included; unreadable entries are left out."""
    found: Reported = []
    for entry in map(read_object, read_list(answer.get("certificateHashData"))):  # 1.6
        _add(found, read_text(asked.get("certificateType"))[0], entry)
    for chain in map(read_object, read_list(answer.get("certificateHashDataChain"))):  # 2.x
        kind = read_text(chain.get("certificateType"))[0]
        _add(found, kind, read_object(chain.get("certificateHashData")))
        for child in map(read_object, read_list(chain.get("childCertificateHashData"))):
            _add(found, kind, child)
    return found[:_MOST_REPORTED]


def _add(found: Reported, kind: str | None, hash_data: dict[str, Any]) -> None:
    names = ("hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber")
    kept = {name: text for name in names if (text := read_text(hash_data.get(name))[0]) is not None}
    if kind is not None and len(kept) == len(names):
        found.append((kind, kept))


async def carry_out_due(context: ServiceContext) -> None:
    """Go on with what an ended process or an absent charge point left, until cancelled; background work."""

    async def attempt(context: ServiceContext, order_key: str) -> None:
        await carry_out(context, order_key, context.now())

    await attempt_what_is_due(context, "certificate_order", orders.due, attempt)


async def carry_out(context: ServiceContext, order_key: str, due_by: datetime) -> None:
    """Ask the charge point for one order that is due by then; nothing when another process has claimed it."""
    now = context.now()
    timeout = timedelta(seconds=context.settings.command_timeout_seconds)
    async with context.store.transaction() as transaction:
        until = now + timeout * len(TYPES_16) + LEASE_MARGIN
        order = await orders.claim(transaction, order_key, due_by, until=until)
        if order is None:
            return
        version = await presence.last_version(transaction, order.identity)
    reported: Reported = []
    answer = Heard(Ending.AGAIN, "offline", "never connected", {})
    for action, payload in [] if version is None else requests_for(Version(version), order):
        outcome = await context.commander.send(order.identity, action, payload, context.now() + timeout)
        answer = heard(outcome)
        if answer.ending is not Ending.ANSWERED:
            break
        reported += reported_in(payload, answer.payload)
    async with context.store.transaction() as transaction:
        follow_up = await _settle(transaction, order, answer, reported, context.now())
    metrics.certificate_orders.labels(order.kind, answer.ending.value).inc()
    _log.info("certificate.order_attempted", identity=order.identity, kind=order.kind, status=answer.status)
    if follow_up is not None:
        await carry_out(context, follow_up, context.now())


async def _settle(
    transaction: StoreTransaction, order: Order, answer: Heard, reported: Reported, now: datetime
) -> str | None:
    """Store what came of an attempt; the key of an order that is to follow."""
    again = None
    if answer.ending is Ending.AGAIN:
        again = again_at(now, order.asked_at, order.attempts, order.order_key)
    if not await orders.finish(transaction, order, answer.status, answer.detail, now, again_at=again):
        return None
    if answer.ending is not Ending.ANSWERED:
        return None
    if order.kind == REFRESH:
        await orders.replace_installed(transaction, order.identity, reported, now)
    if order.kind in _CHANGES and answer.status in {"Accepted", "NotFound"}:
        return await orders.place(transaction, order.identity, REFRESH, now, due_at=now)
    return None


async def place(
    transaction: StoreTransaction,
    identity: str,
    kind: str,
    now: datetime,
    *,
    subject: str = "",
    details: dict[str, Any] | None = None,
) -> None:
    """Have an order carried out once the transaction is committed."""
    due_at = now + HEAD_START
    order_key = await orders.place(transaction, identity, kind, now, due_at=due_at, subject=subject, details=details)
    transaction.after_commit(lambda context: carry_out(context, order_key, due_at))


def known_types(version: Version | None) -> Sequence[str]:
    """The types of certificates that a charge point of this version may have; of any version, where it is not known."""
    if version is None:
        return tuple(dict.fromkeys((*TYPES_16, *TYPES_2X)))
    return TYPES_2X if version.is_2x else TYPES_16
