"""Integrations, the rules for their alerts, and the words that are ready for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from notifier.domain.alerting import Origin, Rule
from notifier.domain.incident import Severity
from notifier.store.schema import incident_components, incidents
from notifier.store.schema_alerts import alert_rules, integrations, presets


@dataclass(frozen=True, slots=True)
class Integration:
    """Who may tell us something. `heartbeat`: after so much silence there is no data."""

    id: int
    source: str
    name: str
    sealed: str
    header: str
    networks: Sequence[str]
    options: Mapping[str, str]
    component_id: int | None
    severity: Severity
    heartbeat: timedelta | None
    stale_after: timedelta
    created_at: datetime
    seen_at: datetime | None

    @property
    def origin(self) -> Origin:
        """What decides where its alerts belong."""
        return Origin(
            self.id, self.name, self.source, self.component_id, self.severity, self.stale_after
        )

    def is_silent(self, now: datetime) -> bool:
        """Whether the tool has been silent for longer than it may."""
        last = self.seen_at or self.created_at
        return self.heartbeat is not None and last < now - self.heartbeat


@dataclass(frozen=True, slots=True)
class Preset:
    """Words that were approved before anything happened."""

    id: int
    name: str
    title: str
    impact: str
    explanation: str


def add(connection: Connection, values: Mapping[str, Any]) -> int:
    """A new integration; its id. Raises IntegrityError for a name or a key in use."""
    added = insert(integrations).values(**values).returning(integrations.c.id)
    added_id: int = connection.scalars(added).one()
    return added_id


def change(connection: Connection, integration_id: int, values: Mapping[str, Any]) -> None:
    """Set some columns of an integration."""
    connection.execute(
        update(integrations).where(integrations.c.id == integration_id).values(**values)
    )


def hold(connection: Connection, integration_id: int) -> None:
    """Let nobody write what it says until we commit (PostgreSQL)."""
    query = select(integrations.c.id).where(integrations.c.id == integration_id)
    connection.execute(query.with_for_update())


def remove(connection: Connection, integration_id: int) -> None:
    """Forget an integration, its rules, and its requests."""
    connection.execute(delete(integrations).where(integrations.c.id == integration_id))


_BY_KEY = select(integrations).where(integrations.c.key_hash == bindparam("key_hash"))


def find_by_key(connection: Connection, key_hash: str) -> Integration | None:
    """The integration whose address has this key."""
    row = connection.execute(_BY_KEY, {"key_hash": key_hash}).one_or_none()
    return _integration(row) if row else None


def find(connection: Connection, integration_id: int) -> Integration | None:
    """The integration of this id."""
    query = select(integrations).where(integrations.c.id == integration_id)
    row = connection.execute(query).one_or_none()
    return _integration(row) if row else None


def find_by_name(connection: Connection, name: str) -> Integration | None:
    """The integration of this name."""
    row = connection.execute(select(integrations).where(integrations.c.name == name)).one_or_none()
    return _integration(row) if row else None


def list_all(connection: Connection) -> list[Integration]:
    """All integrations, by name."""
    query = select(integrations).order_by(integrations.c.name)
    return [_integration(row) for row in connection.execute(query)]


def silent_components(connection: Connection, now: datetime) -> set[int]:
    """Components of which nobody tells anything: each integration that should has been silent.

    A rule for every integration says of none that it watches a component. It counts where nothing
    else says who does: an unrelated tool that is well would hide the silence of the right one.
    """
    every = [one for one in list_all(connection) if one.heartbeat is not None]
    rules = list_rules(connection) if every else []
    for_all = {rule.component_id for rule in rules if rule.integration_id is None}
    watching = {component_id: every for component_id in for_all if component_id is not None}
    watching |= _watchers(every, rules)
    return {
        component_id
        for component_id, watchers in watching.items()
        if all(one.is_silent(now) for one in watchers)
    }


def _watchers(every: Sequence[Integration], rules: Sequence[Rule]) -> dict[int, list[Integration]]:
    """By component: whose own it is, by their settings or by a rule of theirs."""
    found: dict[int, list[Integration]] = {}
    for one in every:
        own = {rule.component_id for rule in rules if rule.integration_id == one.id}
        for component_id in own | {one.component_id}:
            if component_id is not None:
                found.setdefault(component_id, []).append(one)
    return found


def list_rules(connection: Connection) -> list[Rule]:
    """All rules, in the order in which they are tried."""
    query = select(alert_rules).order_by(alert_rules.c.position, alert_rules.c.id)
    return [_rule(row) for row in connection.execute(query)]


def add_rule(connection: Connection, values: Mapping[str, Any]) -> int:
    """A rule behind all others; its id."""
    last = select(func.coalesce(func.max(alert_rules.c.position), 0)).scalar_subquery()
    added = insert(alert_rules).values(position=last + 1, **values).returning(alert_rules.c.id)
    added_id: int = connection.scalars(added).one()
    return added_id


def remove_rule(connection: Connection, rule_id: int) -> None:
    """Forget a rule."""
    connection.execute(delete(alert_rules).where(alert_rules.c.id == rule_id))


def move_rule_up(connection: Connection, rule_id: int) -> None:
    """Let a rule change places with the one before it; the first one stays where it is."""
    order = [rule.id for rule in list_rules(connection)]
    at = order.index(rule_id) if rule_id in order else 0
    if at:
        order[at - 1], order[at] = order[at], order[at - 1]
    for position, id_ in enumerate(order, start=1):
        connection.execute(
            update(alert_rules).where(alert_rules.c.id == id_).values(position=position)
        )


def list_presets(connection: Connection) -> list[Preset]:
    """All presets, by name."""
    return [Preset(*row) for row in connection.execute(select(presets).order_by(presets.c.name))]


def find_preset(connection: Connection, preset_id: int | None) -> Preset | None:
    """The preset of this id."""
    row = connection.execute(select(presets).where(presets.c.id == preset_id)).one_or_none()
    return Preset(*row) if row else None


def add_preset(connection: Connection, values: Mapping[str, str]) -> int:
    """A new preset; its id. Raises IntegrityError for a name in use."""
    added = insert(presets).values(**values).returning(presets.c.id)
    added_id: int = connection.scalars(added).one()
    return added_id


def remove_preset(connection: Connection, preset_id: int) -> None:
    """Forget a preset. Raises IntegrityError while a rule uses it."""
    connection.execute(delete(presets).where(presets.c.id == preset_id))


def past_durations(
    connection: Connection, component_ids: Collection[int], *, limit: int
) -> dict[int, list[timedelta]]:
    """By component: how long its newest disruptions took that are over."""
    of, newest_first = incident_components.c.component_id, incidents.c.id.desc()
    nth = func.row_number().over(partition_by=of, order_by=newest_first).label("nth")
    ended = (
        select(of, incidents.c.started_at, incidents.c.resolved_at, nth)
        .join_from(incident_components, incidents)
        .where(of.in_(component_ids), incidents.c.resolved_at.is_not(None))
        .subquery()
    )
    took: dict[int, list[timedelta]] = {}
    for row in connection.execute(select(ended).where(ended.c.nth <= limit)):
        took.setdefault(row.component_id, []).append(row.resolved_at - row.started_at)
    return took


def _integration(row: Row[Any]) -> Integration:
    heartbeat = row.heartbeat_seconds
    return Integration(
        id=row.id,
        source=row.source,
        name=row.name,
        sealed=row.sealed,
        header=row.header,
        networks=row.networks,
        options=row.options,
        component_id=row.component_id,
        severity=Severity(row.severity),
        heartbeat=None if heartbeat is None else timedelta(seconds=heartbeat),
        stale_after=timedelta(seconds=row.stale_seconds),
        created_at=row.created_at,
        seen_at=row.seen_at,
    )


def _rule(row: Row[Any]) -> Rule:
    auto = row.auto_seconds
    return Rule(
        id=row.id,
        integration_id=row.integration_id,
        match=row.match,
        component_id=row.component_id,
        severity=Severity(row.severity) if row.severity else None,
        preset_id=row.preset_id,
        auto_after=None if auto is None else timedelta(seconds=auto),
    )
