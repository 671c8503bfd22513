"""The fan-out of a mail: taking the next readers, one page at a time.

One transaction takes the next readers of one variant, writes their ledger rows as `sending`
and moves the cursor. So the intent is on disk before the call, any number of workers can share
a fan-out, and a million readers need no more memory than one page. The walk follows the index
(language, time_zone, id) by keyset, so it never counts or sorts the audience.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Select,
    cast,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)

from notifier.domain.delivery import State
from notifier.store.people import affected_by
from notifier.store.schema import batches, customers, deliveries, dispatches, messages

_READER = (
    deliveries.c.seq,
    deliveries.c.customer_id,
    deliveries.c.address,
    deliveries.c.name,
)


@dataclass(frozen=True, slots=True)
class Unrendered:
    """The next readers' variant has no frozen words yet; freeze them and claim again."""

    dispatch_id: int
    language: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Reader:
    """One row of a claimed batch."""

    seq: int
    customer_id: int
    address: str
    name: str


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """Readers of one variant whom we alone may mail now. `readers` are in order of `seq`."""

    id: int
    dispatch_id: int
    message_id: int
    attempt: int
    first_due: datetime
    fence: int
    readers: Sequence[Reader]


@dataclass(frozen=True, slots=True)
class Lease:
    """Who claims, when, and until when nobody else may touch it."""

    node: str
    now: datetime
    until: datetime


def claim_batch(
    connection: Connection, *, channel: str, size: int, lease: Lease
) -> ClaimedBatch | Unrendered | None:
    """Take the mails that should leave first: a batch to be tried again, or the next readers."""
    return _claim_retry(connection, channel, lease) or _claim_page(connection, channel, size, lease)


def finish_done(connection: Connection, *, now: datetime) -> list[int]:
    """Settle the mail dispatches that have no reader left; their incidents' ids."""
    open_batches = select(1).where(
        batches.c.dispatch_id == dispatches.c.id,
        batches.c.state.in_([State.PLANNED, State.SENDING]),
    )
    done = connection.execute(
        select(dispatches.c.id, dispatches.c.incident_id).where(
            dispatches.c.lane == "mail",
            dispatches.c.state == State.SENDING,
            dispatches.c.exhausted,
            ~open_batches.exists(),
        )
    ).all()
    for dispatch_id, _ in done:
        states = set(
            connection.scalars(
                select(batches.c.state).where(batches.c.dispatch_id == dispatch_id).distinct()
            )
        )
        best = next((s for s in (State.ACCEPTED, State.UNKNOWN) if s in states), State.REJECTED)
        connection.execute(
            update(dispatches)
            .where(dispatches.c.id == dispatch_id)
            .values(state=best if states else State.ACCEPTED, settled_at=now)
        )
    return [incident_id for _, incident_id in done]


def _claim_retry(connection: Connection, channel: str, lease: Lease) -> ClaimedBatch | None:
    row = connection.execute(
        select(batches, dispatches.c.first_due)
        .join(dispatches)
        .where(
            batches.c.state == State.PLANNED,
            batches.c.channel == channel,
            batches.c.due_at <= lease.now,
        )
        .order_by(dispatches.c.priority.desc(), batches.c.due_at)
        .limit(1)
        .with_for_update(of=batches, skip_locked=True)
    ).one_or_none()
    if row is None:
        return None
    connection.execute(
        update(batches)
        .where(batches.c.id == row.id)
        .values(
            state=State.SENDING,
            attempt=row.attempt + 1,
            fence=row.fence + 1,
            lease_owner=lease.node,
            lease_until=lease.until,
        )
    )
    again = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.dispatch_id == row.dispatch_id,
            deliveries.c.seq.between(row.first_seq, row.last_seq),
            deliveries.c.state == State.PLANNED,
        )
        .values(state=State.SENDING)
        .returning(*_READER)
    )
    return ClaimedBatch(
        row.id,
        row.dispatch_id,
        row.message_id,
        row.attempt + 1,
        row.first_due,
        row.fence + 1,
        _readers(again.all()),
    )


def _claim_page(
    connection: Connection, channel: str, size: int, lease: Lease
) -> ClaimedBatch | Unrendered | None:
    while (dispatch := _next_dispatch(connection, channel, lease.now)) is not None:
        last = dispatch.last_customer or _newest_customer(connection)
        variant = connection.execute(
            _unreached(dispatch, last)
            .with_only_columns(customers.c.language, customers.c.time_zone)
            .limit(1)
        ).one_or_none()
        if variant is None:
            _exhaust(connection, dispatch.id)
            finish_done(connection, now=lease.now)
            continue
        message_id = connection.scalars(
            select(messages.c.id).where(
                messages.c.dispatch_id == dispatch.id,
                messages.c.language == variant.language,
                messages.c.time_zone == variant.time_zone,
            )
        ).one_or_none()
        if message_id is None:
            return Unrendered(dispatch.id, variant.language, variant.time_zone)
        return _take_page(connection, dispatch, last, variant, message_id, size, lease)
    return None


def _next_dispatch(connection: Connection, channel: str, now: datetime) -> Any:
    return connection.execute(
        select(dispatches)
        .where(
            dispatches.c.lane == "mail",
            dispatches.c.channel == channel,
            dispatches.c.state.in_([State.PLANNED, State.SENDING]),
            ~dispatches.c.exhausted,
            dispatches.c.due_at <= now,
        )
        .order_by(dispatches.c.priority.desc(), dispatches.c.due_at, dispatches.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()


def _newest_customer(connection: Connection) -> int:
    """Who signs up during a fan-out does not prolong it."""
    return connection.scalars(select(func.max(customers.c.id))).one() or 0


def _unreached(dispatch: Any, last_customer: int) -> Select[Any]:
    """The readers behind the cursor, in the order of the walk."""
    place = tuple_(customers.c.language, customers.c.time_zone, customers.c.id)
    cursor = tuple_(
        literal(dispatch.cursor_language),
        literal(dispatch.cursor_time_zone),
        literal(dispatch.cursor_customer),
    )
    return (
        select(customers)
        .where(
            place > cursor,
            customers.c.id <= last_customer,
            customers.c.unsubscribed_at.is_(None),
            affected_by(dispatch.incident_id),
            # Who changed zone or language behind the cursor is not written to a second time.
            ~select(1)
            .where(
                deliveries.c.customer_id == customers.c.id,
                deliveries.c.dispatch_id == dispatch.id,
            )
            .exists(),
        )
        .order_by(customers.c.language, customers.c.time_zone, customers.c.id)
    )


def _take_page(
    connection: Connection,
    dispatch: Any,
    last_customer: int,
    variant: Any,
    message_id: int,
    size: int,
    lease: Lease,
) -> ClaimedBatch:
    page = (
        _unreached(dispatch, last_customer)
        .where(
            customers.c.language == variant.language,
            customers.c.time_zone == variant.time_zone,
        )
        .with_only_columns(
            literal(dispatch.id, Integer),
            cast(dispatch.next_seq - 1 + func.row_number().over(order_by=customers.c.id), Integer),
            customers.c.id,
            customers.c.email,
            customers.c.name,
            literal(State.SENDING.value),
        )
        .order_by(None)
        .order_by(customers.c.id)
        .limit(size)
    )
    columns = ["dispatch_id", "seq", "customer_id", "address", "name", "state"]
    rows = connection.execute(
        insert(deliveries).from_select(columns, page, include_defaults=False).returning(*_READER)
    ).all()
    readers = _readers(rows)
    connection.execute(
        update(dispatches)
        .where(dispatches.c.id == dispatch.id)
        .values(
            state=State.SENDING,
            cursor_language=variant.language,
            cursor_time_zone=variant.time_zone,
            cursor_customer=readers[-1].customer_id,
            last_customer=last_customer,
            next_seq=readers[-1].seq + 1,
        )
    )
    batch_id: int = connection.scalars(
        insert(batches)
        .values(
            dispatch_id=dispatch.id,
            message_id=message_id,
            first_seq=readers[0].seq,
            last_seq=readers[-1].seq,
            state=State.SENDING,
            channel=dispatch.channel,
            due_at=dispatch.due_at,
            lease_owner=lease.node,
            lease_until=lease.until,
            claimed_at=lease.now,
        )
        .returning(batches.c.id)
    ).one()
    return ClaimedBatch(batch_id, dispatch.id, message_id, 1, dispatch.first_due, 1, readers)


def _exhaust(connection: Connection, dispatch_id: int) -> None:
    connection.execute(
        update(dispatches)
        .where(dispatches.c.id == dispatch_id)
        .values(exhausted=True, state=State.SENDING)
    )


def _readers(rows: Sequence[Any]) -> list[Reader]:
    return sorted((Reader(*row) for row in rows), key=lambda reader: reader.seq)
