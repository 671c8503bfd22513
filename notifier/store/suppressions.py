"""Addresses that get no mail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    func,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite

from notifier.domain.audience import address_key
from notifier.domain.suppression import Reason
from notifier.store.metadata import Instant
from notifier.store.postgres import asked_of_each
from notifier.store.schema import suppressions


@dataclass(frozen=True, slots=True)
class Suppression:
    """One address and why it gets no mail; until when, or for ever where `until` is None.

    `source` is who said so: a channel's name, or a person or a program.
    """

    address: str
    reason: Reason
    detail: str
    source: str
    created_at: datetime
    until: datetime | None

    @property
    def key(self) -> str:
        """The address in one letter case."""
        return address_key(self.address)


# Spelt with a parameter, so that statements which contain it can be built once.
_HOLDS = suppressions.c.until.is_(None) | (suppressions.c.until > bindparam("now", type_=Instant))


# Asked once per statement, and then not of each reader where nobody is held back: a twentieth of
# what a page costs.
_ANY = select(func.min(suppressions.c.address_key)).scalar_subquery().is_not(None)


def is_suppressed(key: ColumnElement[str]) -> ColumnElement[bool]:
    """Condition: the address of this key gets no mail at the time of the parameter `now`."""
    held = asked_of_each(select(1).where(suppressions.c.address_key == key, _HOLDS))
    return _ANY & held


def suppressed_keys() -> Select[Any]:
    """The keys of the addresses that get no mail at the time of the parameter `now`.

    For whoever counts them: there are fewer than there are customers.
    """
    return select(suppressions.c.address_key).where(_HOLDS)


def suppress(connection: Connection, found: Iterable[Suppression]) -> None:
    """Send no more mail to these addresses. What is said for longer stands, whoever comes first."""
    # In one order, so that two who write at once never wait for each other in a circle.
    rows = [
        {
            "address_key": one.key,
            "address": one.address,
            "reason": one.reason,
            "detail": one.detail,
            "source": one.source,
            "created_at": one.created_at,
            "until": one.until,
        }
        for one in sorted(found, key=lambda one: one.key)
    ]
    if not rows:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement: Any = insert(suppressions)
    given = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["address_key"],
            set_={name: given[name] for name in rows[0] if name != "address_key"},
            where=suppressions.c.until.is_not(None)
            & (given.until.is_(None) | (given.until > suppressions.c.until)),
        ),
        rows,
    )


def lift(connection: Connection, key: str) -> bool:
    """Let an address get mail again; False when it already did."""
    gone = connection.execute(delete(suppressions).where(suppressions.c.address_key == key))
    return gone.rowcount == 1


def forget_expired(connection: Connection, *, now: datetime) -> None:
    """Remove those whose time is over."""
    connection.execute(delete(suppressions).where(suppressions.c.until <= now))


def find_suppression(connection: Connection, key: str, *, now: datetime) -> Suppression | None:
    """Why this address gets no mail, or None when it does."""
    query = select(suppressions).where(suppressions.c.address_key == key, _HOLDS)
    row = connection.execute(query, {"now": now}).one_or_none()
    return _suppression(row) if row else None


def list_suppressions(
    connection: Connection, *, now: datetime, after: tuple[datetime, str] | None, limit: int
) -> list[Suppression]:
    """A page, the newest first, behind the place `after`: (created_at, key)."""
    order = suppressions.c.created_at, suppressions.c.address_key
    query = select(suppressions).where(_HOLDS).order_by(*(c.desc() for c in order)).limit(limit)
    if after:
        at, key = after
        query = query.where(tuple_(*order) < tuple_(_instant(at), key))
    return [_suppression(row) for row in connection.execute(query, {"now": now})]


def _instant(at: datetime) -> ColumnElement[datetime]:
    return bindparam("after_at", at, type_=Instant)


def _suppression(row: Row[Any]) -> Suppression:
    return Suppression(
        address=row.address,
        reason=Reason(row.reason),
        detail=row.detail,
        source=row.source,
        created_at=row.created_at,
        until=row.until,
    )
