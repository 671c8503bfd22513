"""The nodes that deliver from this database, and which of them have fallen silent.

A lease is written with its owner's clock. Each node may compare its own leases with its own
clock, and nobody else's: two machines whose clocks are five minutes apart would take each
other's calls for lost. So others are judged by when they were last seen, which is written and
compared by the one clock that all of them share, the database's.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Table, delete, func, or_, select

from notifier.store.db import upsert
from notifier.store.schema import nodes

#: A node that was not seen for so long has lost its leases.
SILENT_AFTER = timedelta(seconds=30)

#: Longer than any lease: until then a silent node's name says whose the leases were.
_FORGOTTEN_AFTER = timedelta(days=1)


def database_now(connection: Connection) -> datetime:
    """The time by the database's clock; an SQLite file has its machine's."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    now: datetime = connection.scalars(select(func.clock_timestamp())).one()
    return now


def see(connection: Connection, node: str) -> None:
    """Write that `node` is alive, and forget who has been silent for a day."""
    now = database_now(connection)
    row = {"name": node, "started_at": now, "seen_at": now}
    upsert(connection, nodes, [row], key=["name"], update=["seen_at"])
    connection.execute(delete(nodes).where(nodes.c.seen_at < now - _FORGOTTEN_AFTER))


def forget(connection: Connection, node: str) -> None:
    """A node that has ended in order holds no leases."""
    connection.execute(delete(nodes).where(nodes.c.name == node))


def lost_owner(
    connection: Connection, table: Table, *, node: str, now: datetime
) -> ColumnElement[bool]:
    """Condition on `dispatches` or `batches`: whoever holds the lease will not settle it.

    Asked by `node`, whose own clock says `now`. It is so when our own lease is over, when its
    owner has fallen silent, or when the lease of somebody who was never seen is over.
    """
    owner = table.c.lease_owner
    seen = select(1).where(nodes.c.name == owner)
    silent = seen.where(nodes.c.seen_at < database_now(connection) - SILENT_AFTER)
    is_over = table.c.lease_until < now
    return or_(
        (owner == node) & is_over,
        (owner != node) & silent.exists(),
        ~seen.exists() & is_over,
    )
