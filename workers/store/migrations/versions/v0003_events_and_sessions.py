"""Events in an outbox, leases, and presence as the gateways announce it.

Revision: 0003, after 0002. The new columns of presence may be left out: processes of the version before write them not.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PRESENCE = ("close_reason", "close_code", "closed_at", "opened_at", "remote")


def upgrade() -> None:
    """Make the tables, and the columns of presence."""
    op.create_table(
        "outbox",
        sa.Column(
            "number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_outbox")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_outbox_new",
        "outbox",
        ["number"],
        unique=False,
        postgresql_where=sa.text("seq IS NULL"),
        sqlite_where=sa.text("seq IS NULL"),
    )
    op.create_table(
        "event_sequences",
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("identity", name=op.f("pk_event_sequences")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.add_column("presence", sa.Column("remote", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("presence", sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("presence", sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("presence", sa.Column("close_code", sa.Integer(), nullable=True))
    op.add_column("presence", sa.Column("close_reason", sa.Text(), nullable=True))
    op.create_index(
        "ix_presence_open",
        "presence",
        ["gateway", "identity"],
        unique=False,
        postgresql_where=sa.text("closed_at IS NULL"),
        sqlite_where=sa.text("closed_at IS NULL"),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Every row of the outbox dies within seconds: it stays small only if it is swept by its own measure.
        op.execute("ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000)")


def downgrade() -> None:
    """Drop these tables and columns, and what is in them."""
    op.drop_index("ix_presence_open", table_name="presence")
    for column in _PRESENCE:
        op.drop_column("presence", column)
    op.drop_table("leases")
    op.drop_table("event_sequences")
    op.drop_table("outbox")
