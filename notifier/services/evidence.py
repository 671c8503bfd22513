"""What the monitoring saw of an incident: its alerts, what else happened, and whether it is over.

For operators' eyes. That it is over for the monitoring is proposed to them; only they say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from notifier.domain.incident import Severity
from notifier.services.drafts import FedAlert, fed_alerts, outlines
from notifier.store import alerts, drafts, integrations
from notifier.store.drafts import Draft
from notifier.store.incidents import Incident

#: A deployment this long before an incident may have caused it.
_BEFORE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened and was no alert, in the tool's words."""

    integration: str
    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline."""

    at: datetime
    what: FedAlert | Happening


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the monitoring saw, in the order in which it happened.

    `left_out` alerts are not in `entries`. At most one of `over_since` (all tools said so) and
    `unheard_since` (some of them only stopped saying anything) is set, and neither while an alert
    fires. `worse` is how bad the alerts are where the incident was declared milder.
    """

    entries: list[Entry]
    alerts_count: int
    left_out: int
    over_since: datetime | None
    unheard_since: datetime | None
    worse: Severity | None


@dataclass(frozen=True, slots=True)
class SeenEnd:
    """That the tools call it over. `proposed` are explanations that nobody here has written."""

    since: datetime
    proposed: frozenset[str]


def evidence(connection: Connection, incident: Incident, now: datetime) -> Evidence:
    """What the monitoring saw of an incident."""
    found = drafts.of_incident(connection, incident.id)
    fed = [one for draft in found for one in fed_alerts(connection, draft.id)]
    count = sum(drafts.count_fed(connection, [draft.id for draft in found]).values())
    entries = [Entry(one.fired_at, one) for one in fed]
    entries += _happenings(connection, incident, now)
    worst = max((draft.severity for draft in found), key=lambda s: s.rank, default=None)
    return Evidence(
        entries=sorted(entries, key=lambda entry: entry.at),
        alerts_count=count,
        left_out=count - len(fed),
        over_since=_over_since(found),
        unheard_since=_unheard_since(found),
        worse=worst if worst and worst.rank > incident.severity.rank else None,
    )


def seen_end(connection: Connection, incident_id: int, now: datetime) -> SeenEnd | None:
    """Since when all alerts of an incident are over; None while one is not, or where are none."""
    found = drafts.of_incident(connection, incident_id)
    since = _over_since(found)
    if since is None:
        return None
    proposed = outlines(connection, found, now)
    return SeenEnd(since, frozenset(one.explanation for one in proposed))


def _over_since(found: Sequence[Draft]) -> datetime | None:
    quiet = _quiet_since(found)
    return max(quiet) if quiet and all(draft.recovered for draft in found) else None


def _unheard_since(found: Sequence[Draft]) -> datetime | None:
    if not _quiet_since(found):
        return None
    return max((d.quiet_since for d in found if d.quiet_since and not d.recovered), default=None)


def _quiet_since(found: Sequence[Draft]) -> list[datetime]:
    """Since when the alerts of each draft are quiet; none while one of them is not."""
    quiet = [draft.quiet_since for draft in found if draft.quiet_since]
    return quiet if len(quiet) == len(found) else []


def _happenings(connection: Connection, incident: Incident, now: datetime) -> list[Entry]:
    found = alerts.list_happenings(
        connection, since=incident.started_at - _BEFORE, until=incident.resolved_at or now
    )
    names = {one.id: one.name for one in integrations.list_all(connection)} if found else {}
    return [
        Entry(row.at, Happening(names.get(row.integration_id, ""), row.title, row.url))
        for row in found
    ]
