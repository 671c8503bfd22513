"""From an update, its audience and the time to what is sent, when and why; and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from notifier.domain.incident import Status

Lane = Literal["post", "mail"]

#: The channel of every mail. Which provider carries it is decided page by page as it leaves.
EMAIL = "email"


class Reason(StrEnum):
    """Why a dispatch leaves when it does, or why there is none. Shown to the operator."""

    AT_ONCE = "posts leave the moment the update is published"
    OVER = "the end of a disruption is told at once"
    AS_ASKED = "at the time the operator chose"
    BY_SEVERITY = "after the usual wait for this severity, so that it can still be changed"
    KEEPS_PLACE = "takes the place of the waiting mail it replaces"
    NO_READERS = "no customer with an address uses these components"
    NO_CHANNEL = "no channel of this kind is configured"
    REPLACED = "a newer update tells more"


@dataclass(frozen=True, slots=True)
class MailTime:
    """When the operator wants the mail: after a delay, or at an instant. At most one is set."""

    delay: timedelta | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Audience:
    """Who can be reached, and what already waits for them.

    `waiting` holds the due times of this incident's mails that have not begun to leave.
    """

    posts: Sequence[str]
    has_readers: bool
    waiting: Sequence[datetime] = ()


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One message to one channel, leaving at `due_at` or as soon after as can be."""

    lane: Lane
    channel: str
    due_at: datetime
    why: Reason


@dataclass(frozen=True, slots=True)
class Skip:
    """A message that is not sent."""

    lane: Lane
    why: Reason


@dataclass(frozen=True, slots=True)
class Plan:
    """What one update sets in motion. Whatever of the incident still waits is superseded."""

    dispatches: tuple[Dispatch, ...]
    skips: tuple[Skip, ...]


def plan(
    *,
    status: Status,
    default_delay: timedelta,
    asked: MailTime,
    audience: Audience,
    now: datetime,
) -> Plan:
    """The dispatches of an update published at `now`, each with its reason."""
    dispatches = [Dispatch("post", name, now, Reason.AT_ONCE) for name in audience.posts]
    skips: list[Skip] = []
    if not dispatches:
        skips.append(Skip("post", Reason.NO_CHANNEL))
    if not audience.has_readers:
        skips.append(Skip("mail", Reason.NO_READERS))
    else:
        due_at, why = mail_time(
            status=status,
            default_delay=default_delay,
            asked=asked,
            waiting=audience.waiting,
            now=now,
        )
        dispatches.append(Dispatch("mail", EMAIL, due_at, why))
    return Plan(tuple(dispatches), tuple(skips))


def mail_time(
    *,
    status: Status,
    default_delay: timedelta,
    asked: MailTime,
    waiting: Sequence[datetime],
    now: datetime,
) -> tuple[datetime, Reason]:
    """When the mail of an update leaves, and why then."""
    if asked.at is not None:
        return max(asked.at, now), Reason.AS_ASKED
    if asked.delay is not None:
        return now + asked.delay, Reason.AS_ASKED
    if not status.is_open:
        return now, Reason.OVER
    usual = now + default_delay
    # Frequent updates must not push the first mail away for ever: the newest words leave at
    # the time the oldest waiting mail was promised.
    earliest = min(waiting, default=usual)
    if earliest < usual:
        return max(earliest, now), Reason.KEEPS_PLACE
    return usual, Reason.BY_SEVERITY
