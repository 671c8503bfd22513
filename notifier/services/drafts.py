"""Drafts for operators: what is proposed in which words, and deciding on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from notifier.domain.alerting import (
    PAST_MAX,
    DraftState,
    Estimate,
    Facts,
    estimate,
    first_update_by,
    is_firing,
)
from notifier.domain.incident import Severity, Status
from notifier.domain.notice import Notice, expected_duration
from notifier.domain.plan import MailTime
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.services.incidents import Conflict, Declaration, Expected, NotFound, Words
from notifier.store import drafts, incidents, integrations, people
from notifier.store.drafts import Draft, Fed
from notifier.store.integrations import Preset
from notifier.store.people import Component

_TITLE = "Problems with {component}"
_IMPACT = "You may have problems with {component}."
#: An alert that has fired for longer than this says little about when customers were hit.
_LONGEST_UNNOTICED = timedelta(days=1)
_EXPLANATION = "Our monitoring has noticed a problem. We are looking into it."


@dataclass(frozen=True, slots=True)
class FedAlert:
    """One alert that fed a draft, for operators' eyes: its words are the tool's."""

    integration: str
    facts: Facts
    fired_at: datetime
    #: For one that is `silent`, nobody knows.
    over: bool
    #: When it was, where the tool tells that and not only which occurrence has ended.
    over_at: datetime | None
    #: When its tool last said something of it; None where it has fired anew since.
    heard_at: datetime | None
    acknowledged: bool
    silent: bool


@dataclass(frozen=True, slots=True)
class Wording:
    """Words that may be posted: approved ones, or our own; never the tool's."""

    title: str
    impact: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Outline:
    """A draft in words that may be posted: approved ones, or our own; never the tool's.

    `expected` is None where too little is known of the past. `now` is when it was looked at.
    """

    draft: Draft
    component: Component | None
    severity: Severity
    title: str
    impact: str
    explanation: str
    expected: Estimate | None
    next_update_by: datetime
    alerts_count: int
    now: datetime

    @property
    def notice(self) -> Notice:
        """What customers would be told, were it posted now."""
        given = expected(self, self.now)
        duration = expected_duration(
            start=given.start, until=given.until, unknown=given.unknown, now=self.now
        )
        return Notice(self.impact, duration, self.explanation, self.next_update_by)


@dataclass(frozen=True, slots=True)
class Proposal(Outline):
    """The same with the alerts that made it; the first hundred where there are more."""

    alerts: list[FedAlert]


def outlines(connection: Connection, found: Sequence[Draft], now: datetime) -> list[Outline]:
    """What each of these drafts proposes, with as many queries for all as for one."""
    if not found:
        return []
    components = {one.id: one for one in people.list_components(connection)}
    presets = {one.id: one for one in integrations.list_presets(connection)}
    ids = {draft.component_id for draft in found if draft.component_id is not None}
    past = integrations.past_durations(connection, ids, limit=PAST_MAX)
    counts = drafts.count_fed(connection, [draft.id for draft in found])

    def outline(draft: Draft) -> Outline:
        component = components.get(draft.component_id or 0)
        words = wording(component, presets.get(draft.preset_id or 0))
        return Outline(
            draft=draft,
            component=component,
            severity=draft.severity,
            title=words.title,
            impact=words.impact,
            explanation=words.explanation,
            expected=estimate(past.get(draft.component_id or 0, [])),
            next_update_by=first_update_by(draft.severity, now),
            alerts_count=counts.get(draft.id, 0),
            now=now,
        )

    return [outline(draft) for draft in found]


def proposal(connection: Connection, draft: Draft, now: datetime) -> Proposal:
    """What a draft proposes."""
    (made,) = outlines(connection, [draft], now)
    values = {field.name: getattr(made, field.name) for field in fields(Outline)}
    return Proposal(**values, alerts=fed_alerts(connection, draft.id))


def wording(component: Component | None, preset: Preset | None) -> Wording:
    """What is proposed to say about a component."""
    if preset:
        return Wording(preset.title, preset.impact, preset.explanation)
    named = component.name if component else "our service"
    return Wording(_TITLE.format(component=named), _IMPACT.format(component=named), _EXPLANATION)


def get(connection: Connection, draft_id: int) -> Draft:
    """The draft of this id. Raises NotFound."""
    found = drafts.find(connection, draft_id)
    if found is None:
        raise NotFound(f"there is no draft {draft_id}")
    return found


def declaration(n: Notifier, draft_id: int, *, automatic: bool = False) -> Declaration:
    """A draft as it would be posted with one press.

    Raises NotFound, or Conflict when somebody has decided on it, or when it has no component;
    and Invalid for an `automatic` one whose approved words are gone.
    """
    now = n.clock()
    with n.db.read() as connection:
        (made,) = outlines(connection, [get(connection, draft_id)], now)
        began = _began(connection, made.draft, now)
    if made.draft.state is not DraftState.WAITING:
        raise Conflict(f"draft {draft_id} is {made.draft.state} already")
    if made.component is None:
        raise Conflict(f"draft {draft_id} has no component: edit it and choose one")
    if automatic and made.draft.auto_at is None:
        raise Conflict(f"draft {draft_id} was stopped")
    if automatic and made.draft.preset_id is None:
        raise Invalid("preset", "whose words were to be posted was removed")
    return Declaration(
        title=made.title,
        severity=made.severity,
        components=[made.component.slug],
        words=Words(
            impact=made.impact,
            expected=expected(made, now),
            explanation=made.explanation,
            next_update_by=made.next_update_by,
            mail=MailTime(),
        ),
        started_at=began,
        draft_id=draft_id,
        by_itself=automatic,
    )


def with_start(n: Notifier, declaration: Declaration) -> Declaration:
    """A declaration that was made of a draft, with the time at which its first alert fired."""
    if declaration.draft_id is None:
        return declaration
    with n.db.read() as connection:
        found = drafts.find(connection, declaration.draft_id)
        began = _began(connection, found, n.clock()) if found else None
    return replace(declaration, started_at=began)


def expected(made: Outline, now: datetime) -> Expected:
    """The proposed duration as a declaration takes it."""
    if made.expected is None:
        return Expected(unknown=True)
    until = now + made.expected.p80
    if made.expected.median == made.expected.p80:
        return Expected(until=until)
    return Expected(start=now + made.expected.median, until=until)


def stop(n: Notifier, draft_id: int, *, by: str) -> None:
    """Keep a draft from posting itself. Raises NotFound or Conflict."""
    with n.db.transaction() as connection:
        _waiting(connection, draft_id)
        drafts.change(connection, draft_id, {"auto_at": None, "stopped": f"stopped by {by}"})


def dismiss(n: Notifier, draft_id: int, *, by: str) -> None:
    """Nothing is said because of these alerts. Raises NotFound or Conflict."""
    now = n.clock()
    with n.db.transaction() as connection:
        _waiting(connection, draft_id)
        drafts.change(
            connection,
            draft_id,
            {
                "state": DraftState.DISMISSED,
                "decided_by": by,
                "decided_at": now,
                "changed_at": now,
                "auto_at": None,
            },
        )


def is_open(connection: Connection, draft: Draft) -> bool:
    """Whether the incident of a draft is open."""
    if draft.incident_id is None:
        return False
    found = incidents.find(connection, draft.incident_id)
    return found is not None and Status(found.status).is_open


def fed_alerts(connection: Connection, draft_id: int) -> list[FedAlert]:
    """The alerts of a draft, in the order in which they fired; at most a hundred."""
    return [_fed(one, heard_at) for one, heard_at in drafts.list_fed(connection, draft_id)]


def _waiting(connection: Connection, draft_id: int) -> Draft:
    found = drafts.find(connection, draft_id, lock=True)
    if found is None:
        raise NotFound(f"there is no draft {draft_id}")
    if found.state is not DraftState.WAITING:
        raise Conflict(f"draft {draft_id} is {found.state} already")
    return found


def _began(connection: Connection, draft: Draft, now: datetime) -> datetime:
    fired = drafts.first_fired(connection, draft.id) or draft.opened_at
    return min(max(fired, now - _LONGEST_UNNOTICED), now)


def _fed(one: Fed, heard_at: datetime | None) -> FedAlert:
    over = not is_firing(one.fired_at, one.cleared_at)
    return FedAlert(
        integration=one.integration,
        facts=Facts.read(one.facts),
        fired_at=one.fired_at,
        over=over,
        # A position: of a tool that tells starts, it is the start of what has ended.
        over_at=one.cleared_at if one.cleared_at > one.fired_at else None,
        heard_at=heard_at,
        acknowledged=one.acknowledged_at >= one.fired_at,
        silent=one.silent and not over,
    )
