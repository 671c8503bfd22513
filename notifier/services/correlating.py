"""From alerts to drafts: which alerts belong together, what is proposed, what posts itself.

One node at a time does this, in small transactions, woken by the first alert that comes. Nothing
here is said to anybody: a draft becomes an incident through `incidents.declare` alone, by an
operator's press, or by itself where a rule with approved words allows it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic, sleep

from sqlalchemy import Connection

from notifier.domain.alerting import (
    AUTOMATON,
    HOLD,
    DraftState,
    Facts,
    Origin,
    Rule,
    Target,
    target,
)
from notifier.domain.incident import Severity
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.services import drafts as proposals
from notifier.services.incidents import Conflict, declare
from notifier.services.pausing import paused
from notifier.store import alerts, draft_posts, drafts, integrations
from notifier.store.alerts import Alert
from notifier.store.db import take_turn
from notifier.store.drafts import Draft, Link

_log = logging.getLogger(__name__)

#: Few enough that a declaration hardly waits for the write lock: about 20 ms.
_AT_ONCE = 200

#: For how long alerts are remembered that nothing followed from, since they were last heard of.
_REMEMBERED = timedelta(days=90)
_FORGOTTEN_AT_ONCE = 1_000

_TOO_LATE = "it was due at a time when nothing could be posted"


def run(n: Notifier) -> datetime | None:
    """Look at every alert that changed, and post what is due; when the next thing is."""
    begun = monotonic()
    while _gather(n):
        # As long for those who have to write (the storm itself, a declaration) as for us.
        sleep(monotonic() - begun)
        begun = monotonic()
    _post_due(n)
    with n.db.read() as connection:
        due = [draft.auto_at for draft in drafts.list_waiting(connection) if draft.auto_at]
    return min(due, default=None)


def look_for_silence(n: Notifier) -> None:
    """Find alerts about which their tools say nothing any more; forget what is old."""
    now = n.clock()
    with n.db.transaction() as connection:
        take_turn(connection, "alerts")
        for draft_id in drafts.fall_silent(connection, now):
            _review(connection, _find(connection, draft_id), now)
        drafts.hear_again(connection, now)
        alerts.trim_bodies(connection)
        alerts.forget(connection, before=now - _REMEMBERED, limit=_FORGOTTEN_AT_ONCE)


def let_go(connection: Connection, integration_id: int, now: datetime) -> None:
    """Forget the alerts of an integration that is removed, but for those that are history."""
    take_turn(connection, "alerts")
    integrations.hold(connection, integration_id)
    for draft_id in drafts.let_go(connection, integration_id):
        _review(connection, _find(connection, draft_id), now)
    alerts.drop(connection, integration_id)


@dataclass(slots=True)
class _Table:
    """What one transaction works with: looked up once for all of its alerts."""

    origins: dict[int, Origin]
    rules: Sequence[Rule]
    now: datetime
    #: The newest draft of a component, or of an integration's alerts without one.
    newest: dict[tuple[int | None, int | None], Draft | None] = field(default_factory=dict)
    #: Drafts as this transaction has left them, by id.
    as_left: dict[int, Draft] = field(default_factory=dict)


def _gather(n: Notifier) -> bool:
    """Look at some of the alerts that changed; whether there may be more."""
    with n.db.read() as connection:  # without the write lock: usually nothing has changed
        if not alerts.has_changed(connection):
            return False
    now = n.clock()
    with n.db.transaction() as connection:
        take_turn(connection, "alerts")
        changed = alerts.take_changed(connection, _AT_ONCE)
        table = _Table(
            {one.id: one.origin for one in integrations.list_all(connection)},
            integrations.list_rules(connection),
            now,
        )
        links = drafts.links_of(connection, [alert.id for alert in changed])
        fed: dict[int, list[int]] = {}
        for alert in changed:
            if draft := _draft_of(connection, table, alert, links.get(alert.id)):
                fed.setdefault(draft.id, []).append(alert.id)
        for draft_id, alert_ids in sorted(fed.items()):
            drafts.feed(connection, draft_id, alert_ids)
            _review(connection, _find(connection, draft_id), now)
    return len(changed) == _AT_ONCE


def _draft_of(
    connection: Connection, table: _Table, alert: Alert, link: Link | None
) -> Draft | None:
    """The draft that an alert feeds; None for one that changes nothing for anybody."""
    known = table.as_left.get(link.draft.id, link.draft) if link and link.is_current else None
    if not alert.is_firing:
        return known
    origin = table.origins[alert.integration_id]
    place = target(origin, Facts.read(alert.facts), table.rules)
    if place is None:
        return known
    if known is None or _is_reopened(known, place):
        return _place(connection, table, origin, place)
    if known.component_id == place.component_id:
        return _strengthen(connection, table, known, place)
    return known


def _is_reopened(draft: Draft, place: Target) -> bool:
    """Whether an alert of a draft that waits no more has to be proposed again: it was silent and is
    heard of, or it has become worse than what was dismissed.
    """
    if draft.state is DraftState.DISMISSED:
        return place.severity.rank > draft.severity.rank
    return draft.state is DraftState.WITHDRAWN


def _place(connection: Connection, table: _Table, origin: Origin, place: Target) -> Draft:
    """The draft for alerts of this place: the newest one, or else a new one."""
    group = (place.component_id, None if place.component_id else origin.id)
    if group not in table.newest:
        table.newest[group] = drafts.newest_of(connection, *group)
    newest = table.newest[group]
    newest = table.as_left.get(newest.id, newest) if newest else None
    if newest is None or not _takes_more(connection, newest, place, table.now):
        newest = _open(connection, table, origin, place)
    newest = _strengthen(connection, table, newest, place)
    table.newest[group] = newest
    return newest


def _takes_more(connection: Connection, draft: Draft, place: Target, now: datetime) -> bool:
    """Whether a further alert of its component belongs to a draft.

    While it waits, while its incident is open, and for a while after it was withdrawn or dismissed:
    what flaps, or was refused just now, is not proposed again at once. What is worse was not
    refused; and how long ago it was refused does not depend on what came since.
    """
    if draft.state is DraftState.WAITING:
        return True
    if draft.state is DraftState.POSTED:
        return proposals.is_open(connection, draft)
    if draft.state is DraftState.DISMISSED and place.severity.rank > draft.severity.rank:
        return False
    return (draft.decided_at or draft.changed_at) > now - HOLD


def _open(connection: Connection, table: _Table, origin: Origin, place: Target) -> Draft:
    """A new draft; where an operator was faster, it belongs to the incident from the start."""
    incident_id = (
        drafts.open_incident_of(connection, place.component_id) if place.component_id else None
    )
    return drafts.add(
        connection,
        {
            "state": DraftState.POSTED if incident_id else DraftState.WAITING,
            "component_id": place.component_id,
            "integration_id": None if place.component_id else origin.id,
            "preset_id": place.preset_id,
            "severity": place.severity,
            "opened_at": table.now,
            "changed_at": table.now,
            "incident_id": incident_id,
            "decided_at": table.now if incident_id else None,
        },
    )


def _strengthen(connection: Connection, table: _Table, draft: Draft, place: Target) -> Draft:
    """What one more alert adds: it may be worse, bring words, or allow posting by itself."""
    values: dict[str, object] = {}
    if place.severity.rank > Severity(draft.severity).rank:
        values["severity"] = place.severity
    if draft.preset_id is None and place.preset_id is not None:
        values["preset_id"] = place.preset_id
    if draft.state is DraftState.WITHDRAWN:
        values["state"] = DraftState.WAITING
    waits = draft.state in (DraftState.WAITING, DraftState.WITHDRAWN)
    if waits and place.auto_after is not None and not (draft.auto_at or draft.stopped):
        held = draft_posts.held_until(connection, draft.component_id)
        due = table.now + place.auto_after
        values["auto_at"] = max(due, held) if held else due
        values["preset_id"] = place.preset_id  # these words are the ones that may go by themselves
    if values:
        drafts.change(connection, draft.id, values)
        draft = table.as_left[draft.id] = _find(connection, draft.id)
    return draft


def _review(connection: Connection, draft: Draft, now: datetime) -> None:
    """Bring a draft up to what its alerts say now."""
    fires, is_silent = drafts.how_they_fire(connection, draft.id)
    values: dict[str, object] = {"changed_at": now}
    if fires:
        if draft.quiet_since:
            values |= {"relapses": draft.relapses + 1}
        values |= {"quiet_since": None, "recovered": False}
    else:
        values |= {"quiet_since": draft.quiet_since or now, "recovered": not is_silent}
        if draft.state is DraftState.WAITING:
            values |= {"state": DraftState.WITHDRAWN, "auto_at": None}
    drafts.change(connection, draft.id, values)


def _find(connection: Connection, draft_id: int) -> Draft:
    found = drafts.find(connection, draft_id, lock=True)
    if found is None:
        raise LookupError(f"draft {draft_id} is gone")
    return found


def _post_due(n: Notifier) -> None:
    """Post what posts itself, if it is time: one at most, and none in a pause."""
    draft_id = _due(n)
    if draft_id is None or paused(n):
        return
    try:
        declare(n, proposals.declaration(n, draft_id, automatic=True), by=AUTOMATON)
        _log.info("draft %s was posted by itself", draft_id)
    except Conflict:
        _log.info("draft %s was decided on in the last moment", draft_id)
    except Invalid as error:
        _log.warning("draft %s cannot be posted by itself: %s", draft_id, error)
        _give_up(n, draft_id, str(error))


def _due(n: Notifier) -> int | None:
    """The draft that posts itself now. Others that are due wait until nothing holds them."""
    now = n.clock()
    with n.db.read() as connection:  # without the write lock: usually there is none
        if not any(d.auto_at and d.auto_at <= now for d in drafts.list_waiting(connection)):
            return None
    with n.db.transaction() as connection:
        take_turn(connection, "alerts")
        chosen = None
        for draft in _in_time(connection, now):
            held = draft_posts.held_until(connection, draft.component_id)
            if chosen is None and (held is None or held <= now):
                chosen = draft.id
            else:
                later = held if held and held > now else now + HOLD
                drafts.change(connection, draft.id, {"auto_at": later})
        return chosen


def _in_time(connection: Connection, now: datetime) -> list[Draft]:
    """What is due, the worst first. What has been for long (we were away, or the site paused) is
    left to an operator: who knows whether it is still true?
    """
    due = [d for d in drafts.list_waiting(connection) if d.auto_at and d.auto_at <= now]
    late = [draft for draft in due if draft.auto_at and draft.auto_at < now - HOLD]
    for draft in late:
        drafts.change(connection, draft.id, {"auto_at": None, "stopped": _TOO_LATE})
    due = [draft for draft in due if draft not in late]
    return sorted(due, key=lambda draft: (-draft.severity.rank, draft.id))


def _give_up(n: Notifier, draft_id: int, why: str) -> None:
    with n.db.transaction() as connection:
        drafts.change(connection, draft_id, {"auto_at": None, "stopped": why})
