"""How an incident stands: what was said, what became of each message. For people and programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from notifier.domain.delivery import State
from notifier.domain.notice import Notice
from notifier.ports import Notifier
from notifier.services.incidents import NotFound, public_url
from notifier.store import incidents, ledger, outbox, people
from notifier.store.incidents import Incident, Update
from notifier.store.outbox import DispatchRow
from notifier.store.people import Component


@dataclass(frozen=True, slots=True)
class PostReport:
    """One public post. `link` is "" until it is published."""

    id: int
    channel: str
    state: State
    text: str
    link: str
    reason: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class MailReport:
    """One mail to all affected customers.

    `recipients` is whom it reaches: counted now while it waits, counted in the ledger once it
    leaves. `states` counts the ledger's rows by state. `notice` is what it says.
    """

    id: int
    channel: str
    state: State
    scheduled_for: datetime
    why: str
    reason: str
    recipients: int
    states: Mapping[State, int]
    notice: Notice
    edited: bool


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """One update with its messages. `mail` is None when nobody can be mailed."""

    update: Update
    posts: tuple[PostReport, ...]
    mail: MailReport | None


@dataclass(frozen=True, slots=True)
class IncidentReport:
    """An incident with everything said about it, the newest update first."""

    incident: Incident
    url: str
    components: tuple[Component, ...]
    updates: tuple[UpdateReport, ...]

    @property
    def latest(self) -> UpdateReport:
        """What was said last; every incident has at least its declaration."""
        return self.updates[0]


def report(n: Notifier, incident_id: int) -> IncidentReport:
    """How the incident stands now. Raises NotFound."""
    now = n.clock()
    with n.db.read() as connection:
        incident = incidents.find(connection, incident_id)
        if incident is None:
            raise NotFound(f"there is no incident {incident_id}")
        components = people.list_components(connection, incident_id=incident_id)
        rows = outbox.list_dispatches(connection, incident_id)
        updates = tuple(
            UpdateReport(
                update=update,
                posts=tuple(_post(n, r) for r in rows if _is(r, update, "post")),
                mail=next(
                    (
                        _mail(connection, r, update, [c.id for c in components], now)
                        for r in rows
                        if _is(r, update, "mail")
                    ),
                    None,
                ),
            )
            for update in incidents.list_updates(connection, incident_id)
        )
    return IncidentReport(incident, public_url(n, incident), tuple(components), updates)


def _is(row: DispatchRow, update: Update, lane: str) -> bool:
    return row.update_id == update.id and row.lane == lane


def _post(n: Notifier, row: DispatchRow) -> PostReport:
    channel = n.posts.get(row.channel)
    link = channel.link(row.reference) if channel and row.reference else ""
    return PostReport(
        id=row.id,
        channel=row.channel,
        state=row.state,
        text=row.text or "",
        link=link,
        reason=row.reason,
        due_at=row.due_at,
    )


def _mail(
    connection: Connection,
    row: DispatchRow,
    update: Update,
    component_ids: list[int],
    now: datetime,
) -> MailReport:
    states = ledger.count_states(connection, row.id)
    waiting = row.state in (State.PLANNED, State.SENDING)
    counts = people.count_readers(connection, component_ids, now=now) if waiting else {}
    return MailReport(
        id=row.id,
        channel=row.channel,
        state=row.state,
        scheduled_for=row.due_at,
        why=row.why,
        reason=row.reason,
        recipients=max(counts.get("reachable", 0), sum(states.values())),
        states=states,
        notice=row.edited or update.notice,
        edited=row.edited is not None,
    )
