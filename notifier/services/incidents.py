"""Declaring, updating and resolving: incident, update and outbox rows in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from notifier.domain.alerting import DraftState
from notifier.domain.incident import Severity, Status, may_follow
from notifier.domain.notice import Announcement, Duration, Notice, Over, expected_duration, notice
from notifier.domain.plan import Audience, Dispatch, MailTime, Skip, plan
from notifier.domain.text import TITLE_MAX, Invalid, line
from notifier.ports import Notifier
from notifier.services.posting import deliver_post, give_back_lanes, take_idle_lanes
from notifier.store import draft_posts, drafts, incidents, outbox, people
from notifier.store.db import take_turn
from notifier.store.incidents import Incident, Update
from notifier.store.outbox import Lease
from notifier.store.people import Component
from notifier.store.posts import ClaimedPost

_LONGEST_DELAY = timedelta(days=1)
_LONGEST_AHEAD = timedelta(days=30)
_LONGEST_AGO = timedelta(days=366)


class NotFound(LookupError):
    """There is no such thing. The message says which."""


class Conflict(RuntimeError):
    """The request was fine once, but not any more. The message says what changed."""


@dataclass(frozen=True, slots=True)
class Expected:
    """An expected duration as it was given; `domain.notice` decides what it means."""

    start: datetime | None = None
    until: datetime | None = None
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """What an operator says in one update."""

    impact: str
    expected: Expected
    explanation: str
    next_update_by: datetime | None
    mail: MailTime = field(default_factory=MailTime)


@dataclass(frozen=True, slots=True)
class Declaration:
    """A new disruption. `components` are slugs; `started_at` is None for "just now".

    `draft_id` names the draft it was made of, which nobody may have decided on before.
    `by_itself`: nobody pressed, so it has to be what still posts itself, and now.
    """

    title: str
    severity: Severity
    components: Sequence[str]
    words: Words
    started_at: datetime | None = None
    draft_id: int | None = None
    by_itself: bool = False


@dataclass(frozen=True, slots=True)
class RepeatGuard:
    """Identity of a request that may be sent twice (Idempotency-Key, or a form's hidden key)."""

    actor: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Published:
    """What was published. `skips` says which messages there will not be, and why.

    `leaving` are the posts, by channel, that this process claimed in the same transaction.
    """

    incident: Incident
    update: Update
    skips: tuple[Skip, ...] = ()
    repeated: bool = False
    leaving: Mapping[str, ClaimedPost] = field(default_factory=dict)


def declare(
    n: Notifier, declaration: Declaration, *, by: str, guard: RepeatGuard | None = None
) -> Published:
    """Publish a new disruption. Raises Invalid naming the field, or Conflict."""
    now = n.clock()
    title = line("title", declaration.title, limit=TITLE_MAX)
    told = _notice(declaration.words, Status.INVESTIGATING, _expected(declaration.words, now), now)
    started_at = _started(declaration.started_at, now)
    check_mail_time(declaration.words.mail, now)
    with n.db.transaction() as connection:
        # A draft for these components that is just being opened must be there to be adopted.
        take_turn(connection, "alerts")
        if guard and (repeated := _repeated(connection, guard)):
            return repeated
        _check_draft(connection, declaration, now)
        leases = take_idle_lanes(n, connection, now=now)
        components = _components(connection, declaration.components)
        incident = incidents.add_incident(
            connection,
            title=title,
            severity=declaration.severity,
            status=Status.INVESTIGATING,
            component_ids=[c.id for c in components],
            started_at=started_at,
            now=now,
        )
        draft_posts.adopt(
            connection,
            draft_id=declaration.draft_id,
            incident_id=incident.id,
            by=by,
            now=now,
        )
        published = _publish(
            n,
            connection,
            incident,
            components,
            told,
            _Order(by, now, declaration.words.mail, guard, leases),
        )
        n.failpoint("declare.before_commit")
    n.failpoint("declare.after_commit")
    _ring(n, published)
    return published


def post_update(
    n: Notifier,
    incident_id: int,
    status: Status,
    words: Words,
    *,
    by: str,
    guard: RepeatGuard | None = None,
) -> Published:
    """Publish the next update, or the end, of a disruption.

    An end needs no expected duration: how long it lasted is known. Raises NotFound, Invalid
    naming the field, or Conflict.
    """
    now = n.clock()
    check_mail_time(words.mail, now)
    with n.db.transaction() as connection:
        if guard and (repeated := _repeated(connection, guard)):
            return repeated
        leases = take_idle_lanes(n, connection, now=now)
        incident = incidents.find(connection, incident_id, lock=True)
        if incident is None:
            raise NotFound(f"there is no incident {incident_id}")
        if not may_follow(incident.status, status):
            raise Invalid("status", f"cannot become {status} while it is {incident.status}")
        ended_at = None if status.is_open else incident.resolved_at or now
        duration: Duration = (
            Over(incident.started_at, ended_at) if ended_at else _expected(words, now)
        )
        told = _notice(words, status, duration, now)
        incidents.set_status(connection, incident.id, status, resolved_at=ended_at)
        moved = replace(incident, status=status, resolved_at=ended_at)
        components = people.list_components(connection, incident_id=incident.id)
        published = _publish(
            n, connection, moved, components, told, _Order(by, now, words.mail, guard, leases)
        )
        n.failpoint("update.before_commit" if status.is_open else "resolve.before_commit")
    n.failpoint("update.after_commit" if status.is_open else "resolve.after_commit")
    _ring(n, published)
    return published


def announcement(
    n: Notifier, incident: Incident, update: Update, components: Sequence[Component]
) -> Announcement:
    """What the templates need to show an update."""
    return Announcement(
        reference=incident.reference,
        number=update.number,
        title=incident.title,
        severity=incident.severity,
        status=update.status,
        notice=update.notice,
        published_at=update.published_at,
        components=tuple(c.name for c in components),
        url=public_url(n, incident),
    )


def public_url(n: Notifier, incident: Incident) -> str:
    """Where everybody can read about an incident."""
    return f"{n.settings.base_url}/incidents/{incident.reference}"


def check_mail_time(asked: MailTime, now: datetime) -> None:
    """Refuse a time for a mail that cannot be meant. Raises Invalid."""
    if asked.at is not None and asked.delay is not None:
        raise Invalid("email", "takes delay_minutes or send_at, not both")
    if asked.delay is not None and not timedelta(0) <= asked.delay <= _LONGEST_DELAY:
        raise Invalid("email.delay_minutes", "must be from 0 to 1440")
    if asked.at is None:
        return
    if asked.at.utcoffset() is None:
        raise Invalid("email.send_at", "has no zone: write it as 2026-11-22T16:00:00+05:00")
    if not now - timedelta(minutes=1) <= asked.at <= now + _LONGEST_AHEAD:
        raise Invalid("email.send_at", "must be in the future, at most 30 days ahead")


@dataclass(frozen=True, slots=True)
class _Order:
    """Who publishes, when, and what they ask for beyond the words.

    `leases` are for the posts that leave from here at once, by channel.
    """

    by: str
    now: datetime
    asked: MailTime
    guard: RepeatGuard | None
    leases: Mapping[str, Lease]


def _publish(
    n: Notifier,
    connection: Connection,
    incident: Incident,
    components: Sequence[Component],
    told: Notice,
    order: _Order,
) -> Published:
    """Write the update and what it sets in motion."""
    by, asked, guard, now = order.by, order.asked, order.guard, order.now
    update = incidents.add_update(
        connection, incident_id=incident.id, status=incident.status, notice=told, now=now, by=by
    )
    waiting = _take_back_waiting(connection, incident, now) if update.number > 1 else []
    planned = plan(
        status=incident.status,
        default_delay=n.settings.email.delay(incident.severity),
        asked=asked,
        audience=Audience(
            posts=tuple(n.posts),
            has_readers=people.has_readers(connection, [c.id for c in components], now=now),
            waiting=waiting,
        ),
        now=now,
    )
    said = announcement(n, incident, update, components)
    leases = give_back_lanes(n, connection, order.leases, incident_id=incident.id, now=now)
    leaving: dict[str, ClaimedPost] = {}
    for dispatch in planned.dispatches:
        text = _post_text(n, dispatch, said)
        lease = leases.get(dispatch.channel) if text else None
        dispatch_id = outbox.add(
            connection,
            dispatch,
            incident_id=incident.id,
            update_id=update.id,
            priority=incident.severity.rank,
            text=text,
            now=now,
            lease=lease,
        )
        if text and lease:
            leaving[dispatch.channel] = ClaimedPost(
                dispatch_id,
                text,
                attempt=1,
                first_due=dispatch.due_at,
                fence=1,
                lease_until=lease.until,
            )
        else:
            _enlist(n, connection, dispatch, now)
    if guard:
        _remember(connection, guard, update.id, now)
    return Published(incident, update, planned.skips, leaving=leaving)


def _enlist(n: Notifier, connection: Connection, dispatch: Dispatch, now: datetime) -> None:
    """Have it rung for once it is committed: a post at once, a mail when it is due."""
    lane = dispatch.channel if dispatch.lane == "post" else "mail"
    n.doorbell.enlist(connection, lane, dispatch.due_at if dispatch.due_at > now else None)


def _take_back_waiting(connection: Connection, incident: Incident, now: datetime) -> list[datetime]:
    """Let nothing older leave after something newer; when the mails among it were due."""
    waiting = outbox.waiting_mails(connection, incident.id)
    outbox.replace_older(connection, incident.id, now=now)
    return waiting


def _post_text(n: Notifier, dispatch: Dispatch, said: Announcement) -> str | None:
    if dispatch.lane != "post":
        return None
    channel = n.posts[dispatch.channel]
    return n.renderer.post(said, limit=channel.limit, measure=channel.measure)


def _ring(n: Notifier, published: Published) -> None:
    """After the commit: wake the posts first, then whoever keeps the time of the mail."""
    for name in n.posts:
        if post := published.leaving.get(name):
            n.doorbell.hand(name, partial(deliver_post, n, name, post))
        else:
            n.doorbell.ring(name)
    for name in n.posts:
        n.doorbell.give_way(name)
    n.doorbell.ring("mail")


def _remember(connection: Connection, guard: RepeatGuard, update_id: int, now: datetime) -> None:
    incidents.remember_request(
        connection,
        actor=guard.actor,
        key=guard.key,
        fingerprint=guard.fingerprint,
        update_id=update_id,
        now=now,
    )


def _repeated(connection: Connection, guard: RepeatGuard) -> Published | None:
    found = incidents.find_repeated(connection, actor=guard.actor, key=guard.key)
    if found is None:
        return None
    fingerprint, update_id = found
    if fingerprint != guard.fingerprint:
        raise Conflict("this Idempotency-Key was used before with another body; use a new key")
    update = incidents.get_update(connection, update_id)
    return Published(incidents.get(connection, update.incident_id), update, repeated=True)


def _check_draft(connection: Connection, declaration: Declaration, now: datetime) -> None:
    """Of two who press at the same time, and of one who presses twice, one declares."""
    draft_id = declaration.draft_id
    if draft_id is None:
        return
    found = drafts.find(connection, draft_id, lock=True)
    if found is None:
        raise NotFound(f"there is no draft {draft_id}")
    if found.state is not DraftState.WAITING:
        as_what = f" as INC-{found.incident_id}" if found.incident_id else ""
        raise Conflict(f"draft {draft_id} is {found.state} already{as_what}")
    if declaration.by_itself and not draft_posts.may_post_itself(connection, found, now):
        raise Conflict(f"draft {draft_id} does not post itself now")


def _components(connection: Connection, slugs: Sequence[str]) -> list[Component]:
    if not slugs:
        raise Invalid("components", "is missing: say which component is affected")
    found = people.list_components(connection, slugs=slugs)
    known = {component.slug for component in found}
    if unknown := [slug for slug in dict.fromkeys(slugs) if slug not in known]:
        raise Invalid("components", f"names no known component: {', '.join(unknown)}")
    return found


def _expected(words: Words, now: datetime) -> Duration:
    given = words.expected
    return expected_duration(start=given.start, until=given.until, unknown=given.unknown, now=now)


def _notice(words: Words, status: Status, duration: Duration, now: datetime) -> Notice:
    return notice(
        status=status,
        impact=words.impact,
        duration=duration,
        explanation=words.explanation,
        next_update_by=words.next_update_by,
        now=now,
    )


def _started(value: datetime | None, now: datetime) -> datetime:
    if value is None:
        return now
    if value.utcoffset() is None:
        raise Invalid("started_at", "has no zone: write it as 2026-11-22T16:00:00+05:00")
    if value > now:
        raise Invalid("started_at", f"is in the future: {value.isoformat()}")
    if value < now - _LONGEST_AGO:
        raise Invalid("started_at", f"is more than a year ago: {value.isoformat()}")
    return value
