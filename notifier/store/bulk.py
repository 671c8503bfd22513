"""Many customers at once: staged beside the database, judged there, written page by page.

The staging tables belong to one connection and lie outside the database file, so staging
blocks nobody, needs no memory however many rows there are, and leaves nothing behind. Writing
takes the write lock for one page at a time: a declaration never waits for an import.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Select,
    Table,
    Text,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from notifier.domain.audience import Customer
from notifier.store.db import Database
from notifier.store.metadata import Instant
from notifier.store.schema import components, customer_components, customers
from notifier.store.sqlite import WRITE

#: Stands for the schema of the staging tables; `staging` says which one that is.
_SCHEMA = "staging"
_temporary = MetaData(schema=_SCHEMA)
_rows = Table(
    "staged_customers",
    _temporary,
    Column("line", Integer, primary_key=True),
    Column("external_id", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("email_key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("wave", Integer, nullable=False),
)
_uses = Table(
    "staged_components",
    _temporary,
    Column("line", Integer, nullable=False),
    Column("component_id", Integer, nullable=False),
    PrimaryKeyConstraint("line", "component_id"),
)
_problems = Table(
    "staged_problems",
    _temporary,
    Column("line", Integer, nullable=False),
    Column("field", Text, nullable=False),
    Column("message", Text, nullable=False),
)

_GIVEN = ("external_id", "email", "email_key", "name", "language", "time_zone", "wave")
_CHANGEABLE = (*_GIVEN[1:], "updated_at")


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why the row that begins in `line` is not imported: `message` ends "<field> …"."""

    line: int
    field: str
    message: str


def list_customers(connection: Connection, *, after: str, limit: int) -> list[Customer]:
    """Customers whose external id comes after `after`, in the order of the external ids."""
    query = select(customers).where(customers.c.external_id > after)
    rows = connection.execute(query.order_by(customers.c.external_id).limit(limit)).all()
    uses: dict[int, list[str]] = {}
    for customer_id, slug in connection.execute(
        select(customer_components.c.customer_id, components.c.slug)
        .join(components)
        .where(customer_components.c.customer_id.in_([row.id for row in rows]))
        .order_by(components.c.slug)
    ):
        uses.setdefault(customer_id, []).append(slug)
    return [
        Customer(
            external_id=row.external_id,
            email=row.email,
            name=row.name,
            language=row.language,
            time_zone=row.time_zone,
            components=tuple(uses.get(row.id, ())),
            priority=row.wave == 0,
        )
        for row in rows
    ]


@contextmanager
def staging(database: Database) -> Iterator[Staging]:
    """Empty staging tables on a connection of their own, gone at the end of the block."""
    with (
        TemporaryDirectory(prefix="notifier-import-") as folder,
        database.engine.connect() as connection,
    ):
        try:
            schema = _open_schema(connection, Path(folder))
            connection.execution_options(schema_translate_map={_SCHEMA: schema})
            with connection.begin():
                _temporary.create_all(connection, checkfirst=False)
            yield Staging(connection)
        finally:
            # Not back into the pool: with the session go the tables.
            connection.invalidate()


def _open_schema(connection: Connection, folder: Path) -> str:
    if connection.dialect.name == "postgresql":
        return "pg_temp"
    # Not a temporary table: the SQLite of pysqlite3 keeps those in memory (TEMP_STORE=3).
    driver: Any = connection.connection.driver_connection
    driver.execute("ATTACH ? AS staging", (str(folder / "staging.db"),))
    for pragma in ("journal_mode=MEMORY", "synchronous=OFF"):
        driver.execute(f"PRAGMA staging.{pragma}")
    return "staging"


class Staging:
    """The rows of one import. Use the block of `staging` to make one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(
        self,
        rows: Sequence[tuple[int, Customer, Sequence[int]]],
        problems: Sequence[RowProblem],
    ) -> None:
        """Stage checked rows, as (line, customer, component ids), and note the wrong ones."""
        values = [
            {"line": line, **{name: getattr(row, name) for name in _GIVEN}} for line, row, _ in rows
        ]
        uses = [{"line": line, "component_id": id_} for line, _, ids in rows for id_ in ids]
        with self._connection.begin():
            self._insert(_rows, values)
            self._insert(_uses, uses)
            self._insert(_problems, [_values(problem) for problem in problems])

    def judge(self) -> None:
        """Note what only shows when all rows are there, then forget the wrong rows.

        That is: what is given twice, of which the first stays, and what is somebody else's.
        """
        with self._connection.begin():
            self._note(_doubles(_rows.c.external_id))
            self._note(_doubles(_rows.c.email_key))
            self._note(_taken(literal(True)))
            self._drop_wrong(literal(True))

    def take_problems(self) -> Iterator[RowProblem]:
        """What was noted, in the order of the file; each problem once."""
        query = select(_problems).order_by(_problems.c.line)
        with self._connection.begin():
            for row in self._connection.execute(query):
                yield RowProblem(row.line, row.field, row.message)
            self._connection.execute(delete(_problems))

    def lines(self) -> tuple[int, int]:
        """The first and the last line of the rows that are left; (0, 0) when none are."""
        query = select(func.min(_rows.c.line), func.max(_rows.c.line))
        with self._connection.begin():
            first, last = self._connection.execute(query).one()
        return first or 0, last or 0

    def write(self, first: int, last: int, *, keep: Collection[str], now: datetime) -> int:
        """Make or change the customers of these lines, in one transaction; how many.

        Customers who are there already keep what they have in the columns of `keep`. A row
        whose address somebody else took since `judge` becomes a problem.
        """
        page = _rows.c.line.between(first, last)
        connection = self._connection.execution_options(**{WRITE: True})
        try:
            with connection.begin():
                self._note(_taken(page))
                self._drop_wrong(page)
                return _upsert(connection, first, last, keep, now)
        finally:
            self._connection.execution_options(**{WRITE: False})

    def _insert(self, table: Table, values: list[dict[str, Any]]) -> None:
        if values:
            self._connection.execute(insert(table), values)

    def _note(self, found: Select[Any]) -> None:
        self._connection.execute(insert(_problems).from_select(["line", "field", "message"], found))

    def _drop_wrong(self, page: ColumnElement[bool]) -> None:
        wrong = select(_problems.c.line)
        self._connection.execute(delete(_rows).where(page, _rows.c.line.in_(wrong)))


def _values(problem: RowProblem) -> dict[str, Any]:
    return {"line": problem.line, "field": problem.field, "message": problem.message}


def _doubles(column: Column[Any]) -> Select[Any]:
    """All but the first of the rows with the same value."""
    first = func.min(_rows.c.line).label("first")
    same = select(column, first).group_by(column).having(func.count() > 1).subquery()
    field = "email" if column is _rows.c.email_key else column.name
    return (
        select(
            _rows.c.line,
            literal(field),
            _rows.c[field] + " stands in line " + cast(same.c.first, Text) + " already",
        )
        .join(same, same.c[column.name] == column)
        .where(_rows.c.line > same.c.first)
    )


def _taken(page: ColumnElement[bool]) -> Select[Any]:
    """Rows whose address is another customer's."""
    return (
        select(
            _rows.c.line,
            literal("email"),
            _rows.c.email + " is already the address of customer " + customers.c.external_id,
        )
        .join(customers, customers.c.email_key == _rows.c.email_key)
        .where(page, customers.c.external_id != _rows.c.external_id)
    )


def _upsert(
    connection: Connection, first: int, last: int, keep: Collection[str], now: datetime
) -> int:
    page = _rows.c.line.between(first, last)
    at = literal(now, Instant())
    given = select(*(_rows.c[name] for name in _GIVEN), at.label("created"), at.label("updated"))
    into = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement: Any = into(customers).from_select(
        [*_GIVEN, "created_at", "updated_at"], given.where(page), include_defaults=False
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["external_id"],
            set_={name: statement.excluded[name] for name in _CHANGEABLE if name not in keep},
        )
    )
    mine = customers.join(_rows, customers.c.external_id == _rows.c.external_id)
    connection.execute(
        delete(customer_components).where(
            customer_components.c.customer_id.in_(
                select(customers.c.id).select_from(mine).where(page)
            )
        )
    )
    connection.execute(
        insert(customer_components).from_select(
            ["customer_id", "component_id"],
            select(customers.c.id, _uses.c.component_id)
            .select_from(mine.join(_uses, _uses.c.line == _rows.c.line))
            .where(page),
        )
    )
    # Not the statement's rowcount, which some drivers do not know after an INSERT … SELECT.
    return connection.scalars(select(func.count()).select_from(_rows).where(page)).one()
