"""When a mail is done: nobody is left to be taken, and no batch is under way."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from notifier.domain.delivery import State
from notifier.store.schema import batches, deliveries, dispatches, is_open

#: A mail stands as its luckiest reader: the first of these states that any of them is in.
_LUCK = {
    State.ACCEPTED: State.ACCEPTED,
    State.DELIVERED: State.ACCEPTED,
    State.COMPLAINED: State.ACCEPTED,
    State.UNKNOWN: State.UNKNOWN,
    State.BOUNCED: State.REJECTED,
    State.REJECTED: State.REJECTED,
    State.SUPERSEDED: State.SUPERSEDED,
    State.CANCELLED: State.CANCELLED,
}

#: What the end of a mail depends on, besides its readers.
_ENDING = (dispatches.c.id, dispatches.c.replaced, dispatches.c.reason)


def finish_done(connection: Connection, *, now: datetime) -> None:
    """Settle the mail dispatches that have no reader left.

    Whom somebody else is at is left to them: two who settle each other's in another order would
    wait for each other, and what one saw before the other's commit may not be true any more.
    """
    open_batches = select(1).where(
        batches.c.dispatch_id == dispatches.c.id,
        is_open(batches),
    )
    done = select(*_ENDING).where(
        dispatches.c.lane == "mail",
        is_open(dispatches),
        dispatches.c.exhausted,
        ~open_batches.exists(),
    )
    for row in connection.execute(done.with_for_update(skip_locked=True)).all():
        again = done.where(dispatches.c.id == row.id)  # now that nobody else can settle it
        if connection.execute(again).first():
            connection.execute(
                update(dispatches)
                .where(dispatches.c.id == row.id)
                .values(state=_best_state(connection, row), settled_at=now)
            )


def reopen(connection: Connection, dispatch_id: int) -> None:
    """Have a mail settled anew: an answer came for readers who were given up for unknown."""
    connection.execute(
        update(dispatches)
        .where(dispatches.c.id == dispatch_id, ~is_open(dispatches))
        .values(state=State.SENDING, settled_at=None)
    )


def refresh(connection: Connection, dispatch_id: int) -> None:
    """Read a mail's state from its readers again, after some who were unknown were settled.

    Their batches have nothing left to be looked into where none of them is unknown any more.
    """
    unknown = select(1).where(
        deliveries.c.dispatch_id == batches.c.dispatch_id,
        deliveries.c.seq.between(batches.c.first_seq, batches.c.last_seq),
        deliveries.c.state == State.UNKNOWN,
    )
    connection.execute(
        update(batches)
        .where(
            batches.c.dispatch_id == dispatch_id, batches.c.look_at.is_not(None), ~unknown.exists()
        )
        .values(look_at=None)
    )
    row = connection.execute(
        select(*_ENDING).where(
            dispatches.c.id == dispatch_id,
            dispatches.c.lane == "mail",
            dispatches.c.state == State.UNKNOWN,
        )
    ).one_or_none()
    if row:
        connection.execute(
            update(dispatches)
            .where(dispatches.c.id == dispatch_id)
            .values(state=_best_state(connection, row))
        )


def _best_state(connection: Connection, mail: Any) -> State:
    readers = select(1).where(deliveries.c.dispatch_id == mail.id).limit(1)
    for state, stands in _LUCK.items():
        if connection.execute(readers.where(deliveries.c.state == state)).first():
            return stands
    # Nobody was reached: because others took the readers over, because it was given up before
    # the first of them (a reason says so), or because there was none, and nothing to fail.
    if mail.replaced:
        return State.SUPERSEDED
    return State.REJECTED if mail.reason else State.ACCEPTED
