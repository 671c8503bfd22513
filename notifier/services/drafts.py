"""Drafts for operators: what is proposed in which words, and deciding on it."""

from __future__ import annotations

from dataclasses import dataclass
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
from notifier.domain.plan import MailTime
from notifier.ports import Notifier
from notifier.services.incidents import Conflict, Declaration, Expected, NotFound, Words
from notifier.store import drafts, incidents, integrations, people
from notifier.store.drafts import Draft, Fed
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
    #: None: it fires. For one that is `silent`, nobody knows.
    cleared_at: datetime | None
    acknowledged: bool
    silent: bool


@dataclass(frozen=True, slots=True)
class Proposal:
    """A draft in words that may be posted: approved ones, or our own; never the tool's.

    `expected` is None where too little is known of the past.
    """

    draft: Draft
    component: Component | None
    severity: Severity
    title: str
    impact: str
    explanation: str
    expected: Estimate | None
    next_update_by: datetime
    alerts: list[FedAlert]
    #: How many there are; `alerts` are the first hundred.
    alerts_count: int


def proposal(connection: Connection, draft: Draft, now: datetime) -> Proposal:
    """What a draft proposes."""
    preset = integrations.find_preset(connection, draft.preset_id)
    component = _component(connection, draft.component_id)
    named = component.name if component else "our service"
    past: list[timedelta] = []
    if component:
        past = integrations.past_durations(connection, component.id, limit=PAST_MAX)
    return Proposal(
        draft=draft,
        component=component,
        severity=draft.severity,
        title=preset.title if preset else _TITLE.format(component=named),
        impact=preset.impact if preset else _IMPACT.format(component=named),
        explanation=preset.explanation if preset else _EXPLANATION,
        expected=estimate(past),
        next_update_by=first_update_by(draft.severity, now),
        alerts=[_fed(one) for one in drafts.list_fed(connection, draft.id)],
        alerts_count=drafts.count(connection, draft.id).all,
    )


def get(connection: Connection, draft_id: int) -> Draft:
    """The draft of this id. Raises NotFound."""
    found = drafts.find(connection, draft_id)
    if found is None:
        raise NotFound(f"there is no draft {draft_id}")
    return found


def declaration(n: Notifier, draft_id: int, *, automatic: bool = False) -> Declaration:
    """A draft as it would be posted with one press.

    Raises NotFound, or Conflict when somebody has decided on it, or when it has no component.
    """
    now = n.clock()
    with n.db.read() as connection:
        made = proposal(connection, get(connection, draft_id), now)
    if made.draft.state is not DraftState.WAITING:
        raise Conflict(f"draft {draft_id} is {made.draft.state} already")
    if made.component is None:
        raise Conflict(f"draft {draft_id} has no component: edit it and choose one")
    if automatic and made.draft.auto_at is None:
        raise Conflict(f"draft {draft_id} was stopped")
    began = min((one.fired_at for one in made.alerts), default=made.draft.opened_at)
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
        started_at=min(max(began, now - _LONGEST_UNNOTICED), now),
        draft_id=draft_id,
    )


def expected(made: Proposal, now: datetime) -> Expected:
    """The proposed duration as a declaration takes it."""
    if made.expected is None:
        return Expected(unknown=True)
    return Expected(start=now + made.expected.median, until=now + made.expected.p80)


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
    return [_fed(one) for one in drafts.list_fed(connection, draft_id)]


def _waiting(connection: Connection, draft_id: int) -> Draft:
    found = drafts.find(connection, draft_id, lock=True)
    if found is None:
        raise NotFound(f"there is no draft {draft_id}")
    if found.state is not DraftState.WAITING:
        raise Conflict(f"draft {draft_id} is {found.state} already")
    return found


def _component(connection: Connection, component_id: int | None) -> Component | None:
    if component_id is None:
        return None
    return next((c for c in people.list_components(connection) if c.id == component_id), None)


def _fed(one: Fed) -> FedAlert:
    over = not is_firing(one.fired_at, one.cleared_at)
    return FedAlert(
        integration=one.integration,
        facts=Facts.read(one.facts),
        fired_at=one.fired_at,
        cleared_at=one.cleared_at if over else None,
        acknowledged=one.acknowledged_at >= one.fired_at,
        silent=one.silent and not over,
    )
