"""Who carries mail: points that move from a provider that fails or is slow to its backup.

The rules are those of GOV.UK Notify for its two providers of text messages (notifications-api,
`app/dao/provider_details_dao.py`). In front of them stands the circuit breaker of
`domain/health.py`: points that move once a minute need ten minutes to leave a dead provider.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from notifier.domain.health import Breaker, Health, Rate, admit, is_blocked

# A page waits this long for the provider whose turn it is, rather than change the shares.
_PATIENCE = timedelta(seconds=5)

#: A call that takes longer counts as slow.
SLOW_SECONDS = 5.0

#: The window of the rule about slow calls.
QUARTER = timedelta(minutes=15)

_MINUTE = timedelta(minutes=1)
_POINTS = 10
_ERRORS_IN_A_MINUTE = 50
_SHARE = 0.15
_FEWEST_CALLS = 10
_MOVES_APART = timedelta(minutes=1)
_SLOW_MOVES_APART = timedelta(minutes=5)
_QUIET_BEFORE_DRIFT = timedelta(minutes=15)
_DRIFTS_APART = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Account:
    """A mail provider that could carry the next page of `page` readers."""

    health: Health
    rate: Rate | None
    page: int


def choose(
    accounts: Sequence[Account], *, roll: float, now: datetime
) -> tuple[int, Health] | datetime:
    """Which of the primary and its backup carries the next page, or when to ask again.

    `roll`, in [0, 1), decides by weight. A provider whose probe is due comes first, else one
    that lost all its points would never be known to work again. One that may not be called for
    a while gets nothing as long as the other one is let through.
    """
    again: list[datetime] = []
    for index in _order(accounts, roll, now):
        account = accounts[index]
        admitted = admit(account.health, now=now, rate=account.rate, cost=account.page)
        if isinstance(admitted, Health):
            return index, admitted
        again.append(admitted)
        if account.health.breaker is Breaker.CLOSED and admitted <= now + _PATIENCE:
            break
    return min(again)


def _order(accounts: Sequence[Account], roll: float, now: datetime) -> list[int]:
    first = 0 if roll * 100 < weight_at(accounts[0].health, now) else 1
    turns = sorted(range(len(accounts)), key=lambda index: index != first)
    return sorted(turns, key=lambda index: not _probe_is_due(accounts[index].health, now))


def _probe_is_due(health: Health, now: datetime) -> bool:
    return health.breaker is not Breaker.CLOSED and not is_blocked(health, now)


@dataclass(frozen=True, slots=True)
class Minute:
    """Calls that ended within the minute that began at `at`; `seconds` is their time in all."""

    at: datetime
    calls: int
    failures: int
    slow: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Load:
    """Calls within some window: how many, how many failed, and how many were slow."""

    calls: float = 0
    failures: float = 0
    slow: float = 0

    @property
    def fails(self) -> bool:
        """Of the last 60 seconds: whether so much fails that mail should leave elsewhere."""
        many = self.calls >= _FEWEST_CALLS and self.failures >= _SHARE * self.calls
        return many or self.failures >= _ERRORS_IN_A_MINUTE

    @property
    def is_slow(self) -> bool:
        """Of the last 15 minutes: whether a noticeable part was slow."""
        return self.calls >= _FEWEST_CALLS and self.slow >= _SHARE * self.calls


@dataclass(frozen=True, slots=True)
class Record:
    """What is known about a provider when points are moved."""

    health: Health
    last_minute: Load
    last_quarter: Load


def start_of_minute(now: datetime) -> datetime:
    """The minute that `now` is in."""
    return now.replace(second=0, microsecond=0)


def last_minute(minutes: Iterable[Minute], *, now: datetime) -> Load:
    """The last 60 seconds, of which a part lies in the minute before: it counts by that part."""
    start = start_of_minute(now)
    share = 1 - (now - start) / _MINUTE
    parts = [(m, 1.0) for m in minutes if m.at >= start]
    parts += [(m, share) for m in minutes if start - _MINUTE <= m.at < start]
    return Load(
        sum(m.calls * part for m, part in parts),
        sum(m.failures * part for m, part in parts),
        sum(m.slow * part for m, part in parts),
    )


def last_quarter(minutes: Iterable[Minute], *, now: datetime) -> Load:
    """The last 15 minutes, this one included."""
    within = [m for m in minutes if m.at > start_of_minute(now) - QUARTER]
    return Load(
        sum(m.calls for m in within), sum(m.failures for m in within), sum(m.slow for m in within)
    )


def weight_at(health: Health, now: datetime) -> int:
    """The share of mail the primary gets now, in percent; the backup gets the rest.

    Points come back by themselves once none was taken for 15 minutes, 10 every 5 minutes. Nothing
    has to be written for that, so it goes on while nobody runs.
    """
    if health.weighed_at is None:
        return health.weight
    quiet = now - health.weighed_at - _QUIET_BEFORE_DRIFT
    steps = 0 if quiet < timedelta(0) else 1 + quiet // _DRIFTS_APART
    return min(100, health.weight + _POINTS * steps)


def move_points(primary: Record, backup: Record, *, now: datetime) -> Health:
    """The primary's health with 10 points taken where it fails or is slow; else the same object.

    Points are taken by what the calls show and come back only by time, so noise cannot make them
    flap. Where both are bad, nothing is gained by moving.
    """
    weight = weight_at(primary.health, now)
    backup_fails = backup.last_minute.fails or backup.health.breaker is not Breaker.CLOSED
    if weight == 0 or backup_fails:
        return primary.health
    if primary.last_minute.fails and _rested(primary.health, _MOVES_APART, now):
        return replace(primary.health, weight=max(0, weight - _POINTS), weighed_at=now)
    slow = primary.last_quarter.is_slow and not backup.last_quarter.is_slow
    if slow and _rested(primary.health, _SLOW_MOVES_APART, now):
        return replace(primary.health, weight=max(0, weight - _POINTS), weighed_at=now)
    return primary.health


def _rested(health: Health, apart: timedelta, now: datetime) -> bool:
    return health.weighed_at is None or now - health.weighed_at >= apart
