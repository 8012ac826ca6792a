"""Provisioning: a TOML file of what is to be on record, checked whole before any of it is stored."""

import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table, delete, insert

from workers.errors import ProvisioningError
from workers.store.engine import StoreTransaction
from workers.store.provisioning_security import SecurityPlan, apply_security, read_security
from workers.store.tables import boot_rules, charge_points, data_transfer_vendors, initial_configuration, tokens
from workers.store.tokens import token_key
from workers.store.upserts import insert_new, upsert

REGISTRATIONS = ("accepted", "pending", "rejected")
TOKEN_STATUSES = ("Accepted", "Blocked", "Invalid")
TRANSFER_STATUSES = ("Accepted", "Rejected")
FAMILIES = ("1.6", "2.x")
RESERVED_KEYS = frozenset({"authorizationkey", "basicauthpassword", "securityprofile"})
"""What a charge point is let in with, without letter case."""


@dataclass(slots=True)
class Plan:
    """What a file asks for, by table; boot rules are None when the file says nothing of them."""

    charge_points: list[dict[str, Any]] = field(default_factory=list)
    security: list[SecurityPlan] = field(default_factory=list)
    """Of those charge points whose entry says something of it."""
    tokens: list[dict[str, Any]] = field(default_factory=list)
    boot_rules: list[dict[str, Any]] | None = None
    initial_configuration: list[dict[str, Any]] = field(default_factory=list)
    data_transfer: list[dict[str, Any]] = field(default_factory=list)


class Entry:
    """One table of the file, taken apart key by key; each mistake becomes a line."""

    def __init__(self, where: str, content: Any, problems: list[str]) -> None:
        self._where = where
        self._problems = problems
        self._left = dict(content) if isinstance(content, dict) else {}
        if not isinstance(content, dict):
            problems.append(f"{where}: must be a table")

    def problem(self, text: str) -> None:
        self._problems.append(f"{self._where}: {text}")

    def text(self, key: str, default: str | None = None, *, most: int = 255, empty: bool = False) -> str:
        value = self._left.pop(key, default)
        if not isinstance(value, str) or not (value or empty):
            self.problem(f"{key} is required, a text" if value is None or value == "" else f"{key} must be a text")
            return ""
        if len(value) > most:
            self.problem(f"{key} is longer than {most} characters")
        return value

    def choice(self, key: str, choices: Sequence[str], default: str | None = None) -> str:
        value = self._left.pop(key, default)
        if value not in choices:
            self.problem(f"{key} must be one of {', '.join(choices)}")
        return str(value)

    def optional_text(self, key: str) -> str | None:
        return self.text(key) if key in self._left else None

    def take(self, key: str) -> Any:
        return self._left.pop(key, None)

    def flag(self, key: str) -> bool:
        value = self._left.pop(key, False)
        if not isinstance(value, bool):
            self.problem(f"{key} must be true or false")
        return bool(value)

    def moment(self, key: str) -> datetime | None:
        value = self._left.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, datetime) or value.tzinfo is None:
            self.problem(f"{key} must be a date-time with a zone, such as 2030-01-31T00:00:00Z")
            return None
        return value.astimezone(UTC)

    def done(self) -> None:
        for key in self._left:
            self.problem(f"unknown key {key!r}")


def read_plan(text: str) -> Plan:
    """Read a file's text; raises ProvisioningError naming every bad entry at once."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProvisioningError([f"not TOML: {error}"]) from error
    problems: list[str] = []
    plan = Plan()
    readers: dict[str, Callable[[Entry, int], dict[str, Any]]] = {
        "charge_points": _charge_point,
        "tokens": _token,
        "boot_rules": _boot_rule,
        "initial_configuration": _configuration,
        "data_transfer": _transfer,
    }
    for section, content in document.items():
        reader = readers.get(section)
        if reader is None or not isinstance(content, list):
            problems.append(f"{section}: no such list; a file may hold {', '.join(f'[[{name}]]' for name in readers)}")
            continue
        rows = []
        for number, item in enumerate(content, start=1):
            entry = Entry(f"{section} #{number}", item, problems)
            rows.append(reader(entry, number))
            entry.done()
        setattr(plan, section, rows)
    wanted = (row.pop("security") for row in plan.charge_points)
    plan.security = [security for security in wanted if security is not None]
    named = Counter(security.identity for security in plan.security)
    problems += [f"charge_points: {identity} is there {count} times" for identity, count in named.items() if count > 1]
    if problems:
        raise ProvisioningError(problems)
    return plan


def _charge_point(entry: Entry, _number: int) -> dict[str, Any]:
    identity, registration = entry.text("identity", most=128), entry.choice("registration", ("", *REGISTRATIONS), "")
    return {
        "identity": identity,
        "registration": registration or "accepted",
        "registration_fixed": bool(registration),
        "security": read_security(entry, identity),
    }


def _token(entry: Entry, _number: int) -> dict[str, Any]:
    id_token = entry.text("id_token")
    return {
        "token_key": token_key(id_token),
        "id_token": id_token,
        "status": entry.choice("status", TOKEN_STATUSES, "Accepted"),
        "expires_at": entry.moment("expires"),
        "group_token": entry.optional_text("group"),
        "concurrent": entry.flag("concurrent"),
    }


def _boot_rule(entry: Entry, number: int) -> dict[str, Any]:
    patterns = {f"{name}_pattern": entry.text(name, "*") for name in ("identity", "vendor", "model", "firmware")}
    return {"position": number, **patterns, "registration": entry.choice("registration", REGISTRATIONS)}


def _configuration(entry: Entry, _number: int) -> dict[str, Any]:
    family, key = entry.choice("ocpp", FAMILIES), entry.text("key", most=120)
    if family == "2.x" and "." not in key:
        entry.problem("key of OCPP 2.x must read Component.Variable")
    if key.rpartition(".")[2].strip().casefold() in RESERVED_KEYS:
        entry.problem(
            f"{key} is not for many charge points alike: give each its password and security_profile in"
            " [[charge_points]], and change them by the operations rotate-key and raise-profile"
        )
    if family == "1.6" and len(key) > 50:
        entry.problem("key of OCPP 1.6 is longer than 50 characters")
    return {
        "family": family,
        "key": key,
        "value": entry.text("value", most=500 if family == "1.6" else 1000, empty=True),
        "vendor_pattern": entry.text("vendor", "*"),
        "model_pattern": entry.text("model", "*"),
    }


def _transfer(entry: Entry, _number: int) -> dict[str, Any]:
    return {
        "vendor_key": entry.text("vendor").casefold(),
        "message_key": entry.text("message", "", empty=True).casefold(),
        "status": entry.choice("status", TRANSFER_STATUSES, "Accepted"),
        "data": entry.optional_text("data"),
    }


async def apply_plan(transaction: StoreTransaction, plan: Plan, now: datetime) -> dict[str, int]:
    """Put it on record, twice as well as once; how many entries of each kind. Boot rules are replaced as a whole."""
    dialect = transaction.dialect
    fixed = [{**row, "created_at": now} for row in plan.charge_points if row["registration_fixed"]]
    listed = [{**row, "created_at": now} for row in plan.charge_points if not row["registration_fixed"]]
    if fixed:
        statement = upsert(charge_points, dialect, ("identity",), ("registration", "registration_fixed"))
        await transaction.run(statement, fixed)
    if listed:
        await transaction.run(insert_new(charge_points, dialect), listed)
    await apply_security(transaction, plan.security, now)
    await _upsert_all(transaction, tokens, ("token_key",), plan.tokens)
    if plan.boot_rules is not None:
        await transaction.run(delete(boot_rules))
        if plan.boot_rules:
            await transaction.run(insert(boot_rules), plan.boot_rules)
    keys = ("family", "key", "vendor_pattern", "model_pattern")
    await _upsert_all(transaction, initial_configuration, keys, plan.initial_configuration)
    await _upsert_all(transaction, data_transfer_vendors, ("vendor_key", "message_key"), plan.data_transfer)
    return {
        "charge points": len(plan.charge_points),
        "tokens": len(plan.tokens),
        "boot rules": len(plan.boot_rules or ()),
        "initial configuration": len(plan.initial_configuration),
        "data transfer": len(plan.data_transfer),
    }


async def _upsert_all(
    transaction: StoreTransaction, table: Table, keys: tuple[str, ...], rows: Sequence[Mapping[str, Any]]
) -> None:
    if rows:
        changed = tuple(name for name in rows[0] if name not in keys)
        await transaction.run(upsert(table, transaction.dialect, keys, changed), rows)
