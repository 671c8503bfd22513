"""How the account of each channel does: whether it may be called now, and how fast.

| the breaker is | calls                                  | and becomes                            |
|----------------|----------------------------------------|----------------------------------------|
| closed         | go, at the account's rate              | open after 5 failures in a row, or at  |
|                |                                        | once when the account is refused       |
| open           | wait until `blocked_until`             | half open by the first call after it   |
| half open      | wait: one call is under way, the probe | closed when the provider answers it;   |
|                |                                        | open, for longer, when it does not     |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto

from notifier.domain.delivery import Outcome, Retry, Unknown

#: Failures in a row after which an account is left alone.
FAILURES_TO_OPEN = 5

# Between two probes. Not a minute, because the probe and the next question take some of the
# minute within which a provider that works again is to be used again; not less for a provider
# that stays away, because every probe may make a few readers' mail unknown.
_FIRST_WAIT = timedelta(seconds=30)
_LONGEST_WAIT = timedelta(seconds=55)

#: Who probes for longer than this counts as gone, and the next one probes. Shorter than a call
#: may take: the worst that follows is a call every 30 seconds to a provider that hangs.
PROBE_LEASE = timedelta(seconds=30)

# How soon those who wait for the outcome of a probe ask again.
_PROBE_POLL = timedelta(seconds=1)

_SECOND = timedelta(seconds=1)

# Nobody pays for more than a burst ahead. By how much more it may seem so, because the clocks of
# two nodes differ; beyond that it was paid by a clock that was wrong, and means nothing.
_CLOCKS_APART = timedelta(minutes=1)


class Breaker(StrEnum):
    """Whether calls to an account go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `messages` within `per`, evenly; a recipient of a mail counts as a message."""

    messages: int
    per: timedelta

    def time_of(self, messages: float) -> timedelta:
        """How long this many messages take."""
        return self.per * (messages / self.messages)

    @property
    def per_second(self) -> int:
        """The whole messages that one second pays for; at least 1."""
        return max(1, int(_SECOND / self.time_of(1)))


def rate_of(messages: int, *, per: timedelta) -> Rate | None:
    """The rate of a setting in which 0 stands for "no limit"."""
    return Rate(messages, per) if messages else None


@dataclass(frozen=True, slots=True)
class Health:
    """How one account does. `weight` is its share of mail as of `weighed_at` (see `weight_at`)."""

    breaker: Breaker = Breaker.CLOSED
    #: Failures in a row; while the breaker is not closed, also how often it opened since.
    failures: int = 0
    opened_at: datetime | None = None
    #: No call before then: what the provider asked for, the next probe, or the end of this one.
    blocked_until: datetime | None = None
    #: When all that was paid for is over, at the account's rate (GCRA).
    paid_until: datetime | None = None
    weight: int = 100
    weighed_at: datetime | None = None
    reason: str = ""
    #: Since when the breaker is what it is; None: since ever.
    changed_at: datetime | None = None


class Sign(Enum):
    """What one outcome says about the account that brought it."""

    #: The provider answered, be it with a refusal of this one message.
    WORKS = auto()
    #: It works and asks us to wait (429).
    BUSY = auto()
    FAILS = auto()
    #: It refuses the account; whatever the message, it would be refused.
    REFUSED = auto()


def read_sign(outcome: Outcome) -> Sign:
    """The sign of an outcome.

    A `Retry` that says how long to wait is an answer. One that does not is the lack of one: the
    network failed, or the provider said that it did.
    """
    match outcome:
        case Unknown():
            return Sign.FAILS
        case Retry(account=True):
            return Sign.REFUSED
        case Retry(after=None):
            return Sign.FAILS
        case Retry(after=after) if after:
            return Sign.BUSY
    return Sign.WORKS


def learn(health: Health, outcome: Outcome, *, now: datetime) -> Health:
    """The health after one more outcome; the same object when it says nothing new."""
    if health.breaker is Breaker.OPEN:  # a call from before, which says nothing about now
        return health
    match read_sign(outcome):
        case Sign.WORKS:
            return _well(health, now)
        case Sign.BUSY:
            return _busy(health, outcome, now)
        case Sign.REFUSED:
            return _open(health, outcome, now)
        case Sign.FAILS:
            return _failed(health, outcome, now)


def _well(health: Health, now: datetime) -> Health:
    if health.breaker is Breaker.CLOSED and not health.failures and not health.reason:
        return health
    closed = health.breaker is Breaker.CLOSED
    return replace(
        health,
        breaker=Breaker.CLOSED,
        failures=0,
        opened_at=None,
        # What a 429 asked for holds, whatever another worker's call brought meanwhile.
        blocked_until=health.blocked_until if closed else None,
        reason="",
        changed_at=health.changed_at if closed else now,
    )


def _busy(health: Health, outcome: Outcome, now: datetime) -> Health:
    # Who asks us to wait is well, so a probe that is told so has succeeded.
    before = health if health.breaker is Breaker.CLOSED else _well(health, now)
    until = now + _asked(outcome)
    if before.blocked_until and before.blocked_until >= until:
        return before
    return replace(before, blocked_until=until, reason=_reason(outcome))


def _failed(health: Health, outcome: Outcome, now: datetime) -> Health:
    failures = health.failures + 1
    if health.breaker is Breaker.HALF_OPEN or failures >= FAILURES_TO_OPEN:
        return _open(health, outcome, now)
    return replace(health, failures=failures, reason=_reason(outcome))


def _open(health: Health, outcome: Outcome, now: datetime) -> Health:
    failures = max(FAILURES_TO_OPEN, health.failures + 1)
    wait = min(_LONGEST_WAIT, _FIRST_WAIT * (1 << min(failures - FAILURES_TO_OPEN, 8)))
    return replace(
        health,
        breaker=Breaker.OPEN,
        failures=failures,
        opened_at=health.opened_at or now,
        blocked_until=now + max(wait, _asked(outcome)),
        reason=_reason(outcome),
        changed_at=now,
    )


def _asked(outcome: Outcome) -> timedelta:
    """How long the provider asked us to wait."""
    return outcome.after or timedelta(0) if isinstance(outcome, Retry) else timedelta(0)


def _reason(outcome: Outcome) -> str:
    return getattr(outcome, "reason", "")


def admit(health: Health, *, now: datetime, rate: Rate | None, cost: int) -> Health | datetime:
    """The health with the call let through and paid for, or when to ask again.

    `cost` is its number of messages. The health that comes back is the same object when nothing
    has to be written. When it is half open, the call is the probe and nobody else may go.
    """
    until = health.blocked_until
    if until and until > now:
        return min(until, now + _PROBE_POLL) if health.breaker is Breaker.HALF_OPEN else until
    paid = _pay(health, rate, cost, now) if rate else health
    if isinstance(paid, datetime) or health.breaker is Breaker.CLOSED:
        return paid
    lease_until = now + PROBE_LEASE
    return replace(paid, breaker=Breaker.HALF_OPEN, blocked_until=lease_until, changed_at=now)


def _pay(health: Health, rate: Rate, cost: int, now: datetime) -> Health | datetime:
    """Generic cell rate algorithm (ITU-T I.371), with a burst of one second or one call."""
    burst = max(_SECOND, rate.time_of(cost))
    begin = max(health.paid_until or now, now)
    if begin > now + burst + _CLOCKS_APART:
        begin = now
    paid_until = begin + rate.time_of(cost)
    starts_at = paid_until - burst
    return starts_at if starts_at > now else replace(health, paid_until=paid_until)


def settle(health: Health, *, rate: Rate, paid: int, cost: int) -> Health:
    """Give back what was paid for `paid` messages and not used, or take what is missing."""
    if health.paid_until is None or paid == cost:
        return health
    return replace(health, paid_until=health.paid_until - rate.time_of(paid - cost))


def release(health: Health, *, now: datetime) -> Health:
    """The health after a call that was let through and then not made."""
    if health.breaker is not Breaker.HALF_OPEN:
        return health
    return replace(health, breaker=Breaker.OPEN, blocked_until=now, changed_at=now)


def unblock(health: Health, *, now: datetime) -> Health:
    """The health after somebody said "try again now": the next call goes, as the probe if need be.

    A closed breaker forgets what a 429 asked for; an open one stays open until the probe's answer.
    """
    if health.breaker is Breaker.CLOSED:
        return replace(health, blocked_until=None) if health.blocked_until else health
    return replace(health, breaker=Breaker.OPEN, blocked_until=now)


def is_blocked(health: Health, now: datetime) -> bool:
    """Whether no call may be made yet."""
    return health.blocked_until is not None and health.blocked_until > now


def needs_attention(health: Health, now: datetime) -> bool:
    """Whether an operator should know: messages wait, or leave by another way."""
    return health.breaker is not Breaker.CLOSED or is_blocked(health, now)
