"""Delivery that survives: what is unknown, sick, suppressed or paused is a row.

Only adds, so that a fan-out that was under way goes on where it was.
"""

import sqlalchemy as sa
from alembic import op

import notifier.store.metadata

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward."""
    op.create_table(
        "channel_health",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("breaker", sa.Text(), server_default="closed", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("opened_at", notifier.store.metadata.Instant(timezone=True), nullable=True),
        sa.Column("blocked_until", notifier.store.metadata.Instant(timezone=True), nullable=True),
        sa.Column("paid_until", notifier.store.metadata.Instant(timezone=True), nullable=True),
        sa.Column("weight", sa.Integer(), server_default="100", nullable=False),
        sa.Column("weighed_at", notifier.store.metadata.Instant(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("changed_at", notifier.store.metadata.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("channel", name=op.f("pk_channel_health")),
    )
    op.create_table(
        "channel_minutes",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("minute", notifier.store.metadata.Instant(timezone=True), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("slow", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("channel", "minute", name=op.f("pk_channel_minutes")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "nodes",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("started_at", notifier.store.metadata.Instant(timezone=True), nullable=False),
        sa.Column("seen_at", notifier.store.metadata.Instant(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_nodes")),
    )
    op.create_table(
        "provider_events",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("dispatch_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("happened_at", notifier.store.metadata.Instant(timezone=True), nullable=False),
        sa.Column("received_at", notifier.store.metadata.Instant(timezone=True), nullable=False),
        sa.Column("applied", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("source", "event_id", name=op.f("pk_provider_events")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_provider_events_received", "provider_events", ["received_at"], unique=False)
    op.create_index(
        "ix_provider_events_waiting",
        "provider_events",
        ["received_at"],
        unique=False,
        sqlite_where=sa.text("NOT applied"),
        postgresql_where=sa.text("NOT applied"),
    )

    op.create_table(
        "site",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("paused_at", notifier.store.metadata.Instant(timezone=True), nullable=True),
        sa.Column("paused_by", sa.Text(), server_default="", nullable=False),
        sa.Column("pause_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("identity", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_site")),
    )
    op.create_table(
        "suppressions",
        sa.Column("address_key", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), server_default="", nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", notifier.store.metadata.Instant(timezone=True), nullable=False),
        sa.Column("until", notifier.store.metadata.Instant(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("address_key", name=op.f("pk_suppressions")),
    )
    op.create_index(
        "ix_suppressions_until",
        "suppressions",
        ["until"],
        unique=False,
        sqlite_where=sa.text("until IS NOT NULL"),
        postgresql_where=sa.text("until IS NOT NULL"),
    )
    op.add_column(
        "batches",
        sa.Column("look_at", notifier.store.metadata.Instant(timezone=True), nullable=True),
    )
    op.create_index(
        "ix_batches_look",
        "batches",
        ["look_at"],
        unique=False,
        sqlite_where=sa.text("look_at IS NOT NULL"),
        postgresql_where=sa.text("look_at IS NOT NULL"),
    )

    op.add_column("customers", sa.Column("wave", sa.Integer(), server_default="1", nullable=False))
    op.drop_index("ix_customers_variant", table_name="customers")
    op.create_index(
        "ix_customers_variant", "customers", ["wave", "language", "time_zone", "id"], unique=False
    )

    op.drop_index("uq_deliveries_customer", table_name="deliveries")
    op.create_index(
        "uq_deliveries_customer", "deliveries", ["dispatch_id", "customer_id"], unique=True
    )
    op.create_index(
        "ix_deliveries_unknown",
        "deliveries",
        ["dispatch_id", "seq"],
        unique=False,
        sqlite_where=sa.text("state = 'unknown'"),
        postgresql_where=sa.text("state = 'unknown'"),
    )

    op.add_column(
        "dispatches",
        sa.Column("look_at", notifier.store.metadata.Instant(timezone=True), nullable=True),
    )
    op.add_column(
        "dispatches",
        sa.Column("replaced", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column(
        "dispatches",
        sa.Column("served_at", notifier.store.metadata.Instant(timezone=True), nullable=True),
    )
    op.add_column(
        "dispatches", sa.Column("cursor_wave", sa.Integer(), server_default="0", nullable=False)
    )
    op.create_index(
        "ix_dispatches_look",
        "dispatches",
        ["look_at"],
        unique=False,
        sqlite_where=sa.text("look_at IS NOT NULL"),
        postgresql_where=sa.text("look_at IS NOT NULL"),
    )
    op.create_index(
        "ix_dispatches_unknown",
        "dispatches",
        ["lane", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'unknown'"),
        postgresql_where=sa.text("state = 'unknown'"),
    )
    op.execute("INSERT INTO site (id) VALUES (1)")
    # Which provider carries a mail is now decided page by page.
    op.execute("UPDATE dispatches SET channel = 'email' WHERE lane = 'mail'")
    # Everybody is in wave 1, so that is where a walk that had begun stands.
    op.execute("UPDATE dispatches SET cursor_wave = 1 WHERE cursor_language <> ''")
