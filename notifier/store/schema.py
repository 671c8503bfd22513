"""All tables. `migrations/` must build exactly this (tests/guard/test_migrations.py).

The route of one update through the tables: `updates` → `dispatches` (the outbox: one row per
channel) → for mail, `batches` and one row per reader in `deliveries` (the ledger), with the
exact words in `messages`.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)

from notifier.store.metadata import Id, Instant, metadata

component_groups = Table(
    "component_groups",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)

components = Table(
    "components",
    metadata,
    Column("id", Id, primary_key=True),
    Column("slug", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("group_id", ForeignKey("component_groups.id")),
    Column("position", Integer, nullable=False, server_default="0"),
)

customers = Table(
    "customers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("external_id", Text, nullable=False, unique=True),
    Column("email", Text, nullable=False),
    # The address in one letter case: two customers must not share a mailbox.
    Column("email_key", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, server_default=""),
    Column("language", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("unsubscribed_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    # 0: told before all others (medical dependence, accessibility); 1: everybody else.
    Column("wave", Integer, nullable=False, server_default="1"),
    # A fan-out walks its audience variant by variant along this index.
    Index("ix_customers_variant", "wave", "language", "time_zone", "id"),
    # Who changed during a fan-out is looked for at its end.
    Index("ix_customers_updated", "updated_at"),
)

customer_components = Table(
    "customer_components",
    metadata,
    Column("customer_id", ForeignKey("customers.id", ondelete="CASCADE"), nullable=False),
    Column("component_id", ForeignKey("components.id"), nullable=False),
    PrimaryKeyConstraint("customer_id", "component_id"),
    Index("ix_customer_components_component", "component_id", "customer_id"),
    sqlite_with_rowid=False,
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("title", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("resolved_at", Instant),
    Index("ix_incidents_status", "status"),
)

incident_components = Table(
    "incident_components",
    metadata,
    Column("incident_id", ForeignKey("incidents.id"), nullable=False),
    Column("component_id", ForeignKey("components.id"), nullable=False),
    PrimaryKeyConstraint("incident_id", "component_id"),
)

updates = Table(
    "updates",
    metadata,
    Column("id", Id, primary_key=True),
    Column("incident_id", ForeignKey("incidents.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("impact", Text, nullable=False),
    Column("duration_kind", Text, nullable=False),
    Column("duration_start", Instant),
    Column("duration_end", Instant),
    Column("explanation", Text, nullable=False),
    Column("next_update_by", Instant),
    Column("published_at", Instant, nullable=False),
    Column("published_by", Text, nullable=False),
    UniqueConstraint("incident_id", "number"),
)

dispatches = Table(
    "dispatches",
    metadata,
    Column("id", Id, primary_key=True),
    Column("incident_id", ForeignKey("incidents.id"), nullable=False),
    Column("update_id", ForeignKey("updates.id"), nullable=False),
    Column("lane", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("why", Text, nullable=False),
    # Severity rank: of what is due, the worst incident leaves first.
    Column("priority", Integer, nullable=False),
    Column("first_due", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    # A post's frozen words.
    Column("text", Text),
    # A mail's own notice, where the operator edited it while it waited.
    Column("edited", JSON(none_as_null=True)),
    Column("reference", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("lease_owner", Text),
    Column("lease_until", Instant),
    # Grows with each claim; a claimant whose fence is old may no longer write.
    Column("fence", Integer, nullable=False, server_default="0"),
    # When an unknown post is looked into next; null when nobody but an operator can settle it.
    Column("look_at", Instant),
    # A newer update of the incident was published: whoever this one has not reached gets that one.
    Column("replaced", Boolean, nullable=False, server_default=text("false")),
    # When a page of this mail was claimed last: no mail waits behind another for long.
    Column("served_at", Instant),
    # Where the fan-out of a mail stands.
    Column("cursor_wave", Integer, nullable=False, server_default="0"),
    Column("cursor_language", Text, nullable=False, server_default=""),
    Column("cursor_time_zone", Text, nullable=False, server_default=""),
    Column("cursor_customer", BigInteger, nullable=False, server_default="0"),
    Column("last_customer", BigInteger),
    Column("next_seq", BigInteger, nullable=False, server_default="1"),
    Column("exhausted", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", Instant, nullable=False),
    Column("settled_at", Instant),
    UniqueConstraint("update_id", "channel"),
    Index("ix_dispatches_incident", "incident_id"),
    Index(
        "ix_dispatches_due",
        "lane",
        "due_at",
        sqlite_where=text("state IN ('planned', 'sending')"),
        postgresql_where=text("state IN ('planned', 'sending')"),
    ),
    Index(
        "ix_dispatches_look",
        "look_at",
        sqlite_where=text("look_at IS NOT NULL"),
        postgresql_where=text("look_at IS NOT NULL"),
    ),
    # Every page of the admin counts what is unknown.
    Index(
        "ix_dispatches_unknown",
        "lane",
        "id",
        sqlite_where=text("state = 'unknown'"),
        postgresql_where=text("state = 'unknown'"),
    ),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("dispatch_id", ForeignKey("dispatches.id"), nullable=False),
    Column("language", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("mail", JSON, nullable=False),
    UniqueConstraint("dispatch_id", "language", "time_zone"),
)

batches = Table(
    "batches",
    metadata,
    Column("id", Id, primary_key=True),
    Column("dispatch_id", ForeignKey("dispatches.id"), nullable=False),
    Column("message_id", ForeignKey("messages.id"), nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("due_at", Instant, nullable=False),
    Column("reference", Text, nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("lease_owner", Text),
    Column("lease_until", Instant),
    Column("fence", Integer, nullable=False, server_default="1"),
    Column("claimed_at", Instant, nullable=False),
    Column("settled_at", Instant),
    # When its unknown readers are looked into; null when it has none, or when nobody but an
    # operator can settle them.
    Column("look_at", Instant),
    UniqueConstraint("dispatch_id", "first_seq"),
    CheckConstraint("first_seq <= last_seq", name="range"),
    Index(
        "ix_batches_open",
        "due_at",
        sqlite_where=text("state IN ('planned', 'sending')"),
        postgresql_where=text("state IN ('planned', 'sending')"),
    ),
    Index(
        "ix_batches_look",
        "look_at",
        sqlite_where=text("look_at IS NOT NULL"),
        postgresql_where=text("look_at IS NOT NULL"),
    ),
)

# One row per reader and dispatch. Clustered by (dispatch, seq), so that a batch is one
# contiguous range and is marked by one UPDATE; address and name are what was used then.
deliveries = Table(
    "deliveries",
    metadata,
    Column("dispatch_id", ForeignKey("dispatches.id"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    # No foreign key: what was sent stays in the ledger when the customer is erased.
    Column("customer_id", BigInteger, nullable=False),
    Column("address", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reference", Text),
    Column("reason", Text),
    PrimaryKeyConstraint("dispatch_id", "seq"),
    # No second mail of one dispatch to one customer. The dispatch comes first: a page of readers
    # then writes to one place of the index, however long each customer's own history is.
    Index("uq_deliveries_customer", "dispatch_id", "customer_id", unique=True),
    # What is unknown is listed for the operator until somebody or something settles it.
    Index(
        "ix_deliveries_unknown",
        "dispatch_id",
        "seq",
        sqlite_where=text("state = 'unknown'"),
        postgresql_where=text("state = 'unknown'"),
    ),
    sqlite_with_rowid=False,
)


def is_open(table: Table) -> ColumnElement[bool]:
    """Condition on `dispatches` or `batches`: planned or sending.

    Spelt out as in the partial indexes: from bound values neither database could see that an
    index serves the query.
    """
    return table.c.state.in_([literal_column("'planned'"), literal_column("'sending'")])


# Addresses that get no mail, whoever's they are: a provider said that it does not arrive or is
# not wanted. `until` is set where that may pass by itself.
suppressions = Table(
    "suppressions",
    metadata,
    Column("address_key", Text, primary_key=True),
    Column("address", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    Column("source", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("until", Instant),
    Index(
        "ix_suppressions_until",
        "until",
        sqlite_where=text("until IS NOT NULL"),
        postgresql_where=text("until IS NOT NULL"),
    ),
)

# What providers told us about single mails, so that a repetition is known as one. `applied` is
# false as long as the mail it speaks of is not in our ledger.
provider_events = Table(
    "provider_events",
    metadata,
    Column("source", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("dispatch_id", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    Column("happened_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("applied", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("source", "event_id"),
    Index("ix_provider_events_received", "received_at"),
    Index(
        "ix_provider_events_waiting",
        "received_at",
        sqlite_where=text("NOT applied"),
        postgresql_where=text("NOT applied"),
    ),
    sqlite_with_rowid=False,
)

# How the account of each channel does: shared by all workers, and kept over restarts.
channel_health = Table(
    "channel_health",
    metadata,
    Column("channel", Text, primary_key=True),
    # The circuit breaker: closed, open or half_open.
    Column("breaker", Text, nullable=False, server_default="closed"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("opened_at", Instant),
    # Nothing is claimed for this channel before then: what a 429 asked for, or the next probe.
    Column("blocked_until", Instant),
    # When the last call that was paid for ends, at the channel's rate (GCRA).
    Column("paid_until", Instant),
    # The share of mail that this provider gets, 0 to 100.
    Column("weight", Integer, nullable=False, server_default="100"),
    Column("weighed_at", Instant),
    Column("reason", Text, nullable=False, server_default=""),
    Column("changed_at", Instant, nullable=False),
)

# Calls to each channel by the minute: what failover weighs.
channel_minutes = Table(
    "channel_minutes",
    metadata,
    Column("channel", Text, nullable=False),
    Column("minute", Instant, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("slow", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    PrimaryKeyConstraint("channel", "minute"),
    sqlite_with_rowid=False,
)

# Who delivers. A node that is not seen any more has lost its leases.
nodes = Table(
    "nodes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
)

# One row: what holds for the whole site.
site = Table(
    "site",
    metadata,
    Column("id", Id, primary_key=True),
    # While this is set, nothing is claimed. It survives a restart.
    Column("paused_at", Instant),
    Column("paused_by", Text, nullable=False, server_default=""),
    Column("pause_reason", Text, nullable=False, server_default=""),
    # By what we know this database again; another value means a copy or a restored backup.
    Column("identity", Text, nullable=False, server_default=""),
)

# What a request with an Idempotency-Key did, so that its repetition does nothing again.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("actor", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("update_id", ForeignKey("updates.id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    PrimaryKeyConstraint("actor", "key"),
)
