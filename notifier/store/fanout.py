"""The fan-out of a mail: taking the next readers, one page at a time.

One transaction takes the next readers of one variant, writes their ledger rows as `sending`
and moves the cursor. So the intent is on disk before the call, any number of workers can share
a fan-out, and a million readers need no more memory than one page. The walk follows the index
(language, time_zone, id) by keyset, so it never counts or sorts the audience.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Select,
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
from sqlalchemy.dialects import postgresql

from notifier.domain.delivery import State
from notifier.store.batches import READER, Claim, ClaimedBatch, Reader, Unrendered
from notifier.store.finishing import finish_done
from notifier.store.metadata import Instant
from notifier.store.people import affected_by
from notifier.store.postgres import asked_of_each
from notifier.store.schema import batches, customers, deliveries, dispatches, is_open, messages
from notifier.store.site import is_paused
from notifier.store.suppressions import is_suppressed

#: A mail that got no page for so long comes first, whatever its severity: no incident waits behind
#: another one's million readers.
_STARVED_AFTER = timedelta(seconds=5)

# Every statement that runs once per page is built once: SQLAlchemy needs 2 ms to build those of
# one page anew, which is as long as all else that happens to it in the database.

_DISPATCH = bindparam("dispatch", type_=Integer)


def claim_page(connection: Connection, claim: Claim) -> ClaimedBatch | Unrendered | None:
    """Take the next readers of the mail whose turn it is; None when no mail has any."""
    while (dispatch := _next_dispatch(connection, claim.now)) is not None:
        walk = _Walk(dispatch, dispatch.last_customer or _newest_customer(connection), claim)
        here = _Place(
            dispatch.cursor_wave,
            dispatch.cursor_language,
            dispatch.cursor_time_zone,
            dispatch.cursor_customer,
        )
        if here.language and (page := _take_page(connection, walk, here)):
            return page
        following = _next_variant(connection, walk, here) or _left_behind(connection, walk)
        if following is None:
            _exhaust(connection, dispatch.id)
            finish_done(connection, now=claim.now)
            continue
        if _message_id(connection, dispatch.id, following) is None:
            return Unrendered(dispatch.id, following.language, following.time_zone)
        return _take_page(connection, walk, following)
    return None


@dataclass(frozen=True, slots=True)
class _Walk:
    """One mail's walk through its audience, whose last member is `last_customer`."""

    dispatch: Any
    last_customer: int
    claim: Claim


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a walk stands: behind this customer of this variant."""

    wave: int
    language: str
    time_zone: str
    customer: int


_WHOSE_TURN = (
    select(dispatches)
    .where(
        dispatches.c.lane == "mail",
        is_open(dispatches),
        ~dispatches.c.exhausted,
        dispatches.c.due_at <= bindparam("now"),
        ~is_paused(),
    )
    .order_by(
        (
            func.coalesce(dispatches.c.served_at, dispatches.c.due_at)
            < bindparam("starved", type_=Instant)
        ).desc(),
        dispatches.c.priority.desc(),
        # Mails of one severity take turns.
        dispatches.c.served_at.asc().nulls_first(),
        dispatches.c.id,
    )
    .limit(1)
)
_FREE_ONE = _WHOSE_TURN.with_for_update(skip_locked=True)
_ANY_ONE = _WHOSE_TURN.with_for_update()


def _next_dispatch(connection: Connection, now: datetime) -> Any:
    """The mail whose turn it is, which nobody else moves on until we commit.

    When others are at all of them, wait for one: it has readers for us too.
    """
    when = {"now": now, "starved": now - _STARVED_AFTER}
    free = connection.execute(_FREE_ONE, when).one_or_none()
    return free or connection.execute(_ANY_ONE, when).one_or_none()


def _newest_customer(connection: Connection) -> int:
    """Who signs up during a fan-out does not prolong it."""
    return connection.scalars(select(func.max(customers.c.id))).one() or 0


# A reader of the dispatch.
_IS_TOLD = and_(
    customers.c.id <= bindparam("last_customer"),
    customers.c.unsubscribed_at.is_(None),
    ~is_suppressed(customers.c.email_key),
    affected_by(bindparam("incident", type_=Integer)),
)
# One who has no ledger row yet: others have changed language or zone during the walk.
_TO_BE_REACHED = and_(
    _IS_TOLD,
    ~asked_of_each(
        select(1).where(
            deliveries.c.customer_id == customers.c.id, deliveries.c.dispatch_id == _DISPATCH
        )
    ),
)

_NEXT_VARIANT = (
    select(customers.c.wave, customers.c.language, customers.c.time_zone, customers.c.id)
    .where(
        tuple_(customers.c.wave, customers.c.language, customers.c.time_zone)
        > tuple_(
            bindparam("wave", type_=Integer),
            bindparam("language", type_=Text),
            bindparam("time_zone", type_=Text),
        ),
        _TO_BE_REACHED,
    )
    .order_by(customers.c.wave, customers.c.language, customers.c.time_zone, customers.c.id)
    .limit(1)
)

# Who moved to a wave or variant that the walk had left. Only customers changed since then can
# have, so the index on `updated_at` answers at once when there are none.
_LEFT_BEHIND = (
    select(customers.c.wave, customers.c.language, customers.c.time_zone, customers.c.id)
    .where(customers.c.updated_at >= bindparam("since", type_=Instant), _TO_BE_REACHED)
    .order_by(customers.c.updated_at)
    .limit(1)
)

# `seq` counts on from the customer's number, which leaves gaps; counting the rows themselves
# (a window function) and having them returned made this three times as expensive in SQLite.
_NEXT_READERS = (
    select(
        _DISPATCH,
        customers.c.id + bindparam("seq_offset", type_=BigInteger),
        customers.c.id,
        customers.c.email,
        customers.c.name,
        literal(State.SENDING.value, Text),
    )
    .where(
        customers.c.wave == bindparam("wave"),
        customers.c.language == bindparam("language"),
        customers.c.time_zone == bindparam("time_zone"),
        customers.c.id > bindparam("customer"),
    )
    .order_by(customers.c.id)
    .limit(bindparam("size", type_=Integer))
)


def _write_down(readers: Select[Any]) -> Any:
    """Into the ledger, without those who are in it. SQLite takes PostgreSQL's words for it."""
    columns = ["dispatch_id", "seq", "customer_id", "address", "name", "state"]
    rows = postgresql.insert(deliveries).from_select(columns, readers, include_defaults=False)
    return rows.on_conflict_do_nothing(index_elements=["dispatch_id", "customer_id"])


# A statement that reads the table it writes goes by way of a temporary table in SQLite, which
# costs as much as the writing itself (0.7 µs a reader). So the first leaves it to the ledger's
# unique index to pass over who was reached before. But its limit counts those as well: when it
# finds nobody, the second looks behind them.
_TAKE_PAGE = _write_down(_NEXT_READERS.where(_IS_TOLD))
_TAKE_REST = _write_down(_NEXT_READERS.where(_TO_BE_REACHED))

_PAGE = (
    select(*READER)
    .where(deliveries.c.dispatch_id == _DISPATCH, deliveries.c.seq >= bindparam("first_seq"))
    .order_by(deliveries.c.seq)
)

_MESSAGE = select(messages.c.id).where(
    messages.c.dispatch_id == bindparam("dispatch"),
    messages.c.language == bindparam("language"),
    messages.c.time_zone == bindparam("time_zone"),
)


_ADD_BATCH = (
    insert(batches)
    .values(
        dispatch_id=_DISPATCH,
        message_id=_MESSAGE.scalar_subquery(),
        first_seq=bindparam("first_seq"),
        last_seq=bindparam("last_seq"),
        state=bindparam("state"),
        channel=bindparam("channel"),
        due_at=bindparam("due_at"),
        lease_owner=bindparam("lease_owner"),
        lease_until=bindparam("lease_until"),
        claimed_at=bindparam("claimed_at"),
    )
    .returning(batches.c.id, batches.c.message_id)
)


def _next_variant(connection: Connection, walk: _Walk, here: _Place) -> _Place | None:
    """Where the first variant behind `here` that has a reader begins."""
    behind = {"wave": here.wave, "language": here.language, "time_zone": here.time_zone}
    row = connection.execute(_NEXT_VARIANT, _audience(walk) | behind).one_or_none()
    return _before(row) if row else None


def _left_behind(connection: Connection, walk: _Walk) -> _Place | None:
    """Before a reader whom the walk has missed, because they changed language or zone."""
    since = {"since": walk.dispatch.due_at}
    row = connection.execute(_LEFT_BEHIND, _audience(walk) | since).one_or_none()
    return _before(row) if row else None


def _before(reader: Any) -> _Place:
    return _Place(reader.wave, reader.language, reader.time_zone, reader.id - 1)


def _audience(walk: _Walk) -> dict[str, Any]:
    """The parameters of `_TO_BE_REACHED`."""
    return {
        "dispatch": walk.dispatch.id,
        "incident": walk.dispatch.incident_id,
        "last_customer": walk.last_customer,
        "now": walk.claim.now,
    }


def _message_id(connection: Connection, dispatch_id: int, place: _Place) -> int | None:
    return connection.scalars(
        _MESSAGE,
        {"dispatch": dispatch_id, "language": place.language, "time_zone": place.time_zone},
    ).one_or_none()


def _take_page(connection: Connection, walk: _Walk, place: _Place) -> ClaimedBatch | None:
    """Write the ledger rows of the next readers of this variant; None when it has no more."""
    dispatch, claim = walk.dispatch, walk.claim
    readers_from = _audience(walk) | {
        "seq_offset": dispatch.next_seq - 1 - place.customer,
        "wave": place.wave,
        "language": place.language,
        "time_zone": place.time_zone,
        "customer": place.customer,
        "size": claim.size,
    }
    page = {"dispatch": dispatch.id, "first_seq": dispatch.next_seq}
    connection.execute(_TAKE_PAGE, readers_from)
    readers = _read_page(connection, page)
    if not readers:
        connection.execute(_TAKE_REST, readers_from)
        readers = _read_page(connection, page)
    if not readers:
        return None
    (first_seq, *_), (last_seq, last_customer, *_) = readers[0], readers[-1]
    _move_cursor(connection, walk, place, last_seq, last_customer)
    batch = {
        "dispatch": dispatch.id,
        "language": place.language,
        "time_zone": place.time_zone,
        "first_seq": first_seq,
        "last_seq": last_seq,
        "state": State.SENDING,
        "channel": claim.channel,
        "due_at": dispatch.due_at,
        "lease_owner": claim.node,
        "lease_until": claim.until,
        "claimed_at": claim.now,
    }
    batch_id, message_id = connection.execute(_ADD_BATCH, batch).one()
    return ClaimedBatch(
        id=batch_id,
        dispatch_id=dispatch.id,
        message_id=message_id,
        channel=claim.channel,
        attempt=1,
        first_due=dispatch.first_due,
        fence=1,
        lease_until=claim.until,
        readers=readers,
    )


def _read_page(connection: Connection, page: dict[str, Any]) -> list[Reader]:
    cursor = connection.execute(_PAGE, page).cursor
    return list(cursor.fetchall()) if cursor else []


# What it sets is what it is executed with.
_MOVE_CURSOR = update(dispatches).where(dispatches.c.id == _DISPATCH)


def _move_cursor(
    connection: Connection, walk: _Walk, place: _Place, seq: int, customer: int
) -> None:
    connection.execute(
        _MOVE_CURSOR,
        {
            "dispatch": walk.dispatch.id,
            "state": State.SENDING,
            "served_at": walk.claim.now,
            "cursor_wave": place.wave,
            "cursor_language": place.language,
            "cursor_time_zone": place.time_zone,
            "cursor_customer": customer,
            "last_customer": walk.last_customer,
            "next_seq": seq + 1,
        },
    )


def _exhaust(connection: Connection, dispatch_id: int) -> None:
    connection.execute(
        update(dispatches)
        .where(dispatches.c.id == dispatch_id)
        .values(exhausted=True, state=State.SENDING)
    )
