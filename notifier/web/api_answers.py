"""What the write API answers. The names are a promise, as in `notifier.web.api_models`.

The order of the fields is the order on the wire: impact, expected duration, explanation.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, Field

from notifier.domain import suppression
from notifier.domain.delivery import State
from notifier.domain.incident import Severity, Status
from notifier.domain.notice import Between, Duration, LatestBy, Notice, NotKnown, Over
from notifier.domain.plan import Reason
from notifier.services.reports import IncidentReport, MailReport, PostReport, UpdateReport
from notifier.store.ledger import DeliveryRow
from notifier.store.suppressions import Suppression as SuppressionRow


class MessageState(StrEnum):
    """How a post, or an e-mail as a whole, stands."""

    PLANNED = "planned"
    SENDING = "sending"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


# Programs are promised six states; `reason` says what is finer: whether an operator cancelled
# it or a newer update took its place.
_SHOWN: Mapping[State, MessageState] = {
    State.PLANNED: MessageState.PLANNED,
    State.SENDING: MessageState.SENDING,
    State.UNKNOWN: MessageState.UNKNOWN,
    State.ACCEPTED: MessageState.ACCEPTED,
    State.REJECTED: MessageState.REJECTED,
    State.DELIVERED: MessageState.ACCEPTED,
    State.BOUNCED: MessageState.REJECTED,
    State.COMPLAINED: MessageState.ACCEPTED,
    State.SUPERSEDED: MessageState.CANCELLED,
    State.CANCELLED: MessageState.CANCELLED,
}


class Post(BaseModel):
    """One public post. `link` is null until it is published."""

    channel: str
    state: MessageState
    text: str
    link: str | None
    reason: str | None = Field(description="Why it was not sent, or is tried again.")

    @classmethod
    def of(cls, post: PostReport) -> Self:
        """As the services report it."""
        return cls(
            channel=post.channel,
            state=_SHOWN[post.state],
            text=post.text,
            link=post.link or None,
            reason=post.reason or None,
        )


class Email(BaseModel):
    """The e-mail of one update. When nobody can be mailed, `scheduled_for` and `state` are null.

    `counts` has one entry for each state that any reader's copy is in.
    """

    scheduled_for: datetime | None
    recipients: int
    state: MessageState | None
    reason: str = Field(description="Why it leaves then, why it does not, or why there is none.")
    counts: dict[State, int]

    @classmethod
    def of(cls, mail: MailReport | None) -> Self:
        """As the services report it."""
        if mail is None:
            # The plan of an update has no mail for this reason only: a mail channel there is.
            return cls(
                scheduled_for=None, recipients=0, state=None, reason=Reason.NO_READERS, counts={}
            )
        return cls(
            scheduled_for=mail.scheduled_for,
            recipients=mail.recipients,
            state=_SHOWN[mail.state],
            reason=mail.reason or mail.why,
            counts=dict(mail.states),
        )


class Receipt(BaseModel):
    """What a declaration or an update set in motion. `update` counts from 1 in the incident."""

    id: int
    reference: str
    status: Status
    url: str
    update: int
    posts: list[Post]
    email: Email

    @classmethod
    def of(cls, report: IncidentReport, update: UpdateReport) -> Self:
        """What became of one update, as it stands now."""
        return cls(
            id=report.incident.id,
            reference=report.incident.reference,
            status=update.update.status,
            url=report.url,
            update=update.update.number,
            posts=[Post.of(post) for post in update.posts],
            email=Email.of(update.mail),
        )


class PublishedDuration(BaseModel):
    """How long to expect it; with `over`, from when to when it lasted."""

    from_: datetime | None = Field(None, serialization_alias="from")
    until: datetime | None = None
    unknown: bool = False
    over: bool = False

    @classmethod
    def of(cls, duration: Duration) -> Self:
        """The same, in the words of the API."""
        match duration:
            case Between(start, end):
                return cls(from_=start, until=end)
            case LatestBy(end):
                return cls(until=end)
            case NotKnown():
                return cls(unknown=True)
            case Over(start, end):
                return cls(from_=start, until=end, over=True)


class NoticeWords(BaseModel):
    """What readers are told."""

    impact: str
    expected_duration: PublishedDuration
    explanation: str
    next_update_by: datetime | None

    @classmethod
    def of(cls, notice: Notice) -> Self:
        """The same, in the words of the API."""
        return cls(
            impact=notice.impact,
            expected_duration=PublishedDuration.of(notice.duration),
            explanation=notice.explanation,
            next_update_by=notice.next_update_by,
        )


class Update(BaseModel):
    """One published update with its messages. `edited` is the e-mail's text where it differs."""

    number: int
    status: Status
    published_at: datetime
    published_by: str
    notice: NoticeWords
    posts: list[Post]
    email: Email
    edited: NoticeWords | None

    @classmethod
    def of(cls, report: UpdateReport) -> Self:
        """As the services report it."""
        mail = report.mail
        return cls(
            number=report.update.number,
            status=report.update.status,
            published_at=report.update.published_at,
            published_by=report.update.published_by,
            notice=NoticeWords.of(report.update.notice),
            posts=[Post.of(post) for post in report.posts],
            email=Email.of(mail),
            edited=NoticeWords.of(mail.notice) if mail and mail.edited else None,
        )


class Incident(Receipt):
    """An incident as it stands: the receipt of its newest update, and all of them."""

    title: str
    severity: Severity
    components: list[str]
    started_at: datetime
    resolved_at: datetime | None
    updates: list[Update] = Field(description="The newest first.")

    @classmethod
    def whole(cls, report: IncidentReport) -> Self:
        """Everything said about it."""
        newest = Receipt.of(report, report.latest)
        return cls(
            **dict(newest),
            title=report.incident.title,
            severity=report.incident.severity,
            components=[component.slug for component in report.components],
            started_at=report.incident.started_at,
            resolved_at=report.incident.resolved_at,
            updates=[Update.of(update) for update in report.updates],
        )


class Delivery(BaseModel):
    """One reader's copy of one e-mail."""

    id: str
    external_id: str
    address: str
    channel: str
    state: State
    reference: str | None = Field(description="The provider's own id for it.")
    reason: str | None
    claimed_at: datetime
    settled_at: datetime | None

    @classmethod
    def of(cls, row: DeliveryRow) -> Self:
        """A line of the ledger. Its id is the one that travelled with the message."""
        return cls(
            id=f"{row.dispatch_id}-{row.seq}",
            external_id=row.external_id,
            address=row.address,
            channel=row.channel,
            state=row.state,
            reference=row.reference or None,
            reason=row.reason or None,
            claimed_at=row.claimed_at,
            settled_at=row.settled_at,
        )


class Deliveries(BaseModel):
    """A page of the ledger. `next_cursor` is null on the last one."""

    deliveries: list[Delivery]
    next_cursor: str | None


class Component(BaseModel):
    """A component as it is kept now."""

    slug: str
    name: str
    group: str
    position: int


class Customer(BaseModel):
    """A customer as kept now."""

    external_id: str
    email: str
    name: str
    language: str
    time_zone: str
    components: list[str]
    priority: bool


class Suppression(BaseModel):
    """An address that gets no mail. `until` is null when it gets none for ever."""

    address: str
    reason: suppression.Reason
    detail: str
    source: str = Field(description="Who said so: a provider, a person or a program.")
    created_at: datetime
    until: datetime | None

    @classmethod
    def of(cls, row: SuppressionRow) -> Self:
        """As kept now."""
        return cls(
            address=row.address,
            reason=row.reason,
            detail=row.detail,
            source=row.source,
            created_at=row.created_at,
            until=row.until,
        )


class Suppressions(BaseModel):
    """A page of the list. `next_cursor` is null on the last one."""

    suppressions: list[Suppression]
    next_cursor: str | None


class FieldError(BaseModel):
    """One field that is wrong."""

    field: str
    message: str


class Problem(BaseModel):
    """Why nothing was changed (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = Field(description="One sentence; where a field is wrong, it names the field.")
    errors: list[FieldError] | None = None
