"""Charge points, tokens, transactions and meter samples.

Revision: 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; meter samples are partitioned by month on PostgreSQL."""
    op.create_table(
        "authorizations",
        sa.Column("delivery_key", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("id_token", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("delivery_key", name=op.f("pk_authorizations")),
    )
    op.create_index(op.f("ix_authorizations_identity"), "authorizations", ["identity"], unique=False)
    op.create_table(
        "boot_rules",
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("identity_pattern", sa.Text(), server_default=sa.text("'*'"), nullable=False),
        sa.Column("vendor_pattern", sa.Text(), server_default=sa.text("'*'"), nullable=False),
        sa.Column("model_pattern", sa.Text(), server_default=sa.text("'*'"), nullable=False),
        sa.Column("firmware_pattern", sa.Text(), server_default=sa.text("'*'"), nullable=False),
        sa.Column("registration", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_boot_rules")),
    )
    op.create_table(
        "charge_points",
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("registration", sa.Text(), server_default=sa.text("'accepted'"), nullable=False),
        sa.Column("registration_fixed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("ocpp_version", sa.Text(), nullable=True),
        sa.Column("vendor", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("serial_number", sa.Text(), nullable=True),
        sa.Column("box_serial_number", sa.Text(), nullable=True),
        sa.Column("firmware_version", sa.Text(), nullable=True),
        sa.Column("iccid", sa.Text(), nullable=True),
        sa.Column("imsi", sa.Text(), nullable=True),
        sa.Column("meter_type", sa.Text(), nullable=True),
        sa.Column("meter_serial_number", sa.Text(), nullable=True),
        sa.Column("boot_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("booted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_heartbeat_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("identity", name=op.f("pk_charge_points")),
    )
    op.create_table(
        "configuration_pushes",
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("identity", "key", name=op.f("pk_configuration_pushes")),
    )
    op.create_index(
        op.f("ix_configuration_pushes_next_attempt_at"), "configuration_pushes", ["next_attempt_at"], unique=False
    )
    op.create_table(
        "connector_states",
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("evse_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("connector_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("info", sa.Text(), nullable=True),
        sa.Column("vendor_id", sa.Text(), nullable=True),
        sa.Column("vendor_error_code", sa.Text(), nullable=True),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("identity", "evse_id", "connector_id", name=op.f("pk_connector_states")),
    )
    op.create_table(
        "data_transfer_vendors",
        sa.Column("vendor_key", sa.Text(), nullable=False),
        sa.Column("message_key", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("vendor_key", "message_key", name=op.f("pk_data_transfer_vendors")),
    )
    op.create_table(
        "data_transfers",
        sa.Column("delivery_key", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("vendor_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("data", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("delivery_key", name=op.f("pk_data_transfers")),
    )
    op.create_index(op.f("ix_data_transfers_identity"), "data_transfers", ["identity"], unique=False)
    op.create_table(
        "initial_configuration",
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("vendor_pattern", sa.Text(), nullable=False),
        sa.Column("model_pattern", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "family", "key", "vendor_pattern", "model_pattern", name=op.f("pk_initial_configuration")
        ),
    )
    op.create_table(
        "meter_samples",
        sa.Column("sampled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("natural_key", sa.LargeBinary(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("evse_id", sa.Integer(), nullable=True),
        sa.Column("connector_id", sa.Integer(), nullable=True),
        sa.Column("transaction_ref", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("measurand", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("raw_value", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("normal_value", sa.Double(), nullable=True),
        sa.Column("normal_unit", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("signed_value", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("flags", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("sampled_at", "natural_key", name=op.f("pk_meter_samples")),
        postgresql_partition_by="RANGE (sampled_at)",
    )
    op.create_index(
        "ix_meter_samples_transaction", "meter_samples", ["identity", "transaction_ref", "sampled_at"], unique=False
    )
    op.create_table(
        "parked_messages",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("park_key", sa.Text(), nullable=False),
        sa.Column("ocpp_version", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("transaction_ref", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("repaired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_parked_messages")),
        sa.UniqueConstraint("identity", "park_key", name=op.f("uq_parked_messages_identity")),
    )
    op.create_table(
        "presence",
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("ocpp_version", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("identity", name=op.f("pk_presence")),
    )
    op.create_table(
        "tokens",
        sa.Column("token_key", sa.Text(), nullable=False),
        sa.Column("id_token", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'Accepted'"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("group_token", sa.Text(), nullable=True),
        sa.Column("concurrent", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("token_key", name=op.f("pk_tokens")),
    )
    op.create_table(
        "transaction_events",
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("transaction_ref", sa.Text(), nullable=False),
        sa.Column("event_key", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=True),
        sa.Column("trigger_reason", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("offline", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("flags", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("identity", "transaction_ref", "event_key", name=op.f("pk_transaction_events")),
    )
    op.create_table(
        "transactions",
        sa.Column("id", sa.Integer(), sa.Identity(always=False, start=1, maxvalue=2147483647), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("natural_key", sa.Text(), nullable=False),
        sa.Column("ocpp_version", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("evse_id", sa.Integer(), nullable=True),
        sa.Column("connector_id", sa.Integer(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("charging_state", sa.Text(), nullable=True),
        sa.Column("charging_state_seq", sa.BigInteger(), nullable=True),
        sa.Column("id_token", sa.Text(), nullable=True),
        sa.Column("token_key", sa.Text(), nullable=True),
        sa.Column("group_token", sa.Text(), nullable=True),
        sa.Column("token_status", sa.Text(), nullable=True),
        sa.Column("token_reply", sa.Text(), nullable=True),
        sa.Column("reservation_id", sa.BigInteger(), nullable=True),
        sa.Column("remote_start_id", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("start_received_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("meter_start_wh", sa.Double(), nullable=True),
        sa.Column("meter_start_seq", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_received_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("meter_stop_wh", sa.Double(), nullable=True),
        sa.Column("meter_stop_seq", sa.BigInteger(), nullable=True),
        sa.Column("energy_wh", sa.Double(), nullable=True),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.Column("stop_token", sa.Text(), nullable=True),
        sa.Column("stop_key", sa.Text(), nullable=True),
        sa.Column("stop_reply", sa.Text(), nullable=True),
        sa.Column("flags", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transactions")),
        sa.UniqueConstraint("identity", "natural_key", name=op.f("uq_transactions_identity")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_transactions_active_connector",
        "transactions",
        ["identity", "connector_id"],
        unique=False,
        postgresql_where=sa.text("state = 'active'"),
        sqlite_where=sa.text("state = 'active'"),
    )
    op.create_index(
        "ix_transactions_active_token",
        "transactions",
        ["token_key"],
        unique=False,
        postgresql_where=sa.text("state = 'active'"),
        sqlite_where=sa.text("state = 'active'"),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Takes what no month's partition does: dates of 1970, or of a month that nobody prepared.
        op.execute("CREATE TABLE meter_samples_default PARTITION OF meter_samples DEFAULT")


def downgrade() -> None:
    """Drop these tables, and what is in them."""
    op.drop_table("transactions")
    op.drop_table("transaction_events")
    op.drop_table("tokens")
    op.drop_table("presence")
    op.drop_table("parked_messages")
    op.drop_table("meter_samples")
    op.drop_table("initial_configuration")
    op.drop_table("data_transfers")
    op.drop_table("data_transfer_vendors")
    op.drop_table("connector_states")
    op.drop_index(op.f("ix_configuration_pushes_next_attempt_at"), table_name="configuration_pushes")
    op.drop_table("configuration_pushes")
    op.drop_table("charge_points")
    op.drop_table("boot_rules")
    op.drop_table("authorizations")
