"""From alerts to what we propose to say: rules, and how long such things took before. Pure."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import NamedTuple

from notifier.domain.incident import Severity
from notifier.domain.signal import Annotation, Condition, Signal, clean, severity_of

#: The time of what has not happened: earlier than any that a tool tells.
NEVER = datetime.fromtimestamp(0, UTC)

#: Between two posts that nobody pressed, for the whole site; and how long an alert that was over
#: belongs to the same draft when it fires again. Flapping so costs customers one post in it.
HOLD = timedelta(minutes=10)

#: Who posts what no operator pressed.
AUTOMATON = "monitoring, by itself"

#: How many past disruptions make an estimate, and how many of the newest are looked at.
_PAST_MIN, PAST_MAX = 3, 50
_ROUNDED_TO = timedelta(minutes=5)

#: How soon the first update is promised, as long as nobody has said otherwise.
_CADENCE = {
    Severity.CRITICAL: timedelta(minutes=30),
    Severity.MAJOR: timedelta(hours=1),
    Severity.MINOR: timedelta(hours=2),
}


# Made once: a call of json.dumps with options makes an encoder each time, at twice the price.
_write = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


class DraftState(StrEnum):
    """What became of a draft."""

    WAITING = "waiting"
    POSTED = "posted"
    DISMISSED = "dismissed"
    #: Its alerts were over before anybody had posted it.
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a tool said last about an alert, for operators' eyes."""

    title: str
    description: str
    severity: str
    url: str
    labels: Mapping[str, str]

    def write(self) -> str:
        """As JSON text, the same for the same facts."""
        return _write([self.title, self.description, self.severity, self.url, self.labels])

    @staticmethod
    def read(written: str) -> Facts:
        """What `write` wrote."""
        return Facts(*json.loads(written))


class Word(NamedTuple):
    """One signal as it is merged: maxima of times, so order and repetition make no difference."""

    key: str
    fired_at: datetime
    cleared_at: datetime
    acknowledged_at: datetime
    facts_at: datetime
    facts: str


def word(signal: Signal) -> Word:
    """What a signal adds to what is known of its alert. Whoever acknowledges it saw it fire.

    The words of an end count only as long as there are no others: several tools send nothing in it
    but the key.
    """
    told = clean(signal)
    ended = told.condition is Condition.RESOLVED
    return Word(
        key=told.key,
        fired_at=NEVER if ended else told.position,
        cleared_at=told.position if ended else NEVER,
        acknowledged_at=told.at if told.condition is Condition.ACKNOWLEDGED else NEVER,
        facts_at=NEVER if ended else told.at,
        facts=Facts(told.title, told.description, told.severity, told.url, told.labels).write(),
    )


def merge(one: Word, other: Word) -> Word:
    """What two words about one alert say together; the same as `store.alerts` does with rows."""
    latest = max(one, other, key=lambda word: (word.facts_at, word.facts))
    return Word(
        key=one.key,
        fired_at=max(one.fired_at, other.fired_at),
        cleared_at=max(one.cleared_at, other.cleared_at),
        acknowledged_at=max(one.acknowledged_at, other.acknowledged_at),
        facts_at=latest.facts_at,
        facts=latest.facts,
    )


def is_firing(fired_at: datetime, cleared_at: datetime) -> bool:
    """Whether the newest occurrence is not over. An end counts for all up to its own position."""
    return fired_at > cleared_at


@dataclass(frozen=True, slots=True)
class Rule:
    """Where alerts belong whose labels all match; the first rule that matches is the one.

    `match` is label to pattern ("*" stands for anything); `component_id` None: they are ignored.
    `severity` None: as bad as the alert says. `auto_after` None: only an operator posts it.
    """

    id: int
    integration_id: int | None
    match: Mapping[str, str]
    component_id: int | None
    severity: Severity | None
    preset_id: int | None
    auto_after: timedelta | None


@dataclass(frozen=True, slots=True)
class Origin:
    """The integration an alert came by, as far as it decides where the alert belongs."""

    id: int
    name: str
    source: str
    component_id: int | None
    severity: Severity
    stale_after: timedelta


@dataclass(frozen=True, slots=True)
class Target:
    """Where an alert belongs, how bad it is, and what would be said about it.

    `component_id` None: no rule knows, so an operator has to say.
    """

    component_id: int | None
    severity: Severity
    preset_id: int | None = None
    auto_after: timedelta | None = None


def target(origin: Origin, facts: Facts, rules: Sequence[Rule]) -> Target | None:
    """Where an alert belongs; None for one that is ignored or only information."""
    said = severity_of(facts.severity, default=origin.severity)
    rule = rule_for(origin, facts, rules)
    if rule is None:
        return Target(origin.component_id, said) if said else None
    severity = rule.severity or said
    if rule.component_id is None or severity is None:
        return None
    return Target(rule.component_id, severity, rule.preset_id, rule.auto_after)


def rule_for(origin: Origin, facts: Facts, rules: Sequence[Rule]) -> Rule | None:
    """The rule that decides about an alert."""
    return next((rule for rule in rules if _matches(rule, origin, facts)), None)


def _matches(rule: Rule, origin: Origin, facts: Facts) -> bool:
    if rule.integration_id not in (None, origin.id):
        return False
    known = {
        **facts.labels,
        "title": facts.title,
        "source": origin.source,
        "integration": origin.name,
    }
    return all(
        fnmatchcase(known.get(label, "").lower(), pattern.lower())
        for label, pattern in rule.match.items()
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long disruptions of a component took: half of `past` at most `median`, 80% `p80`."""

    median: timedelta
    p80: timedelta
    past: int


def estimate(durations: Iterable[timedelta]) -> Estimate | None:
    """From the past; None where there is too little of it to say anything."""
    took = sorted(durations)
    if len(took) < _PAST_MIN:
        return None
    seconds = [one.total_seconds() for one in took]
    p80 = took[math.ceil(0.8 * len(took)) - 1]
    return Estimate(
        _round_up(timedelta(seconds=statistics.median(seconds))), _round_up(p80), len(took)
    )


def first_update_by(severity: Severity, now: datetime) -> datetime:
    """When the next update is promised by, to whole five minutes."""
    due = now + _CADENCE[severity]
    return (
        due
        + (-timedelta(minutes=due.minute, seconds=due.second) % _ROUNDED_TO)
        - timedelta(microseconds=due.microsecond)
    )


def _round_up(duration: timedelta) -> timedelta:
    return max(_ROUNDED_TO, -(-duration // _ROUNDED_TO) * _ROUNDED_TO)


def annotation_key(annotation: Annotation) -> str:
    """By which an annotation that is told twice is known."""
    return annotation.key or f"{annotation.at.isoformat()} {annotation.title}"
