"""What holds for the whole site: whether anything may leave, and which database this is."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, exists, func, select, text, update

from notifier.domain.delivery import State
from notifier.store.schema import batches, dispatches, is_open, site, updates


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when nothing leaves, on whose word and why."""

    since: datetime
    by: str
    reason: str


def is_paused() -> ColumnElement[bool]:
    """Condition: nothing may leave."""
    return exists().where(site.c.paused_at.is_not(None))


_PAUSE = select(site.c.paused_at, site.c.paused_by, site.c.pause_reason).where(
    site.c.paused_at.is_not(None)
)


def find_pause(connection: Connection) -> Pause | None:
    """The pause, if there is one."""
    row = connection.execute(_PAUSE).one_or_none()
    return Pause(row.paused_at, row.paused_by, row.pause_reason) if row else None


def pause(connection: Connection, *, by: str, reason: str, now: datetime) -> None:
    """Let nothing leave any more. Who paused first keeps the word."""
    connection.execute(
        update(site)
        .where(site.c.paused_at.is_(None))
        .values(paused_at=now, paused_by=by, pause_reason=reason)
    )


def resume(connection: Connection) -> bool:
    """Let everything leave again; False when it did already."""
    ended = update(site).where(site.c.paused_at.is_not(None))
    result = connection.execute(ended.values(paused_at=None, paused_by="", pause_reason=""))
    return result.rowcount == 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a database has come, in numbers that only ever grow.

    `updates` were published; calls for `posts` and for `batches` of mail came to an end.
    """

    updates: int
    posts: int
    batches: int

    def is_behind(self, other: Progress) -> bool:
        """Whether something happened in `other` of which this database knows nothing."""
        numbers = zip(astuple(self), astuple(other), strict=True)
        return any(mine < theirs for mine, theirs in numbers)


def progress(connection: Connection) -> Progress:
    """How far this database has come."""
    published = select(func.coalesce(func.max(updates.c.id), 0))
    return Progress(
        updates=connection.scalars(published).one(),
        posts=_ended_calls(connection, dispatches, dispatches.c.lane == "post"),
        batches=_ended_calls(connection, batches),
    )


def _ended_calls(connection: Connection, table: Table, *mine: ColumnElement[bool]) -> int:
    """Each call raises a fence; those in flight have not ended."""
    fences = select(func.coalesce(func.sum(table.c.fence), 0)).where(*mine)
    flying = select(func.count()).where(is_open(table), table.c.state == State.SENDING, *mine)
    return int(connection.scalars(fences).one()) - connection.scalars(flying).one()


def identity(connection: Connection) -> str:
    """By what the database was known when it was served last; "" when it never was."""
    known: str = connection.scalars(select(site.c.identity)).one()
    return known


def set_identity(connection: Connection, value: str) -> None:
    """Remember by what the database is known."""
    connection.execute(update(site).values(identity=value))


def cluster(connection: Connection) -> str:
    """Which PostgreSQL cluster and database this is: a restored dump is in another one."""
    found = connection.execute(
        text(
            "SELECT system_identifier, (SELECT oid FROM pg_database"
            " WHERE datname = current_database()) FROM pg_control_system()"
        )
    ).one()
    return f"{found[0]}/{found[1]}"
