"""Alembic runs this; the connection comes from `notifier.store.db`."""

from alembic import context

from notifier.store import schema, schema_access, schema_alerts

# Importing all three has filled it with all tables.
metadata = schema.dispatches.metadata
assert schema_access.users.metadata is metadata  # noqa: S101 (one set of tables, by design)
assert schema_alerts.alerts.metadata is metadata  # noqa: S101

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
