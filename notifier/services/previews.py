"""What publishing a draft would send, to whom and when. Nothing is written, nothing leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from notifier.domain.incident import Severity, Status
from notifier.domain.message import GREETING, UNSUBSCRIBE, Mail
from notifier.domain.notice import Announcement, Notice
from notifier.domain.plan import Audience, Dispatch, MailTime, Plan, mail_time, plan
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.store import incidents, outbox, people
from notifier.store.incidents import Incident
from notifier.store.people import Component


@dataclass(frozen=True, slots=True)
class Draft:
    """What an operator is writing. `incident` is None while it is still to be declared.

    `components` are slugs; unknown ones count for nothing.
    """

    title: str
    severity: Severity
    status: Status
    components: Sequence[str]
    notice: Notice
    mail: MailTime
    incident: Incident | None = None


@dataclass(frozen=True, slots=True)
class PostPreview:
    """A post as it would read. `length` and `limit` are as the channel measures.

    `problem` says why there can be none; then `text` is "".
    """

    channel: str
    text: str
    length: int
    limit: int
    shortened: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class MailPreview:
    """The mail as a customer who reads the site's language in the site's zone would get it."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What publishing would do.

    `leaves_at` is when the mail would leave, None when nobody would get one; `why` says why
    then, or why there is none. `usually_at` is when it would leave were nothing asked.
    `unsubscribed` customers are affected but asked for no mail; to the address of `suppressed`
    ones none is sent, because it came back or was complained of.
    """

    posts: tuple[PostPreview, ...]
    mail: MailPreview
    leaves_at: datetime | None
    why: str
    usually_at: datetime
    reachable: int
    unsubscribed: int
    suppressed: int


def preview(n: Notifier, draft: Draft) -> Preview:
    """What publishing `draft` now would do."""
    now = n.clock()
    with n.db.read() as connection:
        components = people.list_components(connection, slugs=draft.components)
        counts = people.count_readers(connection, [c.id for c in components], now=now)
        said = _announcement(n, connection, draft, components, now)
        waiting = outbox.waiting_mails(connection, draft.incident.id) if draft.incident else []
    delay = n.settings.email.delay(draft.severity)
    usually_at, _ = mail_time(
        status=draft.status, default_delay=delay, asked=MailTime(), waiting=waiting, now=now
    )
    planned = plan(
        status=draft.status,
        default_delay=delay,
        asked=draft.mail,
        audience=Audience(tuple(n.posts), counts["reachable"] > 0, waiting),
        now=now,
    )
    mail, why = _mail_of(planned)
    return Preview(
        posts=tuple(_post(n, d.channel, said) for d in planned.dispatches if d.lane == "post"),
        mail=_mail(n, said),
        leaves_at=mail.due_at if mail else None,
        why=why,
        usually_at=usually_at,
        reachable=counts["reachable"],
        unsubscribed=counts["unsubscribed"],
        suppressed=counts["suppressed"],
    )


def preview_mail(n: Notifier, draft: Draft) -> MailPreview:
    """Only the mail of `draft`."""
    with n.db.read() as connection:
        components = people.list_components(connection, slugs=draft.components)
        said = _announcement(n, connection, draft, components, n.clock())
    return _mail(n, said)


def _announcement(
    n: Notifier,
    connection: Connection,
    draft: Draft,
    components: Sequence[Component],
    now: datetime,
) -> Announcement:
    reference, number = _next_number(connection, draft.incident)
    return Announcement(
        reference=reference,
        number=number,
        title=draft.title,
        severity=draft.severity,
        status=draft.status,
        notice=draft.notice,
        published_at=now,
        components=tuple(c.name for c in components),
        url=f"{n.settings.base_url}/incidents/{reference}",
    )


def _next_number(connection: Connection, incident: Incident | None) -> tuple[str, int]:
    """(reference, number) the draft will get, unless somebody else publishes first."""
    if incident:
        return incident.reference, incidents.list_updates(connection, incident.id)[0].number + 1
    newest = incidents.list_incidents(connection, limit=1)
    return f"INC-{newest[0].id + 1 if newest else 1}", 1


def _mail_of(planned: Plan) -> tuple[Dispatch | None, str]:
    for dispatch in planned.dispatches:
        if dispatch.lane == "mail":
            return dispatch, dispatch.why
    return None, next((s.why for s in planned.skips if s.lane == "mail"), "")


def _post(n: Notifier, name: str, said: Announcement) -> PostPreview:
    channel = n.posts[name]
    try:
        text = n.renderer.post(said, limit=channel.limit, measure=channel.measure)
    except Invalid as error:
        return PostPreview(name, "", 0, channel.limit, shortened=False, problem=error.reason)
    return PostPreview(
        channel=name,
        text=text,
        length=channel.measure(text),
        limit=channel.limit,
        shortened=_flat(said.notice.impact) not in _flat(text),
    )


def _flat(text: str) -> str:
    """Text without its line breaks, which a post does not keep."""
    return " ".join(text.split())


def _mail(n: Notifier, said: Announcement) -> MailPreview:
    site = n.settings.site
    mail = n.renderer.mail(said, language=site.language, zone=site.zone)
    return MailPreview(mail.subject, _spliced(mail, mail.text), _spliced(mail, mail.html))


def _spliced(mail: Mail, text: str) -> str:
    """The mail's slots filled for nobody in particular."""
    return text.replace(GREETING, mail.greeting_plain).replace(UNSUBSCRIBE, "#")
