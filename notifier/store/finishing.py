"""When a mail is done: nobody is left to be taken, and no batch is under way."""

from __future__ import annotations

from datetime import datetime

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


def finish_done(connection: Connection, *, now: datetime) -> list[int]:
    """Settle the mail dispatches that have no reader left; their incidents' ids."""
    open_batches = select(1).where(
        batches.c.dispatch_id == dispatches.c.id,
        is_open(batches),
    )
    done = connection.execute(
        select(dispatches.c.id, dispatches.c.incident_id, dispatches.c.replaced).where(
            dispatches.c.lane == "mail",
            is_open(dispatches),
            dispatches.c.exhausted,
            ~open_batches.exists(),
        )
    ).all()
    for dispatch_id, _, replaced in done:
        connection.execute(
            update(dispatches)
            .where(dispatches.c.id == dispatch_id)
            .values(state=_best_state(connection, dispatch_id, replaced), settled_at=now)
        )
    return [incident_id for _, incident_id, _ in done]


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
        select(dispatches.c.replaced).where(
            dispatches.c.id == dispatch_id,
            dispatches.c.lane == "mail",
            dispatches.c.state == State.UNKNOWN,
        )
    ).one_or_none()
    if row:
        connection.execute(
            update(dispatches)
            .where(dispatches.c.id == dispatch_id)
            .values(state=_best_state(connection, dispatch_id, row.replaced))
        )


def _best_state(connection: Connection, dispatch_id: int, replaced: bool) -> State:
    """With no reader at all there was nothing to fail, unless a newer update took them over."""
    readers = select(1).where(deliveries.c.dispatch_id == dispatch_id).limit(1)
    for state, stands in _LUCK.items():
        if connection.execute(readers.where(deliveries.c.state == state)).first():
            return stands
    return State.SUPERSEDED if replaced else State.ACCEPTED
