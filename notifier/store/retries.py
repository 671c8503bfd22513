"""Mail that is tried again: batches a provider did not take, and readers who were unknown."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, exists, func, insert, select, update

from notifier.domain.delivery import State
from notifier.domain.plan import Reason
from notifier.store.batches import READER, Claim, ClaimedBatch
from notifier.store.metadata import Instant
from notifier.store.schema import batches, customers, deliveries, dispatches, is_open
from notifier.store.site import is_paused
from notifier.store.suppressions import is_suppressed

# Built once, because it is asked before each page.
_NEXT_RETRY = (
    select(batches, dispatches.c.first_due, dispatches.c.replaced)
    .join(dispatches)
    .where(
        is_open(batches),
        batches.c.state == State.PLANNED,
        batches.c.due_at <= bindparam("now"),
        ~is_paused(),
    )
    .order_by(dispatches.c.priority.desc(), batches.c.due_at)
    .limit(1)
    .with_for_update(of=batches, skip_locked=True)
)


def claim_retry(connection: Connection, claim: Claim) -> ClaimedBatch | None:
    """Take the batch that should be tried again first, whichever provider had it before."""
    while (row := connection.execute(_NEXT_RETRY, {"now": claim.now}).one_or_none()) is not None:
        if row.replaced:  # it was refused in the moment in which the newer update was published
            drop_replaced(connection, row.dispatch_id, now=claim.now)
            continue
        _drop_unreachable(connection, row, claim.now)
        if taken := _take(connection, row, claim):
            return taken
    return None


def _take(connection: Connection, row: Row[Any], claim: Claim) -> ClaimedBatch | None:
    """The batch's readers who still wait; None when all of them were dropped."""
    waiting = _waiting(row)
    query = select(deliveries.c.seq).where(*waiting).order_by(deliveries.c.seq)
    seqs = connection.scalars(query.limit(claim.size + 1)).all()
    if not seqs:
        _close(connection, row.id, claim.now)
        return None
    last = row.last_seq
    if len(seqs) > claim.size:
        last = _split(connection, row, seqs[-1])
    connection.execute(
        update(batches)
        .where(batches.c.id == row.id)
        .values(
            state=State.SENDING,
            channel=claim.channel,
            attempt=row.attempt + 1,
            fence=row.fence + 1,
            lease_owner=claim.node,
            lease_until=claim.until,
        )
    )
    again = connection.execute(
        update(deliveries)
        .where(*waiting, deliveries.c.seq <= last)
        .values(state=State.SENDING, reference=None)
        .returning(*READER)
    )
    return ClaimedBatch(
        id=row.id,
        dispatch_id=row.dispatch_id,
        message_id=row.message_id,
        channel=claim.channel,
        attempt=row.attempt + 1,
        first_due=row.first_due,
        fence=row.fence + 1,
        lease_until=claim.until,
        # Neither database promises the order of RETURNING; `seq` comes first.
        readers=sorted(map(tuple, again)),
    )


def _waiting(row: Row[Any]) -> list[Any]:
    """Condition on `deliveries`: of this batch, and to be tried again."""
    return [
        deliveries.c.dispatch_id == row.dispatch_id,
        deliveries.c.seq.between(row.first_seq, row.last_seq),
        deliveries.c.state == State.PLANNED,
    ]


def _drop_unreachable(connection: Connection, row: Row[Any], now: datetime) -> None:
    """Do not mail again who has unsubscribed, or whose address was suppressed, since.

    That is the address in the ledger, whatever the customer's is by now.
    """
    unwilling = exists().where(
        customers.c.id == deliveries.c.customer_id,
        customers.c.unsubscribed_at.is_not(None) | is_suppressed(customers.c.email_key),
    ) | is_suppressed(func.lower(deliveries.c.address))
    connection.execute(
        update(deliveries)
        .where(*_waiting(row), unwilling)
        .values(state=State.CANCELLED, reason="does not get mail any more"),
        {"now": now},
    )


def _split(connection: Connection, row: Row[Any], at: int) -> int:
    """Make a batch of its own of what one call cannot take; the last `seq` that remains.

    A batch of one provider may be more than the other one takes at once.
    """
    rest = {
        name: getattr(row, name)
        for name in (
            "dispatch_id",
            "message_id",
            "last_seq",
            "channel",
            "attempt",
            "due_at",
            "look_at",
        )
    }
    connection.execute(
        insert(batches).values(
            **rest, first_seq=at, state=State.PLANNED, fence=row.fence, claimed_at=row.claimed_at
        )
    )
    connection.execute(update(batches).where(batches.c.id == row.id).values(last_seq=at - 1))
    return at - 1


def _close(connection: Connection, batch_id: int, now: datetime) -> None:
    connection.execute(
        update(batches)
        .where(batches.c.id == batch_id)
        .values(state=State.CANCELLED, settled_at=now)
    )


# Built once, as above: to build it for each page took longer than all else that is done for one.
_DUE_UNKNOWN = (
    select(batches, dispatches.c.replaced)
    .join(dispatches)
    .where(batches.c.look_at <= bindparam("now", type_=Instant), ~is_open(batches), ~is_paused())
    .with_for_update(of=batches, skip_locked=True)
)


def release_unknown(connection: Connection, *, now: datetime) -> int:
    """Have the unknown readers tried again whose time to be settled by an event is over.

    Returns how many batches they are. Words that a newer update has replaced are not repeated:
    those readers stay unknown.
    """
    rows = connection.execute(_DUE_UNKNOWN, {"now": now}).all()
    for row in rows:
        connection.execute(update(batches).where(batches.c.id == row.id).values(look_at=None))
        if not row.replaced:
            send_again(connection, row.dispatch_id, row.first_seq, row.last_seq, now=now)
    return len(rows)


def send_again(
    connection: Connection, dispatch_id: int, first_seq: int, last_seq: int, *, now: datetime
) -> int:
    """Plan the unknown readers between two `seq` of a mail anew; how many they are."""
    lock_batches(connection, dispatch_id, first_seq, last_seq)
    in_flight = exists().where(
        batches.c.dispatch_id == dispatch_id,
        batches.c.state == State.SENDING,
        deliveries.c.seq.between(batches.c.first_seq, batches.c.last_seq),
    )
    unknown = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.dispatch_id == dispatch_id,
            deliveries.c.seq.between(first_seq, last_seq),
            deliveries.c.state == State.UNKNOWN,
            ~in_flight,
        )
        .values(state=State.PLANNED)
    ).rowcount
    if unknown:
        connection.execute(
            update(batches)
            .where(
                batches.c.dispatch_id == dispatch_id,
                batches.c.first_seq <= last_seq,
                batches.c.last_seq >= first_seq,
                ~is_open(batches),
            )
            .values(state=State.PLANNED, due_at=now, settled_at=None)
        )
        connection.execute(
            update(dispatches)
            .where(dispatches.c.id == dispatch_id)
            .values(state=State.SENDING, settled_at=None)
        )
    return unknown


def lock_batches(connection: Connection, dispatch_id: int, first_seq: int, last_seq: int) -> None:
    """Let nobody else change the batches between two `seq` of a mail until we commit.

    Everybody takes a batch and then its readers, so that no two wait for each other.
    """
    mine = (
        batches.c.dispatch_id == dispatch_id,
        batches.c.first_seq <= last_seq,
        batches.c.last_seq >= first_seq,
    )
    query = select(batches.c.id).where(*mine).order_by(batches.c.id)
    connection.execute(query.with_for_update()).all()


def drop_replaced(connection: Connection, dispatch_id: int, *, now: datetime) -> None:
    """Do not try again what a newer update has replaced."""
    drop_waiting(connection, dispatch_id, State.SUPERSEDED, Reason.REPLACED, now=now)


def drop_waiting(
    connection: Connection, dispatch_id: int, state: State, reason: str, *, now: datetime
) -> None:
    """Let the readers of a mail who wait for another try end as `state`."""
    # The batches first: see `lock_batches`.
    dropped = connection.execute(
        update(batches)
        .where(
            batches.c.dispatch_id == dispatch_id, is_open(batches), batches.c.state == State.PLANNED
        )
        .values(state=state, reason=reason, settled_at=now)
        .returning(batches.c.first_seq, batches.c.last_seq)
    ).all()
    for first, last in dropped:
        connection.execute(
            update(deliveries)
            .where(
                deliveries.c.dispatch_id == dispatch_id,
                deliveries.c.seq.between(first, last),
                deliveries.c.state == State.PLANNED,
            )
            .values(state=state, reason=reason)
        )
