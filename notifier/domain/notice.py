"""The notice: how customers are affected, how long to expect it, the explanation. In that order.

The order is a property of the type: a notice is laid out by walking `Notice.parts()`, and no
template, channel or caller can ask for another sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from notifier.domain.incident import Severity, Status
from notifier.domain.text import EXPLANATION_MAX, IMPACT_MAX, Invalid, paragraphs

#: A clock that runs a little behind must not make "now" a time in the past.
_CLOCK_SKEW = timedelta(minutes=1)
_LONGEST_AHEAD = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Between:
    """Expected to end between two instants."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class LatestBy:
    """Expected to end by an instant at the latest."""

    end: datetime


@dataclass(frozen=True, slots=True)
class NotKnown:
    """We do not know yet, and say so."""


@dataclass(frozen=True, slots=True)
class Over:
    """It has ended; what a reader wants now is how long it lasted."""

    start: datetime
    end: datetime


Duration = Between | LatestBy | NotKnown | Over


class Part(StrEnum):
    """The three parts of every notice; the order of this enumeration is the order on paper."""

    IMPACT = "impact"
    DURATION = "duration"
    EXPLANATION = "explanation"


@dataclass(frozen=True, slots=True)
class Notice:
    """What customers are told. Made by `notice`, which refuses what is not worth telling.

    `next_update_by` is None only once the incident is over. All times are in UTC.
    """

    impact: str
    duration: Duration
    explanation: str
    next_update_by: datetime | None

    def parts(self) -> tuple[tuple[Part, str | Duration], ...]:
        """The parts in the order in which every reader gets them."""
        return (
            (Part.IMPACT, self.impact),
            (Part.DURATION, self.duration),
            (Part.EXPLANATION, self.explanation),
        )


def expected_duration(
    *, start: datetime | None, until: datetime | None, unknown: bool, now: datetime
) -> Duration:
    """The duration mode that the given values mean. Raises Invalid("expected_duration…").

    Exactly one of: `unknown`; `until` alone; `start` and `until`. A bare start is refused: a
    point in time at which it may end is not something a customer can plan with.
    """
    field = "expected_duration"
    if unknown and (start or until):
        raise Invalid(field, "is either unknown or has times, not both")
    if unknown:
        return NotKnown()
    if until is None:
        if start is not None:
            raise Invalid(f"{field}.until", 'is missing: say until when, or "unknown": true')
        raise Invalid(field, 'is missing: give "until", "from" and "until", or "unknown": true')
    until = _ahead(f"{field}.until", until, now)
    if start is None:
        return LatestBy(until)
    start = _zoned(f"{field}.from", start)
    if start >= until:
        raise Invalid(f"{field}.until", "must be later than expected_duration.from")
    return Between(start, until)


def notice(
    *,
    status: Status,
    impact: str,
    duration: Duration,
    explanation: str,
    next_update_by: datetime | None,
    now: datetime,
) -> Notice:
    """A notice that may be published at `now`. Raises Invalid naming the field."""
    impact = paragraphs("impact", impact, limit=IMPACT_MAX)
    explanation = paragraphs("explanation", explanation, limit=EXPLANATION_MAX)
    if next_update_by is not None:
        next_update_by = _ahead("next_update_by", next_update_by, now)
    elif status.is_open:
        raise Invalid("next_update_by", "is missing: customers of an open incident are owed one")
    return Notice(impact, duration, explanation, next_update_by)


def _zoned(field: str, value: datetime) -> datetime:
    """`value` in UTC: two times of one zone compare by the clock on the wall, which goes back
    once a year.
    """
    if value.utcoffset() is None:
        raise Invalid(field, "has no zone: write it as 2026-11-22T16:00:00+05:00")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise Invalid(field, f"is outside the calendar: {value.isoformat()}") from None


def _ahead(field: str, value: datetime, now: datetime) -> datetime:
    at = _zoned(field, value)
    if at < now - _CLOCK_SKEW:
        raise Invalid(field, f"is in the past: {value.isoformat()}")
    if at > now + _LONGEST_AHEAD:
        raise Invalid(field, f"is more than a year ahead: {value.isoformat()}")
    return at


@dataclass(frozen=True, slots=True)
class Announcement:
    """One update with what a reader needs around it: everything a template may show."""

    reference: str
    number: int
    title: str
    severity: Severity
    status: Status
    notice: Notice
    published_at: datetime
    components: tuple[str, ...]
    url: str
