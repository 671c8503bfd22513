"""What providers told us about single mails: remembered once, and the ledger moved by it.

The statements work on sets: a provider tells of a thousand mails at a time, and a writer of
SQLite holds up everybody else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    DateTime,
    Row,
    Select,
    Text,
    any_,
    bindparam,
    cast,
    delete,
    func,
    literal_column,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from notifier.domain.delivery import State
from notifier.domain.receipt import Fact, ProviderEvent, lower_states
from notifier.store.metadata import Instant
from notifier.store.schema import batches, deliveries, dispatches, provider_events

#: (dispatch, seq): a reader's place in the ledger.
Place: TypeAlias = tuple[int, int]

#: A reader's line in the ledger: `seq`, `customer_id`, `address`, `state`.
Line: TypeAlias = "Row[int, int, str, str]"

# A set travels as one parameter, in JSON. As parameters of their own, a thousand events cost
# SQLAlchemy and the drivers ten times what the database needs for them (on PostgreSQL 0.2 s).


def _elements(dialect: str, name: str) -> ColumnElement[Any]:
    """Each element of the JSON array that is the parameter `name`."""
    given = bindparam(name, type_=Text)
    if dialect == "postgresql":
        elements = func.jsonb_array_elements(cast(given, postgresql.JSONB))
    else:
        elements = func.json_each(given)
    value: ColumnElement[Any] = elements.table_valued("value").c.value
    return value


def _is_wanted(dialect: str) -> ColumnElement[bool]:
    """Condition on `deliveries`: the place is among the parameters `dispatch` and `seqs`."""
    seqs = select(cast(_elements(dialect, "seqs"), BigInteger))
    if dialect == "postgresql":
        # As an array it is looked up in the index; as a list it is compared with the whole mail.
        wanted = deliveries.c.seq == any_(func.array(seqs.scalar_subquery()))
    else:
        wanted = deliveries.c.seq.in_(seqs)
    return (deliveries.c.dispatch_id == bindparam("dispatch")) & wanted


@cache
def _lines(dialect: str) -> Select[int, int, str, str]:
    line = deliveries.c.seq, deliveries.c.customer_id, deliveries.c.address, deliveries.c.state
    query = select(*line).where(_is_wanted(dialect)).order_by(deliveries.c.seq)
    return query.with_for_update()


# Whoever writes an answer takes the batch and then its readers; so must we.
_LOCK_BATCHES = (
    select(batches.c.id)
    .where(
        batches.c.dispatch_id.in_(bindparam("dispatches", expanding=True)),
        batches.c.look_at.is_not(None),
    )
    .order_by(batches.c.id)
    .with_for_update()
)


def lock_lines(connection: Connection, places: Iterable[Place]) -> dict[Place, Line]:
    """The lines of the ledger at these places, which nobody else changes until we commit."""
    by_dispatch = _group(places)
    if not by_dispatch:
        return {}
    connection.execute(_LOCK_BATCHES, {"dispatches": list(by_dispatch)}).all()
    query = _lines(connection.dialect.name)
    return {
        (dispatch_id, line.seq): line
        for dispatch_id, seqs in by_dispatch.items()
        for line in connection.execute(query, {"dispatch": dispatch_id, "seqs": json.dumps(seqs)})
    }


_FIELDS = ("event_id", "dispatch_id", "seq", "state", "detail", "happened_at", "applied")


@cache
def _remember(dialect: str) -> Any:
    element = _elements(dialect, "events")

    def field(name: str, kind: Any = Text) -> ColumnElement[Any]:
        place: ColumnElement[int] = literal_column(str(_FIELDS.index(name)))
        return cast(element.op("->>", return_type=Text())(place), kind)

    # The storage form of SQLite, and one that PostgreSQL reads, differ in the zone alone.
    at = field("happened_at")
    told = select(
        bindparam("source", type_=Text),
        field("event_id"),
        field("dispatch_id", BigInteger),
        field("seq", BigInteger),
        field("state"),
        field("detail"),
        cast(at + "Z", DateTime(timezone=True)) if dialect == "postgresql" else at,
        bindparam("now", type_=Instant),
        field("applied", Boolean),
    )
    names = ("source", *_FIELDS[:-1], "received_at", "applied")
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    # SQLite takes the ON of a conflict for a join's, unless a WHERE stands before it.
    statement: Any = insert(provider_events).from_select(names, told.where(text("true")))
    return statement.on_conflict_do_nothing().returning(provider_events.c.event_id)


def remember(
    connection: Connection,
    source: str,
    events: Sequence[ProviderEvent],
    *,
    known: Mapping[Place, Line],
    now: datetime,
) -> set[str]:
    """Keep the events; the ids of those that were not told before.

    Those of mail that is not in `known` wait for it.
    """
    rows = [
        [
            event.id,
            event.dispatch_id,
            event.seq,
            event.fact,
            event.detail,
            f"{event.happened_at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}",
            int(event.place in known),
        ]
        for event in events
    ]
    given = {"source": source, "now": now, "events": json.dumps(rows)}
    return set(connection.scalars(_remember(connection.dialect.name), given))


@cache
def _move(dialect: str) -> Any:
    behind = deliveries.c.state.in_(bindparam("lower", expanding=True))
    statement = update(deliveries).where(_is_wanted(dialect), behind).values(reason=None)
    return statement.returning(deliveries.c.seq)


_EXPLAIN = (
    update(deliveries)
    .where(deliveries.c.dispatch_id == bindparam("dispatch"), deliveries.c.seq == bindparam("at"))
    .values(reason=bindparam("why"))
)


def move(connection: Connection, state: State, details: Mapping[Place, str]) -> list[Place]:
    """Move these lines forward to `state`, each with the reason that `details` gives, or "".

    Those that are further already stay; which are moved.
    """
    moved: list[Place] = []
    statement = _move(connection.dialect.name)
    for dispatch_id, seqs in _group(details).items():
        wanted = {"dispatch": dispatch_id, "seqs": json.dumps(seqs), "lower": lower_states(state)}
        found = connection.scalars(statement, wanted | {"state": state})
        moved += [(dispatch_id, seq) for seq in found]
    reasons = [
        {"dispatch": place[0], "at": place[1], "why": details[place]}
        for place in moved
        if details[place]
    ]
    if reasons:
        connection.execute(_EXPLAIN, reasons)
    return moved


# Spelt as in the partial index; SQLAlchemy's own NOT is another word in SQLite.
_NOT_APPLIED = text("NOT applied")


def waiting(
    connection: Connection, *, since: datetime, limit: int
) -> list[tuple[str, ProviderEvent]]:
    """(source, event) of the events, told since then, whose mail has come into the ledger.

    Only where its dispatch was there when the event came. Ids begin again after a backup was
    restored, or are those of another installation that shares the account: what was told before
    a dispatch was made cannot be about it.
    """
    query = (
        select(provider_events)
        .join(
            deliveries,
            (deliveries.c.dispatch_id == provider_events.c.dispatch_id)
            & (deliveries.c.seq == provider_events.c.seq),
        )
        .join(dispatches, dispatches.c.id == provider_events.c.dispatch_id)
        .where(
            _NOT_APPLIED,
            provider_events.c.received_at >= since,
            provider_events.c.received_at >= dispatches.c.created_at,
        )
        .limit(limit)
    )
    return [(row.source, _event(row)) for row in connection.execute(query)]


_MARK_APPLIED = (
    update(provider_events)
    .where(
        provider_events.c.source == bindparam("of_source"),
        provider_events.c.event_id == bindparam("of_event"),
    )
    .values(applied=True)
)


def mark_applied(connection: Connection, told: Iterable[tuple[str, ProviderEvent]]) -> None:
    """These events wait no more."""
    rows = [{"of_source": source, "of_event": event.id} for source, event in told]
    if rows:
        connection.execute(_MARK_APPLIED, rows)


def forget(connection: Connection, *, before: datetime, limit: int) -> int:
    """Remove at most `limit` events that were told before then; how many it were."""
    key = provider_events.c.source, provider_events.c.event_id
    old = select(*key).where(provider_events.c.received_at < before).limit(limit)
    return connection.execute(delete(provider_events).where(tuple_(*key).in_(old))).rowcount


def _group(places: Iterable[Place]) -> dict[int, list[int]]:
    """The places by dispatch, all in order."""
    groups: dict[int, list[int]] = {}
    for dispatch_id, seq in sorted(set(places)):
        groups.setdefault(dispatch_id, []).append(seq)
    return groups


def _event(row: Row[Any]) -> ProviderEvent:
    return ProviderEvent(
        id=row.event_id,
        dispatch_id=row.dispatch_id,
        seq=row.seq,
        fact=Fact(row.state),
        address="",
        detail=row.detail,
        happened_at=row.happened_at,
    )
