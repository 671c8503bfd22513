"""Procrastinate's own tables, beside ours in the same PostgreSQL database.

Their names begin with `procrastinate_`, so nothing collides. Procrastinate ships its schema and
the scripts that bring an older one up to date, but leaves it to the installation to know which
were applied; we keep the name of the newest script as the comment of its table of jobs.
"""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable

from procrastinate.schema import SchemaManager
from sqlalchemy import Connection, func, select, text

from notifier.store.db import Database, DatabaseError

# Any number will do, as long as it is ours; store/db.py has the one before it.
_LOCK = 66843438

# Not by to_regclass: within one transaction that goes on answering what it answered before
# somebody else had made the table, also after we waited for their lock.
_FIND = text(
    "SELECT obj_description(oid, 'pg_class') FROM pg_class"
    " WHERE relname = 'procrastinate_jobs' AND pg_table_is_visible(oid)"
)


def ensure(database: Database) -> None:
    """Make the tables where there are none.

    Raises DatabaseError when they are older or newer than this version needs, or not ours.
    """
    with database.read() as connection:
        table = connection.execute(_FIND).one_or_none()
    if table is None:
        migrate(database)
    elif _is_older(table[0]):
        raise DatabaseError(
            "the database has older tables of Procrastinate: back it up and run `notifier migrate`"
        )


def migrate(database: Database) -> bool:
    """Bring the tables up to this version; whether anything was changed. Raises DatabaseError."""
    with database.transaction() as connection:
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        table = connection.execute(_FIND).one_or_none()
        if table is None:
            _run(connection, SchemaManager.get_schema())
        elif _is_older(table[0]):
            for script in list_scripts():
                if script > table[0]:
                    run_script(connection, script)
        else:
            return False
        _run(connection, f"COMMENT ON TABLE procrastinate_jobs IS '{_newest()}'")
        return True


def list_scripts() -> list[str]:
    """The names of Procrastinate's migrations, oldest first: they begin with a version."""
    return sorted(file.name for file in _folder().iterdir() if file.name.endswith(".sql"))


def run_script(connection: Connection, script: str) -> None:
    """Run one of the migrations in the transaction of `connection`."""
    _run(connection, (_folder() / script).read_text(encoding="utf-8"))


def _is_older(found: str | None) -> bool:
    """Whether the tables need scripts. Raises DatabaseError when they are not ours to touch."""
    if found is None:
        raise DatabaseError(
            "the database holds another program's Procrastinate: give notifier one of its own"
        )
    if found > _newest():
        raise DatabaseError(
            f"the database was written by a newer Procrastinate ({found}):"
            " install that version again, or use another database"
        )
    return found < _newest()


def _newest() -> str:
    return list_scripts()[-1]


def _folder() -> Traversable:
    return resources.files("procrastinate.sql") / "migrations"


def _run(connection: Connection, statements: str) -> None:
    # On the driver's connection, in our transaction: psycopg takes several statements at once,
    # and percent signs as they are, only where no parameters are given, and SQLAlchemy gives some.
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 (for mypy: a connection in use has one)
    driver.execute(statements)
