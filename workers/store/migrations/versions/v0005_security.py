"""Credentials, keys and certificates of charge points.

Revision: 0005, after 0004.
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_FUNCTION = "ocpp_make_sample_partition(date)"
# Only the owner of a table can make partitions of it: a role without that right does it by this function, which makes
# those of this and the coming months and nothing else. False: it was there.
_MAKE_PARTITION = """
CREATE FUNCTION ocpp_make_sample_partition(month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = SCHEMA, pg_temp AS $$
DECLARE
    first date := date_trunc('month', month)::date;
    partition text := 'meter_samples_' || to_char(first, 'YYYY_MM');
BEGIN
    IF abs(first - current_date) > 1100 THEN
        RAISE EXCEPTION 'no partition is made for %', first;
    END IF;
    IF to_regclass('SCHEMA.' || partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE SCHEMA.%I PARTITION OF SCHEMA.meter_samples FOR VALUES FROM (%L) TO (%L)',
        partition, to_char(first, 'YYYY-MM-DD') || ' 00:00+00',
        to_char(first + interval '1 month', 'YYYY-MM-DD') || ' 00:00+00');
    RETURN true;
END
$$
"""


def _text(name: str, *, null: bool = False, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=null, server_default=None if default is None else sa.text(default))


def _number(name: str, *, null: bool = False, default: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=null, server_default=None if default is None else sa.text(default))


def _time(name: str, *, null: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=null)


def upgrade() -> None:
    """Make the tables; samples get a place for what came of their signature."""
    op.create_table(
        "charge_point_security",
        _text("identity"),
        _number("profile", default="0"),
        _number("target_profile", null=True),
        _text("target_delivery", default="''"),
        _text("certificate_name", null=True),
        _text("message_policy", default="'off'"),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("identity", name=op.f("pk_charge_point_security")),
    )
    op.create_index(
        "ix_charge_point_security_certificate_name",
        "charge_point_security",
        ["certificate_name"],
        unique=False,
        postgresql_where=sa.text("certificate_name IS NOT NULL"),
        sqlite_where=sa.text("certificate_name IS NOT NULL"),
    )
    op.create_table(
        "charge_point_keys",
        _text("key_id"),
        _text("identity"),
        _text("digest"),
        _text("state"),
        _text("delivery"),
        _text("detail", default="''"),
        _time("created_at"),
        _time("confirmed_at", null=True),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_charge_point_keys")),
    )
    op.create_index(op.f("ix_charge_point_keys_identity"), "charge_point_keys", ["identity"], unique=False)
    op.create_table(
        "message_keys",
        _text("identity"),
        _text("thumbprint"),
        _text("pem"),
        _time("added_at"),
        sa.PrimaryKeyConstraint("identity", "thumbprint", name=op.f("pk_message_keys")),
    )
    op.create_table(
        "certificate_requests",
        _text("request_key"),
        _text("identity"),
        _text("ocpp_version"),
        _text("certificate_type"),
        _number("ocpp_request_id", null=True),
        _text("csr"),
        _text("state"),
        _text("detail", default="''"),
        _text("chain", null=True),
        _text("serial", null=True),
        _number("attempts", default="0"),
        _time("created_at"),
        _time("next_attempt_at", null=True),
        _time("ended_at", null=True),
        sa.PrimaryKeyConstraint("request_key", name=op.f("pk_certificate_requests")),
    )
    for column in ("identity", "next_attempt_at"):
        op.create_index(op.f(f"ix_certificate_requests_{column}"), "certificate_requests", [column], unique=False)
    op.create_table(
        "issued_certificates",
        _text("serial"),
        _text("identity"),
        _text("subject"),
        _time("not_before"),
        _time("not_after"),
        _text("pem"),
        _text("state"),
        _time("issued_at"),
        _time("renewal_asked_at", null=True),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_issued_certificates")),
    )
    op.create_index(op.f("ix_issued_certificates_identity"), "issued_certificates", ["identity"], unique=False)
    op.create_index("ix_issued_certificates_renewal", "issued_certificates", ["state", "not_after"], unique=False)
    op.create_table(
        "installed_certificates",
        _text("identity"),
        _text("certificate_type"),
        _text("serial_number"),
        _text("issuer_key_hash"),
        _text("hash_data"),
        _time("reported_at"),
        sa.PrimaryKeyConstraint(
            "identity", "certificate_type", "serial_number", "issuer_key_hash", name=op.f("pk_installed_certificates")
        ),
    )
    op.create_table(
        "certificate_orders",
        _text("order_key"),
        _text("identity"),
        _text("kind"),
        _text("subject", default="''"),
        _text("details"),
        _text("status"),
        _text("detail", default="''"),
        _number("attempts", default="0"),
        _time("asked_at"),
        _time("next_attempt_at", null=True),
        _time("ended_at", null=True),
        sa.PrimaryKeyConstraint("order_key", name=op.f("pk_certificate_orders")),
    )
    for column in ("identity", "next_attempt_at"):
        op.create_index(op.f(f"ix_certificate_orders_{column}"), "certificate_orders", [column], unique=False)
    op.create_table(
        "meter_keys",
        _text("identity"),
        _text("fingerprint"),
        _text("public_key"),
        _text("meter_serial", default="''"),
        _time("added_at"),
        sa.PrimaryKeyConstraint("identity", "fingerprint", name=op.f("pk_meter_keys")),
    )
    op.add_column("meter_samples", _text("signature", null=True))
    if op.get_bind().dialect.name == "postgresql":
        schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
        op.execute(_MAKE_PARTITION.replace("SCHEMA", schema))
        op.execute(f"REVOKE ALL ON FUNCTION {_FUNCTION} FROM PUBLIC")


def downgrade() -> None:
    """Drop the tables, and what is in them."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"DROP FUNCTION {_FUNCTION}")
    op.drop_column("meter_samples", "signature")
    for table in (
        "meter_keys",
        "certificate_orders",
        "installed_certificates",
        "issued_certificates",
        "certificate_requests",
        "message_keys",
        "charge_point_keys",
        "charge_point_security",
    ):
        op.drop_table(table)
