"""What operators ask about certificates. Whatever a charge point must do for it is asked after the commit.

The answer says that it was asked; what came of it is in what `certificates` shows.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from cryptography import x509
from pydantic import AfterValidator, Field

from contracts.operator import Operation
from contracts.versions import Version
from contracts.x509_reading import UNREADABLE
from workers.authority_files import key_is_strong
from workers.authorization.certificate_lifecycle import CHARGING_STATION
from workers.authorization.certificate_orders import DELETE, INSTALL, REFRESH, known_types, place, type_in
from workers.runtime.operator_answering import Item, Operate
from workers.runtime.operator_reading import Arguments, IdentityText
from workers.store import certificate_orders, certificates, presence
from workers.store.certificates import RENEW
from workers.store.engine import StoreTransaction

DEFAULT_LIMIT, MOST = 20, 200
LONGEST_PEM = 5500
"""Characters of a certificate that 1.6 and 2.0.1 can install."""

_TYPES = known_types(None)


def _certificate(pem: str) -> str:
    """The one certificate in this text, written as every charge point reads it."""
    try:
        found = x509.load_pem_x509_certificates(pem.encode("ascii"))
        strong = key_is_strong(found[0].public_key())
    except UNREADABLE:
        raise ValueError("it is no PEM certificate that can be read") from None
    if len(found) != 1:
        raise ValueError("it holds more than one certificate: a charge point installs one at a time")
    if strong is None:
        raise ValueError("its key is neither RSA nor one on an elliptic curve")
    if not strong:
        raise ValueError("its key is too weak: RSA needs 2048 bits or more, a curve 224")
    if found[0].not_valid_after_utc <= datetime.now(UTC):
        raise ValueError("it has expired")
    return pem.strip() + "\n"


def _type(name: str) -> str:
    if name not in _TYPES or name == "V2GCertificateChain":
        installable = [name for name in _TYPES if name != "V2GCertificateChain"]
        raise ValueError(f"the types are {', '.join(installable)}")
    return name


class OneChargePoint(Arguments):
    identity: IdentityText


class Listed(OneChargePoint):
    limit: int = Field(default=DEFAULT_LIMIT, ge=1, le=MOST)


class NewCertificate(OneChargePoint):
    type: Annotated[str, AfterValidator(_type)]
    certificate: Annotated[str, Field(max_length=LONGEST_PEM), AfterValidator(_certificate)]


class InstalledCertificate(OneChargePoint):
    serial_number: Annotated[str, Field(min_length=1, max_length=40)]


async def _certificates(given: Listed, _now: datetime, transaction: StoreTransaction) -> list[Item]:
    issued = await certificates.issued_to(transaction, given.identity, given.limit)
    requested = await certificates.requests_of(transaction, given.identity, given.limit)
    installed = await certificate_orders.installed_on(transaction, given.identity)
    asked = await certificate_orders.orders_of(transaction, given.identity, given.limit)
    return [*map(_issued, issued), *map(_requested, requested), *map(_installed, installed), *map(_asked, asked)]


def _issued(row: Any) -> Item:
    more = {name: getattr(row, name) for name in ("subject", "not_before", "renewal_asked_at")}
    until = row.not_after
    return _item("issued", CHARGING_STATION, row.serial, row.state, "", row.issued_at, until=until, **more)


def _requested(row: Any) -> Item:
    more = {name: getattr(row, name) for name in ("attempts", "ended_at")}
    return _item("request", row.certificate_type, row.serial, row.state, row.detail, row.created_at, **more)


def _installed(row: Any) -> Item:
    more = {"hash_data": row.hash_data}
    return _item("installed", row.certificate_type, row.serial_number, "installed", "", row.reported_at, **more)


def _asked(row: Any) -> Item:
    more = {name: getattr(row, name) for name in ("attempts", "ended_at")}
    return _item("asked", row.kind, row.subject, row.status, row.detail, row.asked_at, **more)


def _item(record: str, kind: str, serial: str | None, state: str, detail: str, at: datetime, **more: Any) -> Item:
    """What all records have in common, then what is of this kind only."""
    return {"record": record, "type": kind, "serial": serial, "state": state, "detail": detail, "at": at, **more}


async def _renew(given: OneChargePoint, now: datetime, transaction: StoreTransaction) -> list[Item] | None:
    return await _ask(given.identity, RENEW, now, transaction)


async def _refresh(given: OneChargePoint, now: datetime, transaction: StoreTransaction) -> list[Item] | None:
    return await _ask(given.identity, REFRESH, now, transaction)


async def _install(given: NewCertificate, now: datetime, transaction: StoreTransaction) -> list[Item] | None:
    certificate = x509.load_pem_x509_certificate(given.certificate.encode("ascii"))
    version = await presence.last_version(transaction, given.identity)
    kind = given.type if version is None else type_in(Version(version), given.type)
    subject = f"{kind} {certificate.serial_number:x}"
    details = {"type": kind, "pem": given.certificate}
    return await _ask(given.identity, INSTALL, now, transaction, subject, details)


async def _delete(given: InstalledCertificate, now: datetime, transaction: StoreTransaction) -> list[Item] | None:
    found = await certificate_orders.installed_on(transaction, given.identity, given.serial_number)
    items: list[Item] = []
    for row in found:  # one serial number of two issuers: both are named by it
        subject = f"{row.certificate_type} {row.serial_number}"
        if len(found) > 1:
            subject = f"{subject} of {row.issuer_key_hash[:16]}"
        details = {"hash_data": row.hash_data}
        items += await _ask(given.identity, DELETE, now, transaction, subject, details) or []
    return items or None


async def _ask(
    identity: str,
    kind: str,
    now: datetime,
    transaction: StoreTransaction,
    subject: str = "",
    details: dict[str, Any] | None = None,
) -> list[Item] | None:
    """Place the order; None for a charge point that has never been connected, which nobody could ask."""
    if await presence.last_version(transaction, identity) is None:
        return None
    await place(transaction, identity, kind, now, subject=subject, details=details)
    return [{"identity": identity, "asked": kind, "subject": subject, "asked_at": now}]


OPERATIONS: dict[Operation, tuple[type[Arguments], Operate]] = {
    Operation.CERTIFICATES: (Listed, _certificates),
    Operation.RENEW_CERTIFICATE: (OneChargePoint, _renew),
    Operation.INSTALL_CERTIFICATE: (NewCertificate, _install),
    Operation.REFRESH_CERTIFICATES: (OneChargePoint, _refresh),
    Operation.DELETE_CERTIFICATE: (InstalledCertificate, _delete),
}
"""Arguments and work of each; the dispatcher of the queue does the rest."""

CHANGES = frozenset(OPERATIONS) - {Operation.CERTIFICATES}
"""Those that are to be logged."""
