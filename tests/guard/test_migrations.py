"""The migrations build exactly the schema that the code uses, on both databases."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from notifier.store import schema
from notifier.store.db import Database


def default_differs(
    context: MigrationContext,
    _found_column: object,
    _column: object,
    found: str | None,
    _default: object,
    wanted: str | None,
) -> bool | None:
    """SQLite tells a default with its marks, which alembic takes for another one."""
    if context.dialect.name != "sqlite":
        return None  # as alembic does it
    return (found or "").strip("()'") != wanted


def test_the_migrations_build_the_schema_and_nothing_else(database: Database) -> None:
    options = {"compare_type": True, "compare_server_default": default_differs}
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.metadata) == []


def test_each_index_covers_the_rows_that_the_code_means(database: Database) -> None:
    """Alembic does not compare the condition of a partial index."""
    with database.read() as connection:
        found = {
            str(index["name"]): str(condition).lower()
            for table in schema.metadata.tables
            for index in inspect(connection).get_indexes(table)
            for option, condition in (index.get("dialect_options") or {}).items()
            if option.endswith("_where")
        }
    meant = {
        "ix_dispatches_due": ("'planned'", "'sending'"),
        "ix_batches_open": ("'planned'", "'sending'"),
        "ix_dispatches_look": ("look_at is not null",),
        "ix_dispatches_unknown": ("'unknown'",),
        "ix_batches_look": ("look_at is not null",),
        "ix_deliveries_unknown": ("'unknown'",),
        "ix_provider_events_waiting": ("not applied",),
        "ix_suppressions_until": ("until is not null",),
        "ix_alerts_changed": ("changed",),
        "ix_drafts_waiting": ("'waiting'",),
        "ix_draft_alerts_firing": ("fired_at > cleared_at",),
    }
    assert set(found) == set(meant)
    for name, words in meant.items():
        assert all(word in found[name] for word in words), name


def test_tables_without_row_ids_are_so_on_sqlite(database: Database) -> None:
    """Alembic does not compare that either; the ledger's speed depends on it."""
    if database.dialect != "sqlite":
        return
    with database.read() as connection:
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master"))
        made = {name: sql for name, sql in rows}
    without = {
        name
        for name, table in schema.metadata.tables.items()
        if table.dialect_options["sqlite"]["with_rowid"] is False
    }
    assert without == {name for name in schema.metadata.tables if "WITHOUT ROWID" in made[name]}
    assert "deliveries" in without
