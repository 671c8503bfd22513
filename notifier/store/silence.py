"""Mail that a provider took, and of which it has told nothing since."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, and_, func, select

from notifier.domain.delivery import State
from notifier.store.schema import batches, deliveries

# A look costs one step in an index for each of these, and one for each reader of those that are
# silent, whatever the ledger holds besides: there is no index for their time.
_NEWEST_BATCHES = 1_000

_TOLD = (State.DELIVERED, State.BOUNCED, State.COMPLAINED, State.REJECTED)


def count_silent(connection: Connection, channel: str, *, since: datetime, until: datetime) -> int:
    """Mails of which nothing is told, in the newest batches that `channel` took in that time.

    A provider takes and loses what is in one request, so a batch of which a single mail is told
    has arrived. What is told is seen in the ledger: the mail is further than accepted.
    """
    newest = select(batches).order_by(batches.c.id.desc()).limit(_NEWEST_BATCHES).subquery()
    batch = newest.c
    in_it = and_(
        deliveries.c.dispatch_id == batch.dispatch_id,
        deliveries.c.seq.between(batch.first_seq, batch.last_seq),
    )
    # Each a value of its own batch: joined to them, PostgreSQL reads the whole ledger.
    told = select(deliveries.c.seq).where(in_it, deliveries.c.state.in_(_TOLD)).limit(1)
    waiting = select(func.count()).where(in_it, deliveries.c.state == State.ACCEPTED)
    query = select(func.coalesce(func.sum(waiting.scalar_subquery()), 0)).where(
        batch.channel == channel,
        batch.state == State.ACCEPTED,
        batch.settled_at.between(since, until),
        told.scalar_subquery().is_(None),
    )
    return int(connection.scalars(query).one())
