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
from operator import itemgetter
from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Row,
    Text,
    and_,
    bindparam,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)

from notifier.domain.delivery import State
from notifier.store.finishing import finish_done
from notifier.store.people import affected_by
from notifier.store.schema import (
    Instant,
    batches,
    customers,
    deliveries,
    dispatches,
    is_open,
    messages,
)

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


#: One row of a claimed batch: `seq`, `customer_id`, `address`, `name`. SQLAlchemy's own row,
#: because making another tuple of each costs as much as marking it in the ledger.
Reader: TypeAlias = "Row[int, int, str, str]"


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


# Every statement that runs once per page is built once: SQLAlchemy needs 2 ms to build those of
# one page anew, which is as long as all else that happens to it in the database.

_DISPATCH = bindparam("dispatch", type_=Integer)

_NEXT_RETRY = (
    select(batches, dispatches.c.first_due)
    .join(dispatches)
    .where(
        is_open(batches),
        batches.c.state == State.PLANNED,
        batches.c.channel == bindparam("channel"),
        batches.c.due_at <= bindparam("now"),
    )
    .order_by(dispatches.c.priority.desc(), batches.c.due_at)
    .limit(1)
    .with_for_update(of=batches, skip_locked=True)
)


def _claim_retry(connection: Connection, channel: str, lease: Lease) -> ClaimedBatch | None:
    row = connection.execute(_NEXT_RETRY, {"channel": channel, "now": lease.now}).one_or_none()
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
        .values(state=State.SENDING, reference=None)
        .returning(*_READER)
    )
    return ClaimedBatch(
        row.id,
        row.dispatch_id,
        row.message_id,
        row.attempt + 1,
        row.first_due,
        row.fence + 1,
        # Neither database promises the order of RETURNING; `seq` comes first.
        sorted(again.all(), key=itemgetter(0)),
    )


def _claim_page(
    connection: Connection, channel: str, size: int, lease: Lease
) -> ClaimedBatch | Unrendered | None:
    while (dispatch := _next_dispatch(connection, channel, lease.now)) is not None:
        last = dispatch.last_customer or _newest_customer(connection)
        here = _Place(dispatch.cursor_language, dispatch.cursor_time_zone, dispatch.cursor_customer)
        if here.language and (page := _take_page(connection, dispatch, here, last, size, lease)):
            return page
        following = _next_variant(connection, dispatch, here, last)
        if following is None:
            following = _left_behind(connection, dispatch, last)
        if following is None:
            _exhaust(connection, dispatch.id)
            finish_done(connection, now=lease.now)
            continue
        if _message_id(connection, dispatch.id, following) is None:
            return Unrendered(dispatch.id, following.language, following.time_zone)
        return _take_page(connection, dispatch, following, last, size, lease)
    return None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a walk stands: behind this customer of this variant."""

    language: str
    time_zone: str
    customer: int


_NEXT_DISPATCH = (
    select(dispatches)
    .where(
        dispatches.c.lane == "mail",
        dispatches.c.channel == bindparam("channel"),
        is_open(dispatches),
        ~dispatches.c.exhausted,
        dispatches.c.due_at <= bindparam("now"),
    )
    .order_by(dispatches.c.priority.desc(), dispatches.c.due_at, dispatches.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)


def _next_dispatch(connection: Connection, channel: str, now: datetime) -> Any:
    return connection.execute(_NEXT_DISPATCH, {"channel": channel, "now": now}).one_or_none()


def _newest_customer(connection: Connection) -> int:
    """Who signs up during a fan-out does not prolong it."""
    return connection.scalars(select(func.max(customers.c.id))).one() or 0


# A reader of the dispatch who has no ledger row yet. The last condition matters for who changed
# language or zone during the walk.
_TO_BE_REACHED = and_(
    customers.c.id <= bindparam("last_customer"),
    customers.c.unsubscribed_at.is_(None),
    affected_by(bindparam("incident", type_=Integer)),
    ~select(1)
    .where(deliveries.c.customer_id == customers.c.id, deliveries.c.dispatch_id == _DISPATCH)
    .exists(),
)

_NEXT_VARIANT = (
    select(customers.c.language, customers.c.time_zone, customers.c.id)
    .where(
        tuple_(customers.c.language, customers.c.time_zone)
        > tuple_(bindparam("language", type_=Text), bindparam("time_zone", type_=Text)),
        _TO_BE_REACHED,
    )
    .order_by(customers.c.language, customers.c.time_zone, customers.c.id)
    .limit(1)
)

# Who moved to a variant that the walk had left. Only customers changed since then can have, so
# the index on `updated_at` answers at once when there are none.
_LEFT_BEHIND = (
    select(customers.c.language, customers.c.time_zone, customers.c.id)
    .where(customers.c.updated_at >= bindparam("since", type_=Instant), _TO_BE_REACHED)
    .order_by(customers.c.updated_at)
    .limit(1)
)

# `seq` counts on from the customer's number, which leaves gaps; counting the rows themselves
# (a window function) and having them returned made this three times as expensive in SQLite.
_TAKE_PAGE = insert(deliveries).from_select(
    ["dispatch_id", "seq", "customer_id", "address", "name", "state"],
    select(
        _DISPATCH,
        customers.c.id + bindparam("seq_offset", type_=BigInteger),
        customers.c.id,
        customers.c.email,
        customers.c.name,
        literal(State.SENDING.value, Text),
    )
    .where(
        customers.c.language == bindparam("language"),
        customers.c.time_zone == bindparam("time_zone"),
        customers.c.id > bindparam("customer"),
        _TO_BE_REACHED,
    )
    .order_by(customers.c.id)
    .limit(bindparam("size", type_=Integer)),
    include_defaults=False,
)

_PAGE = (
    select(*_READER)
    .where(deliveries.c.dispatch_id == _DISPATCH, deliveries.c.seq >= bindparam("first_seq"))
    .order_by(deliveries.c.seq)
)

_MESSAGE = select(messages.c.id).where(
    messages.c.dispatch_id == bindparam("dispatch"),
    messages.c.language == bindparam("language"),
    messages.c.time_zone == bindparam("time_zone"),
)


_ADD_BATCH = insert(batches).returning(batches.c.id, batches.c.message_id)


def _next_variant(
    connection: Connection, dispatch: Any, here: _Place, last_customer: int
) -> _Place | None:
    """Where the first variant behind `here` that has a reader begins."""
    row = connection.execute(
        _NEXT_VARIANT,
        {
            "dispatch": dispatch.id,
            "incident": dispatch.incident_id,
            "last_customer": last_customer,
            "language": here.language,
            "time_zone": here.time_zone,
        },
    ).one_or_none()
    return _Place(row.language, row.time_zone, row.id - 1) if row else None


def _left_behind(connection: Connection, dispatch: Any, last_customer: int) -> _Place | None:
    """Before a reader whom the walk has missed, because they changed language or zone."""
    row = connection.execute(
        _LEFT_BEHIND,
        {
            "dispatch": dispatch.id,
            "incident": dispatch.incident_id,
            "last_customer": last_customer,
            "since": dispatch.due_at,
        },
    ).one_or_none()
    return _Place(row.language, row.time_zone, row.id - 1) if row else None


def _message_id(connection: Connection, dispatch_id: int, place: _Place) -> int | None:
    return connection.scalars(
        _MESSAGE,
        {"dispatch": dispatch_id, "language": place.language, "time_zone": place.time_zone},
    ).one_or_none()


def _take_page(
    connection: Connection,
    dispatch: Any,
    place: _Place,
    last_customer: int,
    size: int,
    lease: Lease,
) -> ClaimedBatch | None:
    """Write the ledger rows of the next readers of this variant; None when it has no more."""
    connection.execute(
        _TAKE_PAGE,
        {
            "dispatch": dispatch.id,
            "incident": dispatch.incident_id,
            "seq_offset": dispatch.next_seq - 1 - place.customer,
            "last_customer": last_customer,
            "language": place.language,
            "time_zone": place.time_zone,
            "customer": place.customer,
            "size": size,
        },
    )
    page = {"dispatch": dispatch.id, "first_seq": dispatch.next_seq}
    readers = connection.execute(_PAGE, page).all()
    if not readers:
        return None
    _move_cursor(connection, dispatch.id, place, readers[-1], last_customer)
    batch = {
        "dispatch_id": dispatch.id,
        "message_id": _message_id(connection, dispatch.id, place),
        "first_seq": readers[0].seq,
        "last_seq": readers[-1].seq,
        "state": State.SENDING,
        "channel": dispatch.channel,
        "due_at": dispatch.due_at,
        "lease_owner": lease.node,
        "lease_until": lease.until,
        "claimed_at": lease.now,
    }
    batch_id, message_id = connection.execute(_ADD_BATCH, batch).one()
    return ClaimedBatch(batch_id, dispatch.id, message_id, 1, dispatch.first_due, 1, readers)


# What it sets is what it is executed with.
_MOVE_CURSOR = update(dispatches).where(dispatches.c.id == _DISPATCH)


def _move_cursor(
    connection: Connection, dispatch_id: int, place: _Place, last: Reader, last_customer: int
) -> None:
    connection.execute(
        _MOVE_CURSOR,
        {
            "dispatch": dispatch_id,
            "state": State.SENDING,
            "cursor_language": place.language,
            "cursor_time_zone": place.time_zone,
            "cursor_customer": last.customer_id,
            "last_customer": last_customer,
            "next_seq": last.seq + 1,
        },
    )


def _exhaust(connection: Connection, dispatch_id: int) -> None:
    connection.execute(
        update(dispatches)
        .where(dispatches.c.id == dispatch_id)
        .values(exhausted=True, state=State.SENDING)
    )
