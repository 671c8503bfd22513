"""From what we know to what people read: words, icons and times on pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from flask import Flask
from markupsafe import Markup, escape

from notifier.domain import suppression
from notifier.domain.alerting import AUTOMATON, DraftState, Estimate
from notifier.domain.delivery import SETTLED, State
from notifier.domain.health import Breaker, Rate
from notifier.domain.incident import Severity, Status
from notifier.domain.notice import Over
from notifier.domain.signal import safe_url
from notifier.ports import Notifier
from notifier.rendering import times
from notifier.services.drafts import FedAlert
from notifier.services.health import ChannelReport, in_trouble
from notifier.services.pausing import look, paused
from notifier.services.previews import Preview
from notifier.services.reports import IncidentReport, MailReport, PostReport, UpdateReport
from notifier.services.settling import count_unknown
from notifier.store import drafts
from notifier.store.drafts import Draft
from notifier.web.assets import asset
from notifier.web.context import current_session

#: How soon customers are owed the next word (practice of Atlassian and GOV.UK: 30 min for the
#: worst, never more than two hours).
NEXT_UPDATE: Mapping[Severity, timedelta] = {
    Severity.CRITICAL: timedelta(minutes=30),
    Severity.MAJOR: timedelta(minutes=60),
    Severity.MINOR: timedelta(minutes=120),
}

SEVERITIES: Mapping[Severity, tuple[str, str]] = {
    Severity.MINOR: ("Minor", "Some customers notice it"),
    Severity.MAJOR: ("Major", "Many cannot use it"),
    Severity.CRITICAL: ("Critical", "Nobody can use it, or it is dangerous"),
}

STATUSES: Mapping[Status, tuple[str, str]] = {
    Status.INVESTIGATING: ("Investigating", "The cause is not known yet"),
    Status.IDENTIFIED: ("Identified", "The cause is known, the work goes on"),
    Status.MONITORING: ("Monitoring", "Repaired; we watch whether it holds"),
    Status.RESOLVED: ("Resolved", "It is over"),
    Status.POSTMORTEM: ("Review", "What we learned"),
}

CHANNELS: Mapping[str, str] = {"x": "X", "console_post": "Console"}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a message stands, for people: an icon, a word and a colour; and what to do next."""

    icon: str
    tone: str
    word: str
    advice: str = ""


_POSTS: Mapping[State, Standing] = {
    State.PLANNED: Standing("clock", "waiting", "Waiting to be posted"),
    State.SENDING: Standing("clock", "waiting", "Being posted"),
    State.ACCEPTED: Standing("check", "good", "Posted"),
    State.UNKNOWN: Standing(
        "question",
        "unsure",
        "Not certain",
        "Look at the account, then say what you found.",
    ),
    State.REJECTED: Standing(
        "cross",
        "bad",
        "Refused, not posted",
        "Post it by hand, or remove the cause and post an update.",
    ),
    State.SUPERSEDED: Standing("skip", "quiet", "Not posted, a newer update replaced it"),
    State.CANCELLED: Standing("skip", "quiet", "Cancelled"),
}

_MAILS: Mapping[State, Standing] = {
    State.PLANNED: Standing("clock", "waiting", "Waiting"),
    State.SENDING: Standing("clock", "waiting", "Leaving now"),
    State.ACCEPTED: Standing("check", "good", "Sent"),
    State.UNKNOWN: Standing(
        "question",
        "unsure",
        "Not certain",
        "The answer of the mail service was lost. Look there, then say what you found.",
    ),
    State.REJECTED: Standing(
        "cross",
        "bad",
        "Refused, not sent",
        "Remove the cause, then post an update: it is mailed to the same customers.",
    ),
    State.SUPERSEDED: Standing("skip", "quiet", "Not sent, a newer update replaced it"),
    State.CANCELLED: Standing("skip", "quiet", "Cancelled, nobody got it"),
}

#: States of readers who did not get their mail, or perhaps did not.
LOST = (State.REJECTED, State.UNKNOWN, State.BOUNCED)

#: One reader's state, in the table of counts.
READERS: Mapping[State, str] = {
    State.PLANNED: "will be tried again",
    State.SENDING: "on the way",
    State.ACCEPTED: "taken by the mail service",
    State.UNKNOWN: "not certain",
    State.REJECTED: "refused",
    State.DELIVERED: "delivered",
    State.BOUNCED: "came back",
    State.COMPLAINED: "reported as unwanted",
    State.SUPERSEDED: "replaced",
    State.CANCELLED: "cancelled",
}


#: Why an address gets no mail.
SUPPRESSED: Mapping[suppression.Reason, str] = {
    suppression.Reason.BOUNCE: "Came back: there is no such mailbox",
    suppression.Reason.BLOCKED: "Refused for the time being",
    suppression.Reason.DROPPED: "The mail service does not send to it",
    suppression.Reason.COMPLAINT: "Its reader reported our mail as unwanted",
    suppression.Reason.MANUAL: "Put here by hand",
}


def channel_standing(found: ChannelReport) -> Standing:
    """How a channel does."""
    if found.breaker is Breaker.OPEN:
        return Standing("cross", "bad", "Does not work")
    if found.breaker is Breaker.HALF_OPEN:
        return Standing("question", "unsure", "Being tried again")
    if found.blocked_until:
        return Standing("clock", "waiting", "Asked us to wait")
    if found.silent:
        return Standing("question", "unsure", "Takes mail and tells nothing of it")
    return Standing("check", "good", "Works")


_DRAFTS: Mapping[DraftState, Standing] = {
    DraftState.WAITING: Standing("clock", "waiting", "Waiting"),
    DraftState.POSTED: Standing("check", "good", "Posted"),
    DraftState.DISMISSED: Standing("skip", "quiet", "Dismissed"),
    DraftState.WITHDRAWN: Standing("skip", "quiet", "Withdrawn"),
}


def draft_standing(draft: Draft) -> Standing:
    """What became of a draft."""
    return _DRAFTS[draft.state]


def draft_fate(draft: Draft) -> str:
    """The same in one sentence; "" while it waits."""
    if draft.state is DraftState.POSTED:
        return _posted_by(draft)
    if draft.state is DraftState.DISMISSED:
        return f"{draft.decided_by} dismissed it."
    if draft.state is DraftState.WITHDRAWN and draft.recovered:
        return "Its alerts were over before anybody had posted it."
    if draft.state is DraftState.WITHDRAWN:
        return "Its tools reported it no longer, before anybody had posted it."
    return ""


def _posted_by(draft: Draft) -> str:
    reference = f"INC-{draft.incident_id}"
    if not draft.decided_by:
        return f"Its alerts belong to {reference}, which was declared before."
    if draft.decided_by == AUTOMATON:
        return f"It posted itself as {reference}."
    return f"{draft.decided_by} posted it as {reference}."


def alert_standing(alert: FedAlert) -> Standing:
    """How an alert stands, as far as its tool says."""
    if alert.silent:
        return Standing("question", "unsure", "No longer reported")
    if alert.over:
        return Standing("check", "good", "Over")
    return Standing("alert", "major", "Fires")


def estimate_words(expected: Estimate | None) -> str:
    """How long such things took, with how much is known of it."""
    if expected is None:
        return "not known yet"
    return (
        f"half of {expected.past} past disruptions took up to {_span(expected.median)},"
        f" 80% up to {_span(expected.p80)}"
    )


def _span(length: timedelta) -> str:
    hours, minutes = divmod(length // timedelta(minutes=1), 60)
    units = ((hours, "h"), (minutes, "min"))
    return " ".join(f"{count:,} {unit}" for count, unit in units if count)


def rate_words(rate: Rate) -> str:
    """A rate in words: `100 in 15 minutes`, `500 a second`."""
    minutes = rate.per // timedelta(minutes=1)
    return f"{rate.messages:,} " + (f"in {minutes} minutes" if minutes else "a second")


def post_standing(post: PostReport) -> Standing:
    """How a post stands."""
    return _POSTS[post.state]


def mail_standing(mail: MailReport) -> Standing:
    """How a mail stands; one that reached only some readers says so."""
    lost = count_lost(mail)
    if mail.state is State.ACCEPTED and lost:
        return Standing("question", "unsure", f"Sent, but perhaps not to {lost:,}")
    if mail.state is State.CANCELLED and mail.states:
        return Standing("skip", "quiet", "Not sent again")
    return _MAILS[mail.state]


def count_lost(mail: MailReport) -> int:
    """How many readers did not get a mail, or perhaps did not."""
    return sum(mail.states.get(state, 0) for state in LOST)


def has_waiting(report: IncidentReport) -> bool:
    """Whether a message of this incident has still to leave, for all or for some readers."""
    waiting = (State.PLANNED, State.SENDING)
    messages = [m for u in report.updates for m in (*u.posts, u.mail) if m]
    return any(message.state in waiting for message in messages)


def poll_seconds(report: IncidentReport, now: datetime) -> int:
    """How soon the receipt should look again; 0 when nothing will change by itself."""
    return min((s for u in report.updates for s in _changes_in(u, now)), default=0)


def _changes_in(update: UpdateReport, now: datetime) -> Iterator[int]:
    """In how many seconds a message of this update may stand otherwise."""
    mail = update.mail
    if any(p.state not in SETTLED for p in update.posts) or (mail and mail.state is State.SENDING):
        yield 1
    if mail and mail.state is State.PLANNED:
        # It may also be changed by a colleague, so that far ahead is not never.
        yield 5 if mail.scheduled_for < now + timedelta(minutes=5) else 60


def publish_label(n: Notifier, preview: Preview) -> str:
    """What the button says it will do."""
    now = n.clock()
    if preview.leaves_at is None:
        return "Post now (nobody to e-mail)"
    if preview.leaves_at <= now:
        return "Post now and send the e-mail at once"
    clock = clock_time(preview.leaves_at, now=now, zone=n.settings.site.zone)
    return f"Post now and schedule the e-mail for {clock}"


def usual_label(n: Notifier, preview: Preview) -> str:
    """When the mail leaves if nothing is asked."""
    now = n.clock()
    if preview.usually_at <= now:
        return "leaves at once"
    return f"leaves {clock_time(preview.usually_at, now=now, zone=n.settings.site.zone)}"


def clock_time(instant: datetime, *, now: datetime, zone: ZoneInfo) -> str:
    """The time alone where it is today's, else with its day."""
    local = instant.astimezone(zone)
    same_day = local.date() == now.astimezone(zone).date()
    return f"{local:%H:%M}" if same_day else times.short(instant, zone)


def add_words(app: Flask, n: Notifier) -> None:
    """Give templates the words they share."""
    zone = n.settings.site.zone

    def at(instant: datetime) -> Markup:
        """A time in full, with date, zone and offset."""
        words = escape(times.full(instant, zone))
        return Markup('<time datetime="{}">{}</time>').format(instant.isoformat(), words)

    app.jinja_env.filters |= {
        "at": at,
        "clock_time": lambda instant: clock_time(instant, now=n.clock(), zone=zone),
        "duration": n.renderer.duration,
        "paragraphs": _paragraphs,
        "channel": lambda name: CHANNELS.get(name, name),
        "channel_standing": channel_standing,
        "draft_standing": draft_standing,
        "draft_fate": draft_fate,
        "alert_standing": alert_standing,
        "estimate": estimate_words,
        "safe_url": safe_url,
        "rate": rate_words,
        "post_standing": post_standing,
        "mail_standing": mail_standing,
        "count_lost": count_lost,
        "has_waiting": has_waiting,
    }
    app.jinja_env.tests["over"] = lambda duration: isinstance(duration, Over)
    app.jinja_env.globals |= {
        "asset": asset,
        "site": n.settings.site,
        "signed_in": current_session,
        "severities": SEVERITIES,
        "statuses": STATUSES,
        "readers": READERS,
        "channels_in_trouble": lambda: in_trouble(n),
        "count_unknown": lambda: count_unknown(n),
        "count_drafts": lambda: _count_drafts(n),
        "count_waiting": lambda: look(n).messages,
        "paused": lambda: paused(n),
        "why_suppressed": SUPPRESSED,
        "zone_name": lambda: _zone_name(n),
    }


def _count_drafts(n: Notifier) -> int:
    with n.db.read() as connection:
        return drafts.count_waiting(connection)


def _zone_name(n: Notifier) -> str:
    """The site's zone with its offset, for labels of fields: `Asia/Karachi, UTC+05:00`."""
    offset = n.clock().astimezone(n.settings.site.zone).isoformat()[-6:]
    return f"{n.settings.site.time_zone}, UTC{offset}"


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in text.split("\n\n") if part.strip()]
