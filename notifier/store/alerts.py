"""Alerts: what tools said, merged so that neither order nor repetition matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    case,
    delete,
    exists,
    insert,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql

from notifier.domain.alerting import Word, merge
from notifier.store.db import upsert
from notifier.store.json_rows import as_json, is_text, rows_of
from notifier.store.schema_alerts import (
    alerts,
    draft_alerts,
    happenings,
    hook_bodies,
    integrations,
)

#: How many of the last requests of each integration are kept.
BODIES_KEPT = 100


class Body(NamedTuple):
    """A request as it is kept: without secrets, and with what we thought of it.

    A named tuple, because as a dataclass its way into a row costs as much as the row.
    """

    integration_id: int
    received_at: datetime
    method: str
    query: str
    headers: str
    body: bytes
    verdict: str
    detail: str


@dataclass(frozen=True, slots=True)
class Told:
    """What one integration said once."""

    integration_id: int
    at: datetime
    words: Sequence[Word] = ()
    notes: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that changed. Its times stay in the database, where all that is asked of them is."""

    id: int
    integration_id: int
    is_firing: bool
    facts: str


_COLUMNS = (
    "integration_id",
    "key",
    "fired_at",
    "cleared_at",
    "acknowledged_at",
    "facts_at",
    "facts",
    "first_seen_at",
    "seen_at",
    "changed",
)


def _merge(dialect: str) -> Any:
    """Signals into their alerts. SQLite takes PostgreSQL's words for it."""
    given = rows_of(dialect, alerts, _COLUMNS)
    statement = postgresql.insert(alerts).from_select(_COLUMNS, given, include_defaults=False)
    new, old = statement.excluded, alerts.c
    newer = tuple_(new.facts_at, new.facts) > tuple_(old.facts_at, old.facts)
    times = ("fired_at", "cleared_at", "acknowledged_at")
    later = {name: new[name] > old[name] for name in times}
    latest = {n: case((is_later, new[n]), else_=old[n]) for n, is_later in later.items()}
    return statement.on_conflict_do_update(
        index_elements=["integration_id", "key"],
        set_=latest
        | {
            "facts_at": case((newer, new.facts_at), else_=old.facts_at),
            "facts": case((newer, new.facts), else_=old.facts),
            "seen_at": case((new.seen_at > old.seen_at, new.seen_at), else_=old.seen_at),
            "changed": or_(old.changed, *later.values(), and_(newer, new.facts != old.facts)),
        },
    )


def _keep(dialect: str) -> Any:
    """Requests whose bodies are text, as nearly all are."""
    given = rows_of(dialect, hook_bodies, Body._fields)
    return insert(hook_bodies).from_select(Body._fields, given, include_defaults=False)


# Built once: they run for every request that a tool sends.
_DIALECTS = ("sqlite", "postgresql")
_MERGE = {dialect: _merge(dialect) for dialect in _DIALECTS}
_KEEP = {dialect: _keep(dialect) for dialect in _DIALECTS}
_KEEP_BYTES = insert(hook_bodies)
_SEEN = (
    update(integrations)
    .where(integrations.c.id == bindparam("which"))
    .values(seen_at=bindparam("at"))
)


def write(connection: Connection, bodies: Sequence[Body], told: Sequence[Told]) -> None:
    """Keep requests and merge what they say; all of it in the caller's transaction."""
    dialect = connection.dialect.name
    texts = [body for body in bodies if is_text(body.body)]
    if texts:
        connection.execute(_KEEP[dialect], {"rows": as_json(texts)})
    if others := [body._asdict() for body in bodies if not is_text(body.body)]:
        connection.execute(_KEEP_BYTES, others)
    seen = {one.integration_id: one.at for one in told}
    if not seen:
        return
    connection.execute(_SEEN, [{"which": i, "at": at} for i, at in sorted(seen.items())])
    if rows := _rows(told):
        connection.execute(_MERGE[dialect], {"rows": as_json(rows)})
    notes = [note | {"integration_id": one.integration_id} for one in told for note in one.notes]
    upsert(connection, happenings, notes, key=["integration_id", "key"], update=[])


def _rows(told: Sequence[Told]) -> list[tuple[Any, ...]]:
    """One row of `_COLUMNS` for each alert, in one order for everybody.

    Two who write several rows at once would otherwise wait for each other (PostgreSQL).
    """
    merged: dict[tuple[int, str], tuple[datetime, Word]] = {}
    for one in told:
        for said in one.words:
            place = one.integration_id, said.key
            at, before = merged.get(place, (one.at, said))
            merged[place] = max(at, one.at), merge(before, said)
    return [(place[0], *said, at, at, True) for place, (at, said) in sorted(merged.items())]


_CHANGED = (
    select(
        alerts.c.id,
        alerts.c.integration_id,
        alerts.c.fired_at > alerts.c.cleared_at,
        alerts.c.facts,
    )
    .where(alerts.c.changed)
    .order_by(alerts.c.id)
    .limit(bindparam("limit"))
    # Who writes alerts locks them by key, and we by id: each could wait for the other (PostgreSQL).
    # What is being written now stays marked, and is rung for after its commit.
    .with_for_update(skip_locked=True)
)


def take_changed(connection: Connection, limit: int) -> list[Alert]:
    """Alerts that nobody has looked at since they changed; they count as looked at from now."""
    found = [
        Alert(alert_id, integration_id, bool(fires), facts)
        for alert_id, integration_id, fires, facts in connection.execute(_CHANGED, {"limit": limit})
    ]
    if found:
        ids = [alert.id for alert in found]
        connection.execute(update(alerts).where(alerts.c.id.in_(ids)).values(changed=False))
    return found


_FED = exists().where(draft_alerts.c.alert_id == alerts.c.id)


def has_changed(connection: Connection) -> bool:
    """Whether any alert has to be looked at. Takes no lock."""
    return (
        connection.execute(select(alerts.c.id).where(alerts.c.changed).limit(1)).first() is not None
    )


def trim_bodies(connection: Connection) -> None:
    """Forget all but the last requests of each integration."""
    for (integration_id,) in connection.execute(select(integrations.c.id)).all():
        oldest_kept = (
            select(hook_bodies.c.id)
            .where(hook_bodies.c.integration_id == integration_id)
            .order_by(hook_bodies.c.id.desc())
            .offset(BODIES_KEPT - 1)
            .limit(1)
            .scalar_subquery()
        )
        connection.execute(
            delete(hook_bodies).where(
                hook_bodies.c.integration_id == integration_id, hook_bodies.c.id < oldest_kept
            )
        )


def forget(connection: Connection, *, before: datetime, limit: int) -> None:
    """Forget alerts of which nothing was said since then and that fed no draft, at most `limit`;
    and old happenings.
    """
    old = select(alerts.c.id).where(alerts.c.seen_at < before, ~_FED).limit(limit)
    connection.execute(delete(alerts).where(alerts.c.id.in_(old)))
    connection.execute(delete(happenings).where(happenings.c.at < before))


def drop(connection: Connection, integration_id: int) -> None:
    """Forget the alerts of an integration, but for those that fed a draft: they are history."""
    its = alerts.c.integration_id == integration_id
    connection.execute(delete(alerts).where(its, ~_FED))
    connection.execute(update(alerts).where(its).values(changed=False))


def list_bodies(connection: Connection, integration_id: int, *, limit: int) -> list[Row[Any]]:
    """The last requests of an integration, the newest first."""
    query = select(hook_bodies).where(hook_bodies.c.integration_id == integration_id)
    return list(connection.execute(query.order_by(hook_bodies.c.id.desc()).limit(limit)))


def list_happenings(connection: Connection, *, since: datetime, until: datetime) -> list[Row[Any]]:
    """What happened in that time and was no alert, the oldest first; at most 50."""
    query = select(happenings).where(happenings.c.at.between(since, until))
    return list(connection.execute(query.order_by(happenings.c.at).limit(50)))
