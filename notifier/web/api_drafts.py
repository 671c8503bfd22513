"""The write API's drafts: what the monitoring proposes to say, and deciding on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from flask import Response
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from notifier.domain.access import Role
from notifier.domain.alerting import DraftState
from notifier.domain.alerting import Estimate as EstimateRow
from notifier.domain.incident import Severity
from notifier.domain.text import Invalid
from notifier.services import drafts as service
from notifier.services.drafts import FedAlert, Outline
from notifier.services.incidents import Conflict, declare
from notifier.store import drafts as store
from notifier.web import api_answers
from notifier.web.api import receipt
from notifier.web.api_alert_models import DraftPath, DraftsQuery
from notifier.web.api_answers import NoticeWords
from notifier.web.api_blueprint import READS, answer, make_blueprint, problems, sentence
from notifier.web.auth import access
from notifier.web.context import current_actor, notifier_of_app
from notifier.web.problems import problem

PAGE = 100

blueprint = make_blueprint("api_drafts", __name__)

_TAGS = [Tag(name="drafts", description="What the monitoring proposes to say.")]
_ONE = "/drafts/<id>"
_DECIDES = {**READS, **problems(409)}


class Estimate(BaseModel):
    """How long the last disruptions of the component took: half of them at most the median."""

    median_minutes: int
    p80_minutes: int = Field(description="Four of five took at most so long.")
    past: int = Field(description="Of how many disruptions this is said.")

    @classmethod
    def of(cls, found: EstimateRow) -> Self:
        """As the domain estimates it."""
        return cls(
            median_minutes=int(found.median.total_seconds()) // 60,
            p80_minutes=int(found.p80.total_seconds()) // 60,
            past=found.past,
        )


class Draft(BaseModel):
    """What is proposed, and what became of it. `notice` is what would be said, were it posted now.

    Its words are approved ones or ours, and never a tool's.
    """

    id: int
    state: DraftState
    component: str | None = Field(description="null: no rule knows, so an operator has to say.")
    severity: Severity
    title: str
    notice: NoticeWords
    estimate: Estimate | None = Field(description="null: too little is known of the past.")
    opened_at: datetime
    quiet_since: datetime | None = Field(description="Since when none of its alerts fires.")
    recovered: bool = Field(description="Whether that is because all tools said that it is over.")
    relapses: int = Field(description="How often it was over and fired again.")
    posts_itself_at: datetime | None = Field(description="null: only when somebody posts it.")
    stopped: str | None = Field(description="Why it does not post itself although a rule says so.")
    decided_by: str | None
    decided_at: datetime | None
    incident: int | None
    alerts_count: int

    @classmethod
    def of(cls, made: Outline) -> Self:
        """As the services propose it."""
        return cls(**_values(made))


class Drafts(BaseModel):
    """A page of drafts, the newest first. `next_cursor` is null on the last one."""

    drafts: list[Draft]
    next_cursor: str | None

    @classmethod
    def read(
        cls,
        connection: Connection,
        now: datetime,
        *,
        state: DraftState | None,
        before: int | None = None,
    ) -> Self:
        """Those in a state, or all, that were made before another one."""
        rows = store.list_newest(connection, state=state, before=before, limit=PAGE + 1)
        made = service.outlines(connection, rows[:PAGE], now)
        return cls(
            drafts=[Draft.of(one) for one in made],
            next_cursor=str(rows[PAGE - 1].id) if len(rows) > PAGE else None,
        )


class AlertState(StrEnum):
    """How an alert stands."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    OVER = "over"
    NO_LONGER_REPORTED = "no_longer_reported"


class Alert(BaseModel):
    """An alert that fed a draft, in the tool's own words."""

    integration: str
    state: AlertState
    title: str
    description: str
    severity: str = Field(description="The tool's own word for it.")
    labels: dict[str, str]
    url: str | None = Field(description="Where the tool shows it.")
    fired_at: datetime
    over_at: datetime | None = Field(description="When that was, where the tool tells it.")
    heard_at: datetime | None = Field(
        description="When its tool last said something of it; null where it has fired anew since."
    )

    @classmethod
    def of(cls, fed: FedAlert) -> Self:
        """As the services list it."""
        return cls(
            integration=fed.integration,
            state=_state(fed),
            title=fed.facts.title,
            description=fed.facts.description,
            severity=fed.facts.severity,
            labels=dict(fed.facts.labels),
            url=fed.facts.url or None,
            fired_at=fed.fired_at,
            over_at=fed.over_at,
            heard_at=fed.heard_at,
        )


class WholeDraft(Draft):
    """A draft with the alerts that made it; the first hundred where there are more."""

    alerts: list[Alert]

    @classmethod
    def read(cls, connection: Connection, now: datetime, draft_id: int) -> Self:
        """As the services propose it. Raises NotFound."""
        made = service.proposal(connection, service.get(connection, draft_id), now)
        return cls(**_values(made), alerts=[Alert.of(fed) for fed in made.alerts])


@blueprint.errorhandler(Conflict)
def _conflict(error: Conflict) -> Response:
    return problem(409, "Nothing was changed", sentence(error))


@blueprint.get("/drafts", responses={"200": Drafts, **READS}, tags=_TAGS)
@access("token", role=Role.VIEWER)
def list_drafts(query: DraftsQuery) -> Response:
    """What the monitoring proposes or has proposed to say, 100 a page, the newest first."""
    n = notifier_of_app()
    before = _read_cursor(query.cursor)
    with n.db.read() as connection:
        return answer(Drafts.read(connection, n.clock(), state=query.state, before=before))


@blueprint.get(_ONE, responses={"200": WholeDraft, **READS}, tags=_TAGS)
@access("token", role=Role.VIEWER)
def get_draft(path: DraftPath) -> Response:
    """What is proposed, and why: every alert that fed it, with the link back."""
    return _draft(path.id)


@blueprint.post(f"{_ONE}/post", responses={"201": api_answers.Receipt, **_DECIDES}, tags=_TAGS)
@access("token", role=Role.PUBLISHER)
def post_draft(path: DraftPath) -> Response:
    """Declare what is proposed: posts leave at once, the e-mail when it is due."""
    n = notifier_of_app()
    return receipt(declare(n, service.declaration(n, path.id), by=current_actor().name))


@blueprint.post(f"{_ONE}/stop", responses={"200": WholeDraft, **_DECIDES}, tags=_TAGS)
@access("token", role=Role.PUBLISHER)
def stop_draft(path: DraftPath) -> Response:
    """Keep a draft from posting itself; it waits for an operator."""
    return _decide(service.stop, path.id)


@blueprint.post(f"{_ONE}/dismiss", responses={"200": WholeDraft, **_DECIDES}, tags=_TAGS)
@access("token", role=Role.PUBLISHER)
def dismiss_draft(path: DraftPath) -> Response:
    """Say nothing because of these alerts."""
    return _decide(service.dismiss, path.id)


def _decide(decide: Callable[..., None], draft_id: int) -> Response:
    decide(notifier_of_app(), draft_id, by=current_actor().name)
    return _draft(draft_id)


def _draft(draft_id: int) -> Response:
    n = notifier_of_app()
    with n.db.read() as connection:
        return answer(WholeDraft.read(connection, n.clock(), draft_id))


def _values(made: Outline) -> dict[str, Any]:
    draft = made.draft
    return {
        "id": draft.id,
        "state": draft.state,
        "component": made.component.slug if made.component else None,
        "severity": made.severity,
        "title": made.title,
        "notice": NoticeWords.of(made.notice),
        "estimate": Estimate.of(made.expected) if made.expected else None,
        "opened_at": draft.opened_at,
        "quiet_since": draft.quiet_since,
        "recovered": draft.recovered,
        "relapses": draft.relapses,
        "posts_itself_at": draft.auto_at,
        "stopped": draft.stopped or None,
        "decided_by": draft.decided_by or None,
        "decided_at": draft.decided_at,
        "incident": draft.incident_id,
        "alerts_count": made.alerts_count,
    }


def _state(fed: FedAlert) -> AlertState:
    if fed.over:
        return AlertState.OVER
    if fed.silent:
        return AlertState.NO_LONGER_REPORTED
    return AlertState.ACKNOWLEDGED if fed.acknowledged else AlertState.FIRING


def _read_cursor(cursor: str) -> int | None:
    """The id of the last draft on the page before; None for "", the beginning."""
    if not cursor:
        return None
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < len(str(2**63))):
        raise Invalid("cursor", "is not one that this API gave: take next_cursor of the last page")
    return int(cursor)
