"""What holds for the whole site: whether anything may leave, and which database this is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, exists, func, select, text, update

from notifier.domain.delivery import State
from notifier.store.schema import batches, dispatches, is_open, site


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


def resume(connection: Connection) -> None:
    """Let everything leave again."""
    connection.execute(update(site).values(paused_at=None, paused_by="", pause_reason=""))


def cancel_waiting(connection: Connection, *, reason: str, now: datetime) -> int:
    """Never send what waits, and end the fan-outs under way; how many messages that were."""
    waiting = connection.execute(
        update(dispatches)
        .where(is_open(dispatches), dispatches.c.state == State.PLANNED)
        .values(state=State.CANCELLED, reason=reason, settled_at=now)
    ).rowcount
    halfway = connection.execute(
        update(dispatches)
        .where(is_open(dispatches), dispatches.c.lane == "mail")
        .values(exhausted=True, replaced=True, reason=reason)
    ).rowcount
    return waiting + halfway


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a database has come: what was claimed in it only ever grows."""

    posts: int
    batches: int

    def is_behind(self, other: Progress) -> bool:
        """Whether something was claimed in `other` of which this database knows nothing."""
        return self.posts < other.posts or self.batches < other.batches


def progress(connection: Connection) -> Progress:
    """How far this database has come."""
    posts = select(func.coalesce(func.sum(dispatches.c.fence), 0)).where(
        dispatches.c.lane == "post"
    )
    pages = select(func.coalesce(func.max(batches.c.id), 0))
    return Progress(connection.scalars(posts).one(), connection.scalars(pages).one())


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
