"""Reading the requests that are kept of each integration; `store.alerts` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from notifier.store.alerts import BODIES_KEPT, Body
from notifier.store.schema_alerts import hook_bodies


@dataclass(frozen=True, slots=True)
class Entry:
    """One request in a list. `size` is that of its body, in bytes."""

    id: int
    received_at: datetime
    method: str
    size: int
    verdict: str
    detail: str


def list_entries(
    connection: Connection, integration_id: int, *, limit: int = BODIES_KEPT
) -> list[Entry]:
    """The last requests of an integration without their bodies, the newest first."""
    columns = hook_bodies.c
    query = (
        select(
            columns.id,
            columns.received_at,
            columns.method,
            func.length(columns.body),
            columns.verdict,
            columns.detail,
        )
        .where(columns.integration_id == integration_id)
        .order_by(columns.id.desc())
        .limit(limit)
    )
    return [Entry(*row) for row in connection.execute(query)]


def find(connection: Connection, integration_id: int, request_id: int) -> Body | None:
    """One request of an integration."""
    query = select(hook_bodies).where(
        hook_bodies.c.integration_id == integration_id, hook_bodies.c.id == request_id
    )
    row = connection.execute(query).one_or_none()
    return _body(row) if row else None


def find_newest(connection: Connection, integration_id: int) -> Body | None:
    """The last request of an integration."""
    query = select(hook_bodies).where(hook_bodies.c.integration_id == integration_id)
    row = connection.execute(query.order_by(hook_bodies.c.id.desc()).limit(1)).one_or_none()
    return _body(row) if row else None


def _body(row: Row[Any]) -> Body:
    return Body(
        integration_id=row.integration_id,
        received_at=row.received_at,
        method=row.method,
        query=row.query,
        headers=row.headers,
        body=row.body,
        verdict=row.verdict,
        detail=row.detail,
    )
