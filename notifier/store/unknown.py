"""What is unknown: listing it for an operator, and settling it as they say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, literal_column, select, update

from notifier.domain.delivery import State
from notifier.store import finishing, retries
from notifier.store.schema import batches, deliveries, dispatches, incidents, updates


@dataclass(frozen=True, slots=True)
class UnknownRow:
    """A post, or the readers of one mail, of which nobody can say whether it arrived.

    `readers` is 0 for a post. `look_at` is when it is looked into next; None: only an operator
    can settle it. What was `replaced`, or cancelled for those who were not reached, is not sent
    again.
    """

    dispatch_id: int
    incident_id: int
    title: str
    number: int
    lane: str
    channel: str
    text: str
    readers: int
    reason: str
    look_at: datetime | None
    replaced: bool


# Spelt out as in the partial indexes, as `schema.is_open` is.
_UNKNOWN_READER = deliveries.c.state == literal_column("'unknown'")
_UNKNOWN_POST = (dispatches.c.lane == "post") & (dispatches.c.state == literal_column("'unknown'"))


def count(connection: Connection) -> int:
    """How many posts are unknown, and how many mails have unknown readers.

    Steps through the partial index from mail to mail, however many readers each of them has.
    """
    next_mail = select(func.min(deliveries.c.dispatch_id)).where(_UNKNOWN_READER)
    mails = next_mail.with_only_columns(
        func.min(deliveries.c.dispatch_id).label("id"), maintain_column_froms=True
    ).cte("mails", recursive=True)
    behind = next_mail.where(deliveries.c.dispatch_id > mails.c.id).scalar_subquery()
    mails = mails.union_all(select(behind).where(mails.c.id.is_not(None)))
    posts = select(func.count()).select_from(dispatches).where(_UNKNOWN_POST)
    return (
        connection.scalars(posts).one() + connection.scalars(select(func.count(mails.c.id))).one()
    )


def list_posts(connection: Connection) -> list[UnknownRow]:
    """The unknown posts, the newest first."""
    query = _messages(dispatches.c.reason, literal_column("0"), dispatches.c.look_at)
    return [_unknown(row) for row in connection.execute(query.where(_UNKNOWN_POST))]


def list_mails(connection: Connection) -> list[UnknownRow]:
    """The mails that have unknown readers, the newest first. Read along a partial index."""
    counted = (
        select(
            deliveries.c.dispatch_id,
            func.count().label("readers"),
            func.min(deliveries.c.reason).label("reason"),
        )
        .where(_UNKNOWN_READER)
        .group_by(deliveries.c.dispatch_id)
        .subquery()
    )
    looks = (
        select(func.min(batches.c.look_at))
        .where(batches.c.dispatch_id == dispatches.c.id, batches.c.look_at.is_not(None))
        .scalar_subquery()
    )
    query = _messages(counted.c.reason, counted.c.readers, looks)
    query = query.join(counted, counted.c.dispatch_id == dispatches.c.id)
    return [_unknown(row) for row in connection.execute(query)]


def _messages(reason: Any, readers: Any, look_at: Any) -> Select[Any]:
    """The columns of an `UnknownRow`, in its order."""
    return (
        select(
            dispatches.c.id,
            dispatches.c.incident_id,
            incidents.c.title,
            updates.c.number,
            dispatches.c.lane,
            dispatches.c.channel,
            func.coalesce(dispatches.c.text, ""),
            readers,
            func.coalesce(reason, ""),
            look_at,
            dispatches.c.replaced,
        )
        .select_from(dispatches)
        .join(updates, updates.c.id == dispatches.c.update_id)
        .join(incidents, incidents.c.id == dispatches.c.incident_id)
        .order_by(dispatches.c.id.desc())
    )


def _unknown(row: Row[Any]) -> UnknownRow:
    values: tuple[Any, ...] = tuple(row)
    return UnknownRow(*values)


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
            lease_owner=None,
            lease_until=None,
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
    chosen = [deliveries.c.dispatch_id == dispatch_id, _UNKNOWN_READER]
    first, last = connection.execute(
        select(func.min(deliveries.c.seq), func.max(deliveries.c.seq)).where(*chosen)
    ).one()
    if first is None:
        return 0
    if state is State.PLANNED:
        return retries.send_again(connection, dispatch_id, first, last, now=now)
    retries.lock_batches(connection, dispatch_id, first, last)
    settled = connection.execute(
        update(deliveries).where(*chosen).values(state=state, reason=reason)
    ).rowcount
    finishing.refresh(connection, dispatch_id)
    return settled
