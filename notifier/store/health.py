"""How the account of each channel does, and how many calls to it went how.

Minutes are counted by worker: the start of the minute is kept with a number of microseconds that
stands for the worker. With one row for all, PostgreSQL would let a worker write its outcomes only
when the one before had committed.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from notifier.domain.failover import Minute, start_of_minute
from notifier.domain.health import Breaker, Health
from notifier.store.db import upsert
from notifier.store.schema import channel_health, channel_minutes

_MICROSECONDS = 1_000_000

# Built once, like those of store/posts.py: reading stands between the press and the post.
_BY_NAME = select(channel_health).where(
    channel_health.c.channel.in_(bindparam("channels", expanding=True))
)
_ONE = select(channel_health).where(channel_health.c.channel == bindparam("name"))
# In the order of names, so that two who lock several never wait for each other.
_LOCKED = _BY_NAME.order_by(channel_health.c.channel).with_for_update()
_WRITE = (
    update(channel_health)
    .where(channel_health.c.channel == bindparam("name"))
    .values(
        {
            column.name: bindparam(f"new_{column.name}")
            for column in channel_health.c
            if not column.primary_key
        }
    )
)


def _count_in(insert: Any) -> Any:
    """The statement that adds one call to its minute."""
    statement = insert(channel_minutes)
    counts = ("calls", "failures", "slow", "seconds")
    added = {name: channel_minutes.c[name] + statement.excluded[name] for name in counts}
    return statement.on_conflict_do_update(index_elements=["channel", "minute"], set_=added)


_COUNT = {"sqlite": _count_in(sqlite.insert), "postgresql": _count_in(postgresql.insert)}


def find(connection: Connection, channel: str) -> Health | None:
    """The health of a channel; None when nothing was ever written of it."""
    row = connection.execute(_ONE, {"name": channel}).one_or_none()
    return _health(row) if row else None


def find_all(connection: Connection, channels: Sequence[str]) -> dict[str, Health]:
    """The health of each of these channels; a new one where nothing was ever written."""
    rows = connection.execute(_BY_NAME, {"channels": list(channels)})
    return dict.fromkeys(channels, Health()) | {row.channel: _health(row) for row in rows}


def lock(connection: Connection, channels: Sequence[str], *, now: datetime) -> dict[str, Health]:
    """The health of these channels, which nobody else changes until we commit."""
    given = {"channels": list(channels)}
    rows = connection.execute(_LOCKED, given).all()
    if len(rows) < len(channels):
        new = [{"channel": channel, "changed_at": now} for channel in sorted(channels)]
        upsert(connection, channel_health, new, key=["channel"], update=[])
        rows = connection.execute(_LOCKED, given).all()
    return {row.channel: _health(row) for row in rows}


def write(connection: Connection, channel: str, health: Health, *, now: datetime) -> None:
    """Keep the health of a channel that is locked."""
    values = asdict(health) | {"changed_at": health.changed_at or now}
    given = {f"new_{name}": value for name, value in values.items()}
    connection.execute(_WRITE, {"name": channel, **given})


def count_call(
    connection: Connection,
    channel: str,
    *,
    worker: str,
    now: datetime,
    failed: bool,
    slow: bool,
    seconds: float,
) -> None:
    """Add a call to its minute. `worker` is unique among processes; threads are told apart."""
    slot = zlib.crc32(f"{worker}/{threading.get_ident()}".encode()) % _MICROSECONDS
    given = {
        "channel": channel,
        "minute": start_of_minute(now) + timedelta(microseconds=slot),
        "calls": 1,
        "failures": int(failed),
        "slow": int(slow),
        "seconds": seconds,
    }
    connection.execute(_COUNT[connection.dialect.name], given)


def minutes_since(
    connection: Connection, channels: Sequence[str], since: datetime
) -> Mapping[str, list[Minute]]:
    """The minutes of each of these channels that began at `since` or later."""
    m = channel_minutes.c
    query = select(channel_minutes).where(m.channel.in_(channels), m.minute >= since)
    found: dict[str, list[Minute]] = {channel: [] for channel in channels}
    for row in connection.execute(query):
        at = start_of_minute(row.minute)
        minute = Minute(at, row.calls, row.failures, row.slow, row.seconds)
        found[row.channel].append(minute)
    return found


def first_minute(connection: Connection) -> datetime | None:
    """The oldest minute that is kept."""
    oldest: datetime | None = connection.scalars(select(func.min(channel_minutes.c.minute))).one()
    return oldest


def forget_minutes(connection: Connection, before: datetime) -> None:
    """Drop the minutes before this one."""
    connection.execute(delete(channel_minutes).where(channel_minutes.c.minute < before))


def _health(row: Row[Any]) -> Health:
    return Health(
        breaker=Breaker(row.breaker),
        failures=row.failures,
        opened_at=row.opened_at,
        blocked_until=row.blocked_until,
        paid_until=row.paid_until,
        weight=row.weight,
        weighed_at=row.weighed_at,
        reason=row.reason,
        changed_at=row.changed_at,
    )
