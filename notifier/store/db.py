"""The database: opening it, transactions, and whether its schema is ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Table, func, inspect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

import notifier.store.postgres
import notifier.store.sqlite

_OPENERS = {
    "sqlite": notifier.store.sqlite.open_engine,
    "postgresql": notifier.store.postgres.open_engine,
}


#: Any number will do, as long as it is ours ("notifier" on a telephone's keys).
_SCHEMA_LOCK = 66843437


#: How long a writer waits for the others of its process before it asks SQLite.
_TURN_SECONDS = 10.0


class DatabaseError(RuntimeError):
    """The database cannot be used as it is. The message says what to do."""


class Database:
    """One database. `transaction` to write, `read` to look; both end with the block."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.dialect = engine.dialect.name
        self._turn = threading.Lock() if self.dialect == "sqlite" else None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A unit of writing: all of it is kept, or, when the block raises, none of it."""
        with self.engine.connect() as connection, self._take_turn():
            writing = connection.execution_options(**{notifier.store.sqlite.WRITE: True})
            with writing.begin():
                yield writing

    @contextmanager
    def _take_turn(self) -> Iterator[None]:
        """Wait for the other writers of this process.

        SQLite has one writer at a time, and whoever waits for it looks again after 1, 2, 5 and up
        to 100 ms (`sqliteDefaultBusyCallback`): threads find out at once. Who has waited as long as
        SQLite would waits for SQLite, whose error says what is wrong.
        """
        mine = self._turn is not None and self._turn.acquire(timeout=_TURN_SECONDS)
        try:
            yield
        finally:
            if mine and self._turn:
                self._turn.release()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent look that waits for no writer."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_database(url: str) -> Database:
    """Open the database of `url`, making its schema when it is empty.

    Raises DatabaseError when the address is wrong, nobody answers, or the schema is not the
    one this version needs.
    """
    database = _connect(url)
    try:
        _check_schema(database)
    except Exception:
        database.close()
        raise
    return database


def migrate(url: str) -> tuple[str | None, str]:
    """Bring the schema of `url` up to this version; (revision before, revision after)."""
    database = _connect(url)
    try:
        before = _revision(database)
        if before is not None and before not in _known_revisions():
            raise DatabaseError(_newer(before))
        with _alone(database) as connection:
            _upgrade(connection)
        return before, _head()
    finally:
        database.close()


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    key: Sequence[str],
    update: Sequence[str],
) -> None:
    """Insert `rows`; where `key` exists already, set the columns of `update` instead.

    With nothing to update, an existing row is left as it is.
    """
    if not rows:
        return
    # Both dialects spell it alike, but SQLAlchemy has no common type for it.
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement: Any = insert(table)
    if update:
        changes = {name: statement.excluded[name] for name in update}
        statement = statement.on_conflict_do_update(index_elements=list(key), set_=changes)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(key))
    connection.execute(statement, list(rows))


def take_turn(connection: Connection, what: str) -> None:
    """Wait until nobody else is at `what`, and keep others from it until we commit."""
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(what, 0))))


def _connect(url: str) -> Database:
    try:
        parsed = make_url(url)
        engine = _OPENERS[parsed.get_backend_name()](parsed)
    except (ArgumentError, KeyError):
        raise DatabaseError(
            "database_url must be like sqlite:///notifier.db or postgresql://user@host/name"
        ) from None
    except ImportError:
        raise DatabaseError(
            "database_url names PostgreSQL, but its driver is not installed:"
            " pip install 'notifier[postgres]'"
        ) from None
    try:
        engine.connect().close()
    except DBAPIError as error:
        engine.dispose()
        shown = parsed.render_as_string(hide_password=True)
        reason = str(error.orig).strip().splitlines()[0]
        raise DatabaseError(f"the database {shown} cannot be opened: {reason}") from None
    return Database(engine)


def _check_schema(database: Database) -> None:
    found = _revision(database) or _fill_empty(database)
    if found == _head():
        return
    if found in _known_revisions():
        raise DatabaseError(
            f"the database has the older schema {found}: back it up and run `notifier migrate`"
        )
    raise DatabaseError(_newer(found))


def _newer(found: str) -> str:
    return (
        f"the database was written by a newer notifier (schema {found}):"
        " install that version again, or use another database"
    )


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent / "migrations"))


def _head() -> str:
    head = _scripts().get_current_head()
    if head is None:
        raise DatabaseError("notifier's migrations are missing: install it again")
    return head


def _known_revisions() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


def _revision(database: Database) -> str | None:
    with database.read() as connection:
        return _revision_on(connection)


def _revision_on(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _fill_empty(database: Database) -> str:
    """Make the schema where there is none; the revision found or made."""
    with _alone(database) as connection:
        if found := _revision_on(connection):  # another process was faster
            return found
        if inspect(connection).get_table_names():
            raise DatabaseError("the database holds tables that are not notifier's; use another")
        _upgrade(connection)
    return _head()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _alone(database: Database) -> Iterator[Connection]:
    """A transaction beside which no other process changes the schema."""
    with database.transaction() as connection:
        if database.dialect == "postgresql":  # SQLite has one writer at a time anyway
            connection.execute(select(func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
        yield connection
