"""What waits to leave, over all incidents: how much that is, and never sending it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, exists, func, or_, select, update

from notifier.domain.delivery import State
from notifier.store import finishing, retries
from notifier.store.schema import batches, dispatches, is_open

_WAITING_BATCH = (
    batches.c.dispatch_id == dispatches.c.id,
    is_open(batches),
    batches.c.state == State.PLANNED,
)

#: A post or mail that has not begun to leave, or a mail that somebody has still to get.
_WAITS = is_open(dispatches) & or_(
    dispatches.c.state == State.PLANNED,
    (dispatches.c.lane == "mail") & (~dispatches.c.exhausted | exists().where(*_WAITING_BATCH)),
)


def count_waiting(connection: Connection) -> int:
    """How many messages wait, now or for their time: a mail to many readers is one."""
    return connection.scalars(select(func.count()).select_from(dispatches).where(_WAITS)).one()


def cancel_waiting(connection: Connection, *, reason: str, now: datetime) -> int:
    """Never send what waits, and end the fan-outs under way; how many messages that were.

    What is unknown is not sent again by itself any more, and what is in flight is not tried
    again.
    """
    begun = connection.scalars(
        update(dispatches)
        .where(_WAITS, dispatches.c.state == State.SENDING)
        .values(exhausted=True, reason=reason)
        .returning(dispatches.c.id)
    ).all()
    for dispatch_id in begun:
        retries.drop_waiting(connection, dispatch_id, State.CANCELLED, reason, now=now)
    waiting = connection.execute(
        update(dispatches)
        .where(is_open(dispatches), dispatches.c.state == State.PLANNED)
        .values(state=State.CANCELLED, reason=reason, settled_at=now)
    ).rowcount
    connection.execute(update(dispatches).where(is_open(dispatches)).values(replaced=True))
    # A look that is under way may not plan anew what it does not find: its fence is old.
    looked_into = update(dispatches).where(dispatches.c.look_at.is_not(None))
    connection.execute(looked_into.values(look_at=None, fence=dispatches.c.fence + 1))
    connection.execute(update(batches).where(batches.c.look_at.is_not(None)).values(look_at=None))
    finishing.finish_done(connection, now=now)
    return waiting + len(begun)
