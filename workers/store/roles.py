"""What each service may do in the database (PostgreSQL), as data, and the GRANTs that bring it about.

A role of its own for each service; tables belong to the role that migrates. Whatever is not here is refused.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import text

from contracts.actions import Service
from workers.errors import WorkerError
from workers.store.engine import StoreTransaction
from workers.store.schema import metadata

PREFIX = "ocpp_"
SHOW = "show"
"""The role for people who look: `ocpp-worker show`, reports."""

_READ = "SELECT"
_ADD = "SELECT, INSERT"
_KEEP = "SELECT, INSERT, UPDATE"
_ALL = "SELECT, INSERT, UPDATE, DELETE"

# FOR UPDATE asks for the right to update some column: that of the spelling is the one that decides nothing.
_LOCK_TOKENS = "SELECT, UPDATE (id_token)"

_EVERYBODY = {"alembic_version": _READ}
# The gate creates unknown charge points and parks what they send too early; every effect has its event.
_RELAY = {**_EVERYBODY, "charge_points": _ADD, "parked_messages": _ADD, "outbox": _ADD}
_JOBS = {"jobs": _ALL, "job_history": _ADD, "presence": _READ}

PRIVILEGES: Mapping[str, Mapping[str, str]] = {
    Service.AUTHORIZATION: {
        **_RELAY,
        "charge_points": _KEEP,
        "boot_rules": _READ,
        "initial_configuration": _READ,
        "configuration_pushes": _ALL,
        "tokens": _READ,
        "authorizations": _ADD,
        "transactions": _READ,
        "data_transfer_vendors": _READ,
        "data_transfers": _ADD,
        "security_events": _ADD,
        "presence": _READ,
        "leases": _ALL,
        "charge_point_security": _ALL,
        "charge_point_keys": _ALL,
        "message_keys": _ALL,
        "certificate_requests": _ALL,
        "issued_certificates": _ALL,
        "installed_certificates": _ALL,
        "certificate_orders": _ALL,
    },
    Service.METERING: {
        **_RELAY,
        "tokens": _LOCK_TOKENS,
        "authorizations": _ADD,
        "transactions": _KEEP,
        "transaction_events": _ADD,
        "meter_samples": _ADD,
        "meter_keys": _READ,
    },
    Service.FIRMWARE: {**_RELAY, **_JOBS},
    Service.DIAGNOSTICS: {
        **_RELAY,
        **_JOBS,
        "connector_states": _KEEP,
        "connector_history": _ADD,
        "faults": _KEEP,
        "device_events": _ADD,
        "device_variables": _ALL,
        "device_reports": _ALL,
        "device_report_pages": _ALL,
        "security_events": _ADD,
    },
    Service.COMMANDS: {
        **_EVERYBODY,
        "commands": _ALL,
        "presence": _ALL,
        "leases": _ALL,
        "outbox": _ALL,
        "event_sequences": _KEEP,
        "charge_points": _KEEP,
        # a command that sets a password or a profile goes out only if that is on record
        "charge_point_security": _READ,
        "charge_point_keys": _READ,
        "connector_states": _READ,
        "tokens": _KEEP,
        "transactions": _READ,
        "meter_samples": _READ,
        "meter_keys": _ALL,
    },
    SHOW: {table: _READ for table in ("alembic_version", *metadata.tables) if table != "charge_point_keys"},
}

FUNCTIONS: Mapping[str, tuple[str, ...]] = {Service.METERING: ("ocpp_make_sample_partition(date)",)}
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def statements(*, prefix: str = PREFIX, roles: Iterable[str] = PRIVILEGES, schema: str = "public") -> Iterator[str]:
    """SQL that makes the roles, without password and login, and leaves each with these privileges and no other.

    Raises ValueError for a prefix or schema that is no plain name. Run it again after each migration.
    """
    if not _NAME.fullmatch(f"{prefix}x") or not _NAME.fullmatch(schema):
        raise ValueError("prefix and schema have lower case letters, digits and _ only")
    for service in roles:
        role = prefix + service
        # NOLOGIN is not said: an operator may have made it a role that logs in
        yield f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        yield f"GRANT USAGE ON SCHEMA {schema} TO {role}"
        yield f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}"
        for table, privileges in PRIVILEGES[service].items():
            yield f"GRANT {privileges} ON {schema}.{table} TO {role}"
        for function in FUNCTIONS.get(service, ()):
            yield f"GRANT EXECUTE ON FUNCTION {schema}.{function} TO {role}"


async def grant_roles(transaction: StoreTransaction, *, prefix: str = PREFIX) -> list[str]:
    """Execute them in the schema that the tables are in; the names of the roles. Raises WorkerError on SQLite."""
    if transaction.dialect != "postgresql":
        raise WorkerError("SQLite has no roles")
    row = await transaction.first(text("SELECT current_schema()"))
    for statement in statements(prefix=prefix, schema="public" if row is None else str(row[0])):
        await transaction.run(text(statement))
    return [prefix + service for service in PRIVILEGES]
