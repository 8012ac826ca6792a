"""The tables of authorization, metering and the runtime, as SQLAlchemy Core metadata.

Natural keys are the primary keys or unique constraints: they are what makes a redelivered Call harmless.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
    text,
)

from workers.store.types import BigId, Json, PlainText, UtcTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str, *, default: str | None = None, **kwargs: Any) -> Column[str]:
    server_default = None if default is None else text(f"'{default}'")
    return Column(name, PlainText, nullable=default is None, server_default=server_default, **kwargs)


def _key(name: str) -> Column[str]:
    return Column(name, PlainText, primary_key=True)


charge_points = Table(
    "charge_points",
    metadata,
    _key("identity"),
    _text("registration", default="accepted"),  # accepted | pending | rejected
    # set by a person: boot rules leave it alone
    Column("registration_fixed", Boolean, nullable=False, server_default=text("false")),
    _text("ocpp_version"),
    _text("vendor"),
    _text("model"),
    _text("serial_number"),
    _text("box_serial_number"),
    _text("firmware_version"),
    _text("iccid"),
    _text("imsi"),
    _text("meter_type"),
    _text("meter_serial_number"),
    _text("boot_reason"),
    Column("created_at", UtcTime, nullable=False),
    Column("booted_at", UtcTime),
    Column("last_heartbeat_at", UtcTime),
)

presence = Table(
    "presence",
    metadata,
    _key("identity"),
    Column("gateway", PlainText, nullable=False),
    Column("session", PlainText, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("ocpp_version", PlainText, nullable=False),
    Column("noted_at", UtcTime, nullable=False),
    _text("remote", default=""),
    Column("opened_at", UtcTime),  # NULL: a session that was heard of before gateways announced theirs
    Column("closed_at", UtcTime),  # NULL: open
    Column("close_code", Integer),
    _text("close_reason"),
    Index(
        "ix_presence_open",
        "gateway",
        "identity",
        postgresql_where=text("closed_at IS NULL"),
        sqlite_where=text("closed_at IS NULL"),
    ),
)

boot_rules = Table(
    "boot_rules",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=False),
    _text("identity_pattern", default="*"),
    _text("vendor_pattern", default="*"),
    _text("model_pattern", default="*"),
    _text("firmware_pattern", default="*"),
    Column("registration", PlainText, nullable=False),
)

initial_configuration = Table(
    "initial_configuration",
    metadata,
    _key("family"),  # 1.6 | 2.x
    _key("key"),  # 1.6: the key; 2.x: Component.Variable
    _key("vendor_pattern"),
    _key("model_pattern"),
    Column("value", PlainText, nullable=False),
)

configuration_pushes = Table(
    "configuration_pushes",
    metadata,
    _key("identity"),
    _key("key"),
    Column("value", PlainText, nullable=False),
    Column("status", PlainText, nullable=False),  # requested, the charge point's own status, or how it failed
    _text("detail", default=""),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("requested_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    Column("next_attempt_at", UtcTime, index=True),  # NULL: nothing is left to do
)

tokens = Table(
    "tokens",
    metadata,
    _key("token_key"),  # the idTag or idToken, case-folded; a digest where that is too long
    Column("id_token", PlainText, nullable=False),
    _text("status", default="Accepted"),
    Column("expires_at", UtcTime),
    _text("group_token"),
    Column("concurrent", Boolean, nullable=False, server_default=text("false")),
)

authorizations = Table(
    "authorizations",
    metadata,
    _key("delivery_key"),
    Column("identity", PlainText, nullable=False, index=True),
    Column("id_token", PlainText, nullable=False),
    Column("status", PlainText, nullable=False),
    Column("decided_at", UtcTime, nullable=False),
)

data_transfer_vendors = Table(
    "data_transfer_vendors",
    metadata,
    _key("vendor_key"),  # case-folded
    _key("message_key"),  # case-folded; "" answers every message of the vendor
    Column("status", PlainText, nullable=False),
    _text("data"),
)

data_transfers = Table(
    "data_transfers",
    metadata,
    _key("delivery_key"),
    Column("identity", PlainText, nullable=False, index=True),
    Column("vendor_id", PlainText, nullable=False),
    _text("message_id"),
    Column("data", Json),
    Column("status", PlainText, nullable=False),
    Column("received_at", UtcTime, nullable=False),
)

transactions = Table(
    "transactions",
    metadata,
    Column("id", Integer, Identity(always=False, start=1, maxvalue=2**31 - 1), primary_key=True),
    Column("identity", PlainText, nullable=False),
    Column("natural_key", PlainText, nullable=False),  # 1.6: digest of the Start; 2.x: the transactionId
    Column("ocpp_version", PlainText, nullable=False),
    _text("reference"),  # 2.x transactionId; in 1.6 it is `id`
    Column("evse_id", Integer),
    Column("connector_id", Integer),
    Column("state", PlainText, nullable=False),  # active | ended | abandoned
    _text("charging_state"),
    Column("charging_state_seq", BigInteger),  # the seqNo that said so
    _text("id_token"),
    _text("token_key"),
    _text("group_token"),
    _text("token_status"),
    Column("token_reply", Json),
    Column("reservation_id", BigInteger),
    Column("remote_start_id", BigInteger),
    Column("started_at", UtcTime),
    Column("start_received_at", UtcTime),
    Column("meter_start_wh", Double),
    Column("meter_start_seq", BigInteger),  # 2.x: where that reading stands among the transaction's
    Column("ended_at", UtcTime),
    Column("end_received_at", UtcTime),
    Column("meter_stop_wh", Double),
    Column("meter_stop_seq", BigInteger),
    Column("energy_wh", Double),
    _text("stop_reason"),
    _text("stop_token"),
    _text("stop_key"),
    Column("stop_reply", Json),
    _text("flags", default=""),  # what was irregular, space separated
    UniqueConstraint("identity", "natural_key"),
    Index(
        "ix_transactions_active_token",
        "token_key",
        postgresql_where=text("state = 'active'"),
        sqlite_where=text("state = 'active'"),
    ),
    Index(
        "ix_transactions_active_connector",
        "identity",
        "connector_id",
        postgresql_where=text("state = 'active'"),
        sqlite_where=text("state = 'active'"),
    ),
    sqlite_autoincrement=True,  # an id must never be given twice, even after rows are archived
)

transaction_events = Table(
    "transaction_events",
    metadata,
    _key("identity"),
    _key("transaction_ref"),
    _key("event_key"),  # seqNo, or a digest when there is none
    _text("event_type"),
    _text("trigger_reason"),
    Column("occurred_at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("offline", Boolean, nullable=False, server_default=text("false")),
    Column("payload", Json, nullable=False),
    Column("reply", Json, nullable=False),
    _text("flags", default=""),
)

meter_samples = Table(
    "meter_samples",
    metadata,
    Column("sampled_at", UtcTime, primary_key=True),
    Column("natural_key", LargeBinary, primary_key=True),  # 16 byte digest
    Column("identity", PlainText, nullable=False),
    Column("evse_id", Integer),
    Column("connector_id", Integer),
    _text("transaction_ref", default=""),
    Column("measurand", PlainText, nullable=False),
    _text("phase", default=""),
    Column("context", PlainText, nullable=False),
    Column("location", PlainText, nullable=False),
    Column("format", PlainText, nullable=False),
    _text("unit", default=""),
    Column("raw_value", PlainText, nullable=False),
    Column("value", Double),  # as reported, multiplier applied; NULL when it is no number
    Column("normal_value", Double),  # in normal_unit: Wh, W, varh, var, VA, A, V, Celsius, Percent, Hz
    _text("normal_unit", default=""),
    Column("signed_value", Json),
    Column("signature", PlainText),  # verified, or why not; NULL: not signed
    Column("received_at", UtcTime, nullable=False),
    _text("flags", default=""),
    Index("ix_meter_samples_transaction", "identity", "transaction_ref", "sampled_at"),
    postgresql_partition_by="RANGE (sampled_at)",
)

connector_states = Table(
    "connector_states",
    metadata,
    _key("identity"),
    Column("evse_id", Integer, primary_key=True, autoincrement=False),  # 1.6: 0
    Column("connector_id", Integer, primary_key=True, autoincrement=False),  # 0: the whole charge point
    Column("status", PlainText, nullable=False),
    _text("error_code"),
    _text("info"),
    _text("vendor_id"),
    _text("vendor_error_code"),
    Column("reported_at", UtcTime, nullable=False),
    Column("received_at", UtcTime, nullable=False),
)

parked_messages = Table(
    "parked_messages",
    metadata,
    Column("id", BigId, Identity(always=False), primary_key=True),
    Column("identity", PlainText, nullable=False),
    Column("park_key", PlainText, nullable=False),
    Column("ocpp_version", PlainText, nullable=False),
    Column("action", PlainText, nullable=False),
    Column("reason", PlainText, nullable=False),
    _text("transaction_ref", default=""),
    Column("payload", Json, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("repaired_at", UtcTime),
    UniqueConstraint("identity", "park_key"),
)
