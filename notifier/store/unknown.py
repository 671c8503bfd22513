"""What is unknown: listing it for an operator, and settling it as they say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, update

from notifier.domain.delivery import State
from notifier.store import finishing, retries
from notifier.store.schema import batches, deliveries, dispatches, updates


@dataclass(frozen=True, slots=True)
class UnknownRow:
    """A post, or the readers of one mail, of which nobody can say whether it arrived.

    `readers` is 0 for a post. `look_at` is when it is looked into next; None: only an operator
    can settle it.
    """

    dispatch_id: int
    incident_id: int
    number: int
    channel: str
    text: str
    readers: int
    reason: str
    look_at: datetime | None


def list_posts(connection: Connection) -> list[UnknownRow]:
    """The unknown posts, the newest first."""
    query = (
        select(dispatches, updates.c.number)
        .join(updates, updates.c.id == dispatches.c.update_id)
        .where(dispatches.c.lane == "post", dispatches.c.state == State.UNKNOWN)
        .order_by(dispatches.c.id.desc())
    )
    return [
        UnknownRow(
            dispatch_id=row.id,
            incident_id=row.incident_id,
            number=row.number,
            channel=row.channel,
            text=row.text or "",
            readers=0,
            reason=row.reason,
            look_at=row.look_at,
        )
        for row in connection.execute(query)
    ]


def list_mails(connection: Connection) -> list[UnknownRow]:
    """The mails that have unknown readers, the newest first. Read along a partial index."""
    counted = (
        select(
            deliveries.c.dispatch_id,
            func.count().label("readers"),
            func.min(deliveries.c.reason).label("reason"),
        )
        .where(deliveries.c.state == "unknown")
        .group_by(deliveries.c.dispatch_id)
        .subquery()
    )
    looks = (
        select(func.min(batches.c.look_at))
        .where(batches.c.dispatch_id == dispatches.c.id, batches.c.look_at.is_not(None))
        .scalar_subquery()
    )
    query = (
        select(dispatches, updates.c.number, counted.c.readers, counted.c.reason, looks)
        .join(counted, counted.c.dispatch_id == dispatches.c.id)
        .join(updates, updates.c.id == dispatches.c.update_id)
        .order_by(dispatches.c.id.desc())
    )
    return [
        UnknownRow(
            dispatch_id=row[0],
            incident_id=row.incident_id,
            number=row.number,
            channel=row.channel,
            text="",
            readers=row.readers,
            reason=row[-2] or "",
            look_at=row[-1],
        )
        for row in connection.execute(query)
    ]


def settle_post(
    connection: Connection, dispatch_id: int, *, state: State, reason: str, now: datetime
) -> int:
    """Settle an unknown post, or plan it anew; 0 when it is not unknown (any more).

    Its fence grows, so that whoever still waits for an answer writes nothing.
    """
    result = connection.execute(
        update(dispatches)
        .where(
            dispatches.c.id == dispatch_id,
            dispatches.c.lane == "post",
            dispatches.c.state == State.UNKNOWN,
        )
        .values(
            state=state,
            reason=reason,
            due_at=now,
            look_at=None,
            fence=dispatches.c.fence + 1,
            settled_at=None if state is State.PLANNED else now,
        )
    )
    return result.rowcount


def settle_readers(
    connection: Connection,
    dispatch_id: int,
    *,
    state: State,
    reason: str,
    now: datetime,
) -> int:
    """Settle the unknown readers of a mail, or plan them anew; how many they were."""
    chosen = [deliveries.c.dispatch_id == dispatch_id, deliveries.c.state == "unknown"]
    if state is State.PLANNED:
        first, last = connection.execute(
            select(func.min(deliveries.c.seq), func.max(deliveries.c.seq)).where(*chosen)
        ).one()
        if first is None:
            return 0
        return retries.send_again(connection, dispatch_id, first, last, now=now)
    settled = connection.execute(
        update(deliveries).where(*chosen).values(state=state, reason=reason)
    ).rowcount
    finishing.refresh(connection, dispatch_id)
    return settled
