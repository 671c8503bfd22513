"""The outbox: one row per update and channel. The row is the work; everything else is a bell.

A claim takes the row for one claimant until its lease ends and raises the fence; what a
claimant with an older fence reports afterwards is not written. An expired lease never means
"send again": it means nobody knows, and becomes `unknown`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    func,
    insert,
    select,
    update,
)

from notifier.domain.delivery import State
from notifier.domain.notice import Notice
from notifier.domain.plan import Dispatch, Lane, Reason
from notifier.store import finishing, notices, retries
from notifier.store.schema import batches, dispatches, is_open


@dataclass(frozen=True, slots=True)
class DispatchRow:
    """One dispatch as it stands.

    `text` is a post's frozen words; `edited` a mail's own notice, where it was edited.
    """

    id: int
    incident_id: int
    update_id: int
    lane: Lane
    channel: str
    state: State
    why: str
    due_at: datetime
    attempt: int
    text: str | None
    edited: Notice | None
    reference: str
    reason: str
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Lease:
    """Who may send it, and until when others believe that they still do."""

    owner: str
    until: datetime


# Built once, like those of store/incidents.py: they stand between the press and the post.
_ADD = insert(dispatches).returning(dispatches.c.id)


_NEXT_RETRY = select(func.min(batches.c.due_at)).where(
    is_open(batches), batches.c.state == State.PLANNED
)
_NEXT_LOOK = select(func.min(batches.c.look_at)).where(batches.c.look_at.is_not(None))


def add(
    connection: Connection,
    dispatch: Dispatch,
    *,
    incident_id: int,
    update_id: int,
    priority: int,
    text: str | None,
    now: datetime,
    lease: Lease | None = None,
) -> int:
    """Put a planned dispatch into the outbox; its id. `text` is a post's words.

    With `lease` it is claimed as it is written, for the first time.
    """
    values = {
        "incident_id": incident_id,
        "update_id": update_id,
        "lane": dispatch.lane,
        "channel": dispatch.channel,
        "state": State.SENDING if lease else State.PLANNED,
        "why": dispatch.why,
        "priority": priority,
        "first_due": dispatch.due_at,
        "due_at": dispatch.due_at,
        "text": text,
        "attempt": 1 if lease else 0,
        "fence": 1 if lease else 0,
        "lease_owner": lease.owner if lease else None,
        "lease_until": lease.until if lease else None,
        "created_at": now,
    }
    dispatch_id: int = connection.scalars(_ADD, values).one()
    return dispatch_id


def waiting_mails(connection: Connection, incident_id: int) -> list[datetime]:
    """Due times of this incident's mails that have not begun to leave."""
    return list(
        connection.scalars(
            select(dispatches.c.due_at).where(
                dispatches.c.incident_id == incident_id,
                dispatches.c.lane == "mail",
                dispatches.c.state == State.PLANNED,
            )
        )
    )


def replace_older(connection: Connection, incident_id: int, *, now: datetime) -> None:
    """Something newer is about to be said: whoever has not been reached gets only that.

    What waits is not sent any more, and a fan-out under way ends after the pages in flight.
    """
    mine = dispatches.c.incident_id == incident_id
    connection.execute(update(dispatches).where(mine).values(replaced=True))
    connection.execute(
        update(dispatches)
        .where(mine, dispatches.c.state == State.PLANNED)
        .values(state=State.SUPERSEDED, reason=Reason.REPLACED, settled_at=now)
    )
    stopped = connection.scalars(
        update(dispatches)
        .where(mine, dispatches.c.lane == "mail", dispatches.c.state == State.SENDING)
        .values(exhausted=True, reason=Reason.REPLACED)
        .returning(dispatches.c.id)
    ).all()
    for dispatch_id in stopped:
        retries.drop_replaced(connection, dispatch_id, now=now)
    if stopped:
        finishing.finish_done(connection, now=now)


def is_replaced(connection: Connection, dispatch_id: int) -> bool:
    """Whether something newer was published than this dispatch says."""
    query = select(dispatches.c.replaced).where(dispatches.c.id == dispatch_id)
    replaced: bool = connection.scalars(query).one()
    return replaced


def next_due(connection: Connection, lane: Lane, channel: str | None = None) -> datetime | None:
    """When the next thing of a lane is due, which may be in the past; None when nothing waits."""
    mine = [dispatches.c.lane == lane]
    if channel is not None:
        mine.append(dispatches.c.channel == channel)
    due: datetime | None = connection.scalars(
        select(func.min(dispatches.c.due_at)).where(
            *mine,
            is_open(dispatches),
            # A post in flight, or a mail whose readers are all claimed, is not waiting.
            (dispatches.c.state == State.PLANNED)
            | ((dispatches.c.lane == "mail") & ~dispatches.c.exhausted),
        )
    ).one()
    looks = connection.scalars(
        select(func.min(dispatches.c.look_at)).where(*mine, dispatches.c.look_at.is_not(None))
    ).one()
    times = [due, looks]
    if lane == "mail":
        times += [connection.scalars(query).one() for query in (_NEXT_RETRY, _NEXT_LOOK)]
    return min((t for t in times if t), default=None)


def list_dispatches(connection: Connection, incident_id: int) -> list[DispatchRow]:
    """All dispatches of an incident, the newest update's first."""
    query = select(dispatches).where(dispatches.c.incident_id == incident_id)
    query = query.order_by(dispatches.c.update_id.desc(), dispatches.c.lane.desc(), dispatches.c.id)
    return [_dispatch(row) for row in connection.execute(query)]


def find_dispatch(
    connection: Connection, dispatch_id: int, *, lock: bool = False
) -> DispatchRow | None:
    """The dispatch, or None. With `lock`, it cannot begin to leave until we commit."""
    query = select(dispatches).where(dispatches.c.id == dispatch_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return _dispatch(row) if row else None


def lock_dispatch(connection: Connection, dispatch_id: int) -> DispatchRow:
    """The dispatch of this id, which nobody else changes until we commit.

    Raises sqlalchemy.exc.NoResultFound.
    """
    query = select(dispatches).where(dispatches.c.id == dispatch_id).with_for_update()
    return _dispatch(connection.execute(query).one())


def change_waiting(connection: Connection, dispatch_id: int, **values: Any) -> bool:
    """Change a dispatch that has not begun to leave; False when it has."""
    result = connection.execute(
        update(dispatches)
        .where(dispatches.c.id == dispatch_id, dispatches.c.state == State.PLANNED)
        .values(values)
    )
    return result.rowcount == 1


def _dispatch(row: Row[Any]) -> DispatchRow:
    return DispatchRow(
        id=row.id,
        incident_id=row.incident_id,
        update_id=row.update_id,
        lane=row.lane,
        channel=row.channel,
        state=State(row.state),
        why=row.why,
        due_at=row.due_at,
        attempt=row.attempt,
        text=row.text,
        edited=notices.from_json(row.edited) if row.edited else None,
        reference=row.reference,
        reason=row.reason,
        settled_at=row.settled_at,
    )
