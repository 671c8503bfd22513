"""The tables of what monitoring tools tell, and of what we propose to say because of it.

The route of one alert: a request is kept in `hook_bodies` and merged into `alerts`; what changed
there is gathered into `drafts`; a draft that is posted has an incident.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from notifier.store.metadata import Id, Instant, metadata

# Who may tell us something, and what their silence means.
integrations = Table(
    "integrations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("source", Text, nullable=False),
    Column("name", Text, nullable=False, unique=True),
    # The key in the address is random, so its plain SHA-256 is what is kept and looked up.
    Column("key_hash", Text, nullable=False, unique=True),
    # Its header secret and its signing secrets, encrypted.
    Column("sealed", Text, nullable=False),
    Column("header", Text, nullable=False, server_default=""),
    Column("networks", JSON, nullable=False),
    Column("options", JSON, nullable=False),
    # Where alerts belong that no rule sends elsewhere.
    Column("component_id", ForeignKey("components.id")),
    # How bad an alert is whose tool does not say so in a word we know.
    Column("severity", Text, nullable=False),
    # After how much silence of the tool we say that there is no data; null: it may be silent.
    Column("heartbeat_seconds", Integer),
    # After how much silence about a firing alert it counts as no longer reported.
    Column("stale_seconds", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant),
)

# The last requests of each integration as they came, without the secrets in them.
hook_bodies = Table(
    "hook_bodies",
    metadata,
    Column("id", Id, primary_key=True),
    Column("integration_id", ForeignKey("integrations.id", ondelete="CASCADE"), nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("method", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_hook_bodies_integration", "integration_id", "id"),
)

# One row for each key of each integration. Requests are merged by maxima alone, so that neither
# their order nor their number matters: it fires while `fired_at` > `cleared_at`. What never
# happened has the year 1970.
alerts = Table(
    "alerts",
    metadata,
    Column("id", Id, primary_key=True),
    # Null: it was removed, and this alert is a draft's history.
    Column("integration_id", ForeignKey("integrations.id", ondelete="SET NULL")),
    Column("key", Text, nullable=False),
    Column("fired_at", Instant, nullable=False),
    Column("cleared_at", Instant, nullable=False),
    Column("acknowledged_at", Instant, nullable=False),
    # What was said last, as JSON with sorted keys: of two words with one time, the greater counts.
    Column("facts_at", Instant, nullable=False),
    Column("facts", Text, nullable=False),
    Column("first_seen_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    # Whether it has to be looked at: what it says is not in any draft yet.
    Column("changed", Boolean, nullable=False),
    UniqueConstraint("integration_id", "key"),
    Index(
        "ix_alerts_changed",
        "id",
        sqlite_where=text("changed"),
        postgresql_where=text("changed"),
    ),
    Index("ix_alerts_seen", "seen_at"),
)

# Which component an alert is about, how bad that is, and whether it is said by itself.
alert_rules = Table(
    "alert_rules",
    metadata,
    Column("id", Id, primary_key=True),
    Column("position", Integer, nullable=False),
    # Null: alerts of every integration.
    Column("integration_id", ForeignKey("integrations.id", ondelete="CASCADE")),
    # Label to pattern; all have to match.
    Column("match", JSON, nullable=False),
    # Null: these alerts are ignored.
    Column("component_id", ForeignKey("components.id")),
    # Null: as bad as the alert says.
    Column("severity", Text),
    Column("preset_id", ForeignKey("presets.id")),
    # Null: only an operator posts it.
    Column("auto_seconds", Integer),
)

# Words that were written and approved before anything happened.
presets = Table(
    "presets",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("impact", Text, nullable=False),
    Column("explanation", Text, nullable=False),
)

# What the monitoring proposes to say about one component, and what became of it.
drafts = Table(
    "drafts",
    metadata,
    Column("id", Id, primary_key=True),
    # waiting → posted, dismissed or withdrawn (the alerts were over before anybody posted it).
    Column("state", Text, nullable=False),
    # Null: nobody has said yet which component these alerts are about.
    Column("component_id", ForeignKey("components.id")),
    # Of an unknown component, whose alerts they are: these are gathered by integration.
    Column("integration_id", ForeignKey("integrations.id", ondelete="SET NULL")),
    Column("preset_id", ForeignKey("presets.id", ondelete="SET NULL")),
    Column("severity", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    # Since when none of its alerts fires; null while one does.
    Column("quiet_since", Instant),
    # Whether that is because the tools said so, and not because they said nothing more.
    Column("recovered", Boolean, nullable=False, server_default=text("false")),
    # How often its alerts were over and fired again.
    Column("relapses", Integer, nullable=False, server_default="0"),
    # When it is posted by itself; null: when an operator does it.
    Column("auto_at", Instant),
    # Why it is not posted by itself although a rule says so: who stopped it, or what went wrong.
    Column("stopped", Text, nullable=False, server_default=""),
    Column("decided_by", Text, nullable=False, server_default=""),
    Column("decided_at", Instant),
    Column("incident_id", ForeignKey("incidents.id")),
    Index(
        "ix_drafts_waiting",
        "id",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    Index("ix_drafts_incident", "incident_id"),
    Index("ix_drafts_component", "component_id", "id"),
)

# The alerts that fed a draft, as they were then: an alert may fire again for another one.
draft_alerts = Table(
    "draft_alerts",
    metadata,
    Column("draft_id", ForeignKey("drafts.id", ondelete="CASCADE"), nullable=False),
    Column("alert_id", ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False),
    Column("integration", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("fired_at", Instant, nullable=False),
    Column("cleared_at", Instant, nullable=False),
    Column("acknowledged_at", Instant, nullable=False),
    # The tool has said nothing about it for too long.
    Column("silent", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("draft_id", "alert_id"),
    Index("ix_draft_alerts_alert", "alert_id"),
    # Whether any still fires is asked each time one changes, and a storm has a hundred thousand.
    Index(
        "ix_draft_alerts_firing",
        "draft_id",
        "silent",
        sqlite_where=text("fired_at > cleared_at"),
        postgresql_where=text("fired_at > cleared_at"),
    ),
)

# What happened and is no alert: deployments.
happenings = Table(
    "happenings",
    metadata,
    Column("id", Id, primary_key=True),
    Column("integration_id", ForeignKey("integrations.id", ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("title", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("labels", JSON, nullable=False),
    UniqueConstraint("integration_id", "key"),
    Index("ix_happenings_at", "at"),
)
