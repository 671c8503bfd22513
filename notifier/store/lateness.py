"""What waited so long that it helps nobody any more: it is given up, and says so."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, exists, func, update

from notifier.domain.delivery import USEFUL_FOR, State
from notifier.store import retries
from notifier.store.schema import batches, dispatches, is_open

_REASON = "given up, too late to be of use"


def give_up_late(connection: Connection, *, now: datetime) -> int:
    """Give up what has been due for `USEFUL_FOR` and has not begun; how many messages.

    That happens behind a provider that is sick for hours, or while nobody delivers at all. A
    fan-out is given up when it has not moved for so long, and those of its readers who wait for
    another try with it.
    """
    since = now - USEFUL_FOR
    stands_still = func.coalesce(dispatches.c.served_at, dispatches.c.first_due) < since
    waiting = connection.execute(
        update(dispatches)
        .where(is_open(dispatches), dispatches.c.state == State.PLANNED, stands_still)
        .where(dispatches.c.first_due < since)
        .values(state=State.REJECTED, reason=_REASON, settled_at=now)
    ).rowcount
    halfway = connection.scalars(
        update(dispatches)
        .where(
            is_open(dispatches),
            dispatches.c.state == State.SENDING,
            dispatches.c.lane == "mail",
            stands_still,
            ~dispatches.c.exhausted | _has_retries(),
        )
        .values(exhausted=True, reason=_REASON)
        .returning(dispatches.c.id)
    ).all()
    for dispatch_id in halfway:
        retries.drop_waiting(connection, dispatch_id, State.REJECTED, _REASON, now=now)
    return waiting + len(halfway)


def _has_retries() -> ColumnElement[bool]:
    return exists().where(
        batches.c.dispatch_id == dispatches.c.id,
        is_open(batches),
        batches.c.state == State.PLANNED,
    )
