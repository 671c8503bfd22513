"""Incidents and their updates. An update is never changed once it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from notifier.domain.incident import Severity, Status
from notifier.domain.notice import Notice
from notifier.store.db import take_turn
from notifier.store.notices import join_duration, split_duration
from notifier.store.schema import idempotency_keys, incident_components, incidents, updates


@dataclass(frozen=True, slots=True)
class Incident:
    """One disruption, as it stands."""

    id: int
    title: str
    severity: Severity
    status: Status
    started_at: datetime
    created_at: datetime
    resolved_at: datetime | None

    @property
    def reference(self) -> str:
        """What people call it, and what every message about it carries."""
        return f"INC-{self.id}"


@dataclass(frozen=True, slots=True)
class Update:
    """What was said once. `number` counts from 1 within the incident."""

    id: int
    incident_id: int
    number: int
    status: Status
    notice: Notice
    published_at: datetime
    published_by: str


# Built once: between the operator's press and the first post, SQLAlchemy's building and hashing
# of statements costs more than SQLite's running of them.
_ADD_INCIDENT = insert(incidents).returning(incidents.c.id)
_ADD_COMPONENTS = insert(incident_components)
_SAID_BEFORE = select(func.coalesce(func.max(updates.c.number), 0)).where(
    updates.c.incident_id == bindparam("incident")
)
_ADD_UPDATE = (
    insert(updates)
    .values(number=_SAID_BEFORE.scalar_subquery() + 1)
    .returning(updates.c.id, updates.c.number)
)


def add_incident(
    connection: Connection,
    *,
    title: str,
    severity: Severity,
    status: Status,
    component_ids: Sequence[int],
    started_at: datetime,
    now: datetime,
) -> Incident:
    """A new incident on these components."""
    values = {
        "title": title,
        "severity": severity,
        "status": status,
        "started_at": started_at,
        "created_at": now,
        "resolved_at": None,
    }
    (incident_id,) = connection.execute(_ADD_INCIDENT, values).one()
    connection.execute(
        _ADD_COMPONENTS,
        [{"incident_id": incident_id, "component_id": i} for i in component_ids],
    )
    return Incident(incident_id, title, severity, status, started_at, now, None)


def set_status(
    connection: Connection, incident_id: int, status: Status, *, resolved_at: datetime | None
) -> None:
    """Move an incident on."""
    connection.execute(
        update(incidents)
        .where(incidents.c.id == incident_id)
        .values(status=status, resolved_at=resolved_at)
    )


def find(connection: Connection, incident_id: int, *, lock: bool = False) -> Incident | None:
    """The incident, or None. With `lock`, nobody else may change it until we commit."""
    query = select(incidents).where(incidents.c.id == incident_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return _incident(row) if row else None


def get(connection: Connection, incident_id: int) -> Incident:
    """The incident of this id, which exists. Raises sqlalchemy.exc.NoResultFound."""
    return _incident(
        connection.execute(select(incidents).where(incidents.c.id == incident_id)).one()
    )


def list_incidents(
    connection: Connection, *, open_only: bool = False, limit: int = 50
) -> list[Incident]:
    """The newest incidents, the newest first."""
    query = select(incidents).order_by(incidents.c.id.desc()).limit(limit)
    if open_only:
        query = query.where(incidents.c.status.in_([s for s in Status if s.is_open]))
    return [_incident(row) for row in connection.execute(query)]


def add_update(
    connection: Connection,
    *,
    incident_id: int,
    status: Status,
    notice: Notice,
    now: datetime,
    by: str,
) -> Update:
    """The next update of an incident."""
    kind, start, end = split_duration(notice.duration)
    values = {
        "incident_id": incident_id,
        "incident": incident_id,
        "status": status,
        "impact": notice.impact,
        "duration_kind": kind,
        "duration_start": start,
        "duration_end": end,
        "explanation": notice.explanation,
        "next_update_by": notice.next_update_by,
        "published_at": now,
        "published_by": by,
    }
    update_id, number = connection.execute(_ADD_UPDATE, values).one()
    return Update(update_id, incident_id, number, status, notice, now, by)


def get_update(connection: Connection, update_id: int) -> Update:
    """The update of this id, which exists. Raises sqlalchemy.exc.NoResultFound."""
    return _update(connection.execute(select(updates).where(updates.c.id == update_id)).one())


def list_updates(connection: Connection, incident_id: int) -> list[Update]:
    """All updates of an incident, the newest first."""
    query = select(updates).where(updates.c.incident_id == incident_id)
    return [_update(row) for row in connection.execute(query.order_by(updates.c.number.desc()))]


def find_repeated(connection: Connection, *, actor: str, key: str) -> tuple[str, int] | None:
    """(fingerprint, update id) of the request that used this idempotency key before.

    Who asks while another transaction has asked for the same key waits until that one ends.
    """
    take_turn(connection, f"{actor}\n{key}")
    row = connection.execute(
        select(idempotency_keys.c.fingerprint, idempotency_keys.c.update_id).where(
            idempotency_keys.c.actor == actor, idempotency_keys.c.key == key
        )
    ).one_or_none()
    return (row[0], row[1]) if row else None


def remember_request(
    connection: Connection,
    *,
    actor: str,
    key: str,
    fingerprint: str,
    update_id: int,
    now: datetime,
) -> None:
    """Keep what a request with this key did. Raises IntegrityError when the key is in use."""
    connection.execute(
        insert(idempotency_keys).values(
            actor=actor, key=key, fingerprint=fingerprint, update_id=update_id, created_at=now
        )
    )


def _incident(row: Row[Any]) -> Incident:
    return Incident(
        id=row.id,
        title=row.title,
        severity=Severity(row.severity),
        status=Status(row.status),
        started_at=row.started_at,
        created_at=row.created_at,
        resolved_at=row.resolved_at,
    )


def _update(row: Row[Any]) -> Update:
    duration = join_duration(row.duration_kind, row.duration_start, row.duration_end)
    return Update(
        id=row.id,
        incident_id=row.incident_id,
        number=row.number,
        status=Status(row.status),
        notice=Notice(row.impact, duration, row.explanation, row.next_update_by),
        published_at=row.published_at,
        published_by=row.published_by,
    )
