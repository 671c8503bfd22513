"""When a mail is done: nobody is left to be taken, and no batch is under way."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select, update

from notifier.domain.delivery import State
from notifier.store.schema import batches, deliveries, dispatches, is_open


def finish_done(connection: Connection, *, now: datetime) -> list[int]:
    """Settle the mail dispatches that have no reader left; their incidents' ids."""
    open_batches = select(1).where(
        batches.c.dispatch_id == dispatches.c.id,
        is_open(batches),
    )
    done = connection.execute(
        select(dispatches.c.id, dispatches.c.incident_id).where(
            dispatches.c.lane == "mail",
            is_open(dispatches),
            dispatches.c.exhausted,
            ~open_batches.exists(),
        )
    ).all()
    for dispatch_id, _ in done:
        connection.execute(
            update(dispatches)
            .where(dispatches.c.id == dispatch_id)
            .values(state=_best_state(connection, dispatch_id), settled_at=now)
        )
    return [incident_id for _, incident_id in done]


def _best_state(connection: Connection, dispatch_id: int) -> State:
    """A mail stands as its luckiest reader; with no reader left, there was nothing to fail."""
    readers = select(1).where(deliveries.c.dispatch_id == dispatch_id).limit(1)
    order = (State.ACCEPTED, State.UNKNOWN, State.REJECTED)
    found = (s for s in order if connection.execute(readers.where(deliveries.c.state == s)).first())
    return next(found, State.ACCEPTED)
