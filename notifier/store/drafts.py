"""Drafts: what the monitoring proposes to say, with the alerts that made it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Row,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from notifier.domain.alerting import DraftState
from notifier.domain.incident import Severity, Status
from notifier.store.schema import incident_components, incidents
from notifier.store.schema_alerts import alerts, draft_alerts, drafts, integrations


@dataclass(frozen=True, slots=True)
class Draft:
    """What is proposed, and what became of it."""

    id: int
    state: DraftState
    component_id: int | None
    integration_id: int | None
    preset_id: int | None
    severity: Severity
    opened_at: datetime
    changed_at: datetime
    #: Since when none of its alerts fires.
    quiet_since: datetime | None
    #: Whether the tools said that it is over, and did not only stop saying anything.
    recovered: bool
    relapses: int
    auto_at: datetime | None
    stopped: str
    decided_by: str
    decided_at: datetime | None
    incident_id: int | None


@dataclass(frozen=True, slots=True)
class Fed:
    """One alert of a draft, as it was then."""

    draft_id: int
    alert_id: int
    integration: str
    facts: str
    fired_at: datetime
    cleared_at: datetime
    acknowledged_at: datetime
    silent: bool


def find(connection: Connection, draft_id: int, *, lock: bool = False) -> Draft | None:
    """The draft of this id. With `lock`, nobody else may change it until we commit."""
    query = select(drafts).where(drafts.c.id == draft_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return _draft(row) if row else None


def list_waiting(connection: Connection) -> list[Draft]:
    """Drafts that nobody has decided on, the oldest first."""
    query = select(drafts).where(drafts.c.state == DraftState.WAITING).order_by(drafts.c.id)
    return [_draft(row) for row in connection.execute(query)]


def count_waiting(connection: Connection) -> int:
    """How many drafts nobody has decided on."""
    query = select(func.count()).where(drafts.c.state == DraftState.WAITING)
    waiting: int = connection.scalars(query.select_from(drafts)).one()
    return waiting


def list_newest(
    connection: Connection,
    *,
    limit: int,
    state: DraftState | None = None,
    before: int | None = None,
) -> list[Draft]:
    """The newest drafts, whatever became of them or those in a state, made before another one."""
    query = select(drafts).order_by(drafts.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(drafts.c.state == state)
    if before is not None:
        query = query.where(drafts.c.id < before)
    return [_draft(row) for row in connection.execute(query)]


def of_incident(connection: Connection, incident_id: int) -> list[Draft]:
    """The drafts that became, or joined, this incident."""
    query = select(drafts).where(drafts.c.incident_id == incident_id).order_by(drafts.c.id)
    return [_draft(row) for row in connection.execute(query)]


def newest_of(
    connection: Connection, component_id: int | None, integration_id: int | None
) -> Draft | None:
    """The newest draft of a component, or of an integration's alerts without one."""
    query = select(drafts).order_by(drafts.c.id.desc()).limit(1)
    if component_id is None:
        query = query.where(
            drafts.c.component_id.is_(None), drafts.c.integration_id == integration_id
        )
    else:
        query = query.where(drafts.c.component_id == component_id)
    row = connection.execute(query).one_or_none()
    return _draft(row) if row else None


def open_incident_of(connection: Connection, component_id: int) -> int | None:
    """The newest open incident that affects a component."""
    query = (
        select(incidents.c.id)
        .join(incident_components)
        .where(
            incident_components.c.component_id == component_id,
            incidents.c.status.in_([s for s in Status if s.is_open]),
        )
        .order_by(incidents.c.id.desc())
        .limit(1)
    )
    return connection.scalars(query).one_or_none()


def add(connection: Connection, values: Mapping[str, Any]) -> Draft:
    """A new draft."""
    row = connection.execute(insert(drafts).values(**values).returning(*drafts.c)).one()
    return _draft(row)


def change(connection: Connection, draft_id: int, values: Mapping[str, Any]) -> None:
    """Set some columns of a draft."""
    connection.execute(update(drafts).where(drafts.c.id == draft_id).values(**values))


@dataclass(frozen=True, slots=True)
class Link:
    """The newest draft of an alert, and whether what the alert says now belongs to it.

    It does while the occurrence that the draft knows of is not over, or where that one's end is
    the newest thing there is.
    """

    draft: Draft
    is_current: bool


def links_of(connection: Connection, alert_ids: Sequence[int]) -> dict[int, Link]:
    """By alert, for those that ever fed a draft."""
    known_fires = draft_alerts.c.fired_at > draft_alerts.c.cleared_at
    is_current = known_fires | (alerts.c.fired_at <= draft_alerts.c.cleared_at)
    query = (
        select(draft_alerts.c.alert_id, draft_alerts.c.draft_id, is_current)
        .join(alerts, alerts.c.id == draft_alerts.c.alert_id)
        .where(draft_alerts.c.alert_id.in_(alert_ids))
        .order_by(draft_alerts.c.draft_id)
    )
    newest = {alert_id: (draft, current) for alert_id, draft, current in connection.execute(query)}
    ids = {draft_id for draft_id, _ in newest.values()}
    found = connection.execute(select(drafts).where(drafts.c.id.in_(ids)))
    by_id = {row.id: _draft(row) for row in found}
    return {a: Link(by_id[draft], bool(current)) for a, (draft, current) in newest.items()}


def feed(connection: Connection, draft_id: int, alert_ids: Sequence[int]) -> None:
    """Let alerts belong to a draft, as they stand now."""
    told = ("facts", "fired_at", "cleared_at", "acknowledged_at")
    standing = (
        select(
            literal(draft_id, BigInteger),
            alerts.c.id,
            integrations.c.name,
            *(alerts.c[name] for name in told),
            literal(False, Boolean),
        )
        .join(integrations, integrations.c.id == alerts.c.integration_id)
        .where(alerts.c.id.in_(alert_ids))
    )
    columns = ["draft_id", "alert_id", "integration", *told, "silent"]
    rows: Any = postgresql.insert(draft_alerts).from_select(columns, standing)
    changes = {name: rows.excluded[name] for name in (*told, "silent")}
    connection.execute(
        rows.on_conflict_do_update(index_elements=["draft_id", "alert_id"], set_=changes)
    )


def how_they_fire(connection: Connection, draft_id: int) -> tuple[bool, bool]:
    """Whether any alert of a draft fires, and whether any does of which nobody tells us more."""
    fires = draft_alerts.c.fired_at > draft_alerts.c.cleared_at
    query = (
        select(draft_alerts.c.silent)
        .where(draft_alerts.c.draft_id == draft_id, fires, draft_alerts.c.silent == bindparam("s"))
        .limit(1)
    )
    heard, silent = (connection.execute(query, {"s": s}).first() for s in (False, True))
    return heard is not None, silent is not None


def count_fed(connection: Connection, draft_ids: Collection[int]) -> dict[int, int]:
    """By draft: how many alerts it has, read off an index alone."""
    query = select(draft_alerts.c.draft_id, func.count()).where(
        draft_alerts.c.draft_id.in_(draft_ids)
    )
    counted = connection.execute(query.group_by(draft_alerts.c.draft_id))
    return {draft_id: count for draft_id, count in counted}


def first_fired(connection: Connection, draft_id: int) -> datetime | None:
    """When the first alert of a draft fired; None where it has none."""
    query = select(func.min(draft_alerts.c.fired_at)).where(draft_alerts.c.draft_id == draft_id)
    first: datetime | None = connection.scalars(query).one()
    return first


def list_fed(
    connection: Connection, draft_id: int, *, limit: int = 100
) -> list[tuple[Fed, datetime | None]]:
    """The alerts of a draft, in the order in which they fired; each with when its tool last said
    something of it, None where that is about a later occurrence.
    """
    same = (alerts.c.fired_at == draft_alerts.c.fired_at) & (
        alerts.c.cleared_at == draft_alerts.c.cleared_at
    )
    query = (
        select(draft_alerts, case((same, alerts.c.seen_at)).label("heard_at"))
        .join(alerts)
        .where(draft_alerts.c.draft_id == draft_id)
        .order_by(draft_alerts.c.fired_at, draft_alerts.c.alert_id)
        .limit(limit)
    )
    return [(_fed(row), row.heard_at) for row in connection.execute(query)]


def fall_silent(connection: Connection, now: datetime) -> list[int]:
    """Mark firing alerts about which their tool said nothing for too long; their live drafts."""
    touched: set[int] = set()
    for integration_id, heard_after in _patience(connection, now):
        unheard = alerts.c.integration_id == integration_id, alerts.c.seen_at < heard_after
        touched |= _fall_silent(connection, select(alerts.c.id).where(*unheard))
    return sorted(touched)


def let_go(connection: Connection, integration_id: int) -> list[int]:
    """Mark what fires of an integration that is removed: nobody will tell of it any more.

    The live drafts of these alerts.
    """
    its = select(alerts.c.id).where(alerts.c.integration_id == integration_id)
    return sorted(_fall_silent(connection, its))


def hear_again(connection: Connection, now: datetime) -> None:
    """Have those alerts looked at that had fallen silent, and of which their tool tells again."""
    newer = draft_alerts.alias()
    is_newest = ~exists().where(
        newer.c.alert_id == draft_alerts.c.alert_id, newer.c.draft_id > draft_alerts.c.draft_id
    )
    for integration_id, heard_after in _patience(connection, now):
        # Whoever writes an alert just now locks several of them, in an order that is not ours.
        heard = (
            select(alerts.c.id)
            .join(draft_alerts)
            .where(
                draft_alerts.c.silent,
                draft_alerts.c.fired_at > draft_alerts.c.cleared_at,
                is_newest,
                alerts.c.integration_id == integration_id,
                alerts.c.seen_at >= heard_after,
                ~alerts.c.changed,
            )
            .with_for_update(of=alerts, skip_locked=True)
        )
        ids = connection.scalars(heard).all()
        if ids:
            connection.execute(update(alerts).where(alerts.c.id.in_(ids)).values(changed=True))


def _patience(connection: Connection, now: datetime) -> list[tuple[int, datetime]]:
    """By integration: what was heard of before then is no longer reported."""
    found = connection.execute(select(integrations.c.id, integrations.c.stale_seconds)).all()
    return [(id_, now - timedelta(seconds=seconds)) for id_, seconds in found]


def _fall_silent(connection: Connection, unheard: Any) -> set[int]:
    silent = (
        update(draft_alerts)
        .where(
            ~draft_alerts.c.silent,
            draft_alerts.c.fired_at > draft_alerts.c.cleared_at,
            draft_alerts.c.draft_id.in_(_live()),
            draft_alerts.c.alert_id.in_(unheard),
        )
        .values(silent=True)
        .returning(draft_alerts.c.draft_id)
    )
    return set(connection.scalars(silent))


def _live() -> Any:
    """Drafts that wait, or whose incident is open."""
    is_open = incidents.c.status.in_([s for s in Status if s.is_open])
    return (
        select(drafts.c.id)
        .outerjoin(incidents)
        .where(or_(drafts.c.state == DraftState.WAITING, is_open))
    )


def _draft(row: Row[Any]) -> Draft:
    values = {field.name: getattr(row, field.name) for field in fields(Draft)}
    values["state"] = DraftState(values["state"])
    values["severity"] = Severity(values["severity"])
    return Draft(**values)


def _fed(row: Row[Any]) -> Fed:
    return Fed(**{field.name: getattr(row, field.name) for field in fields(Fed)})
