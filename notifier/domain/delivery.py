"""What can happen to a message: its states, the outcome of one call to a provider, and retrying.

Two kinds of change exist. Our own decisions (claim, retry, cancel) are guarded by a fence in
the store. Facts that arrive from outside, often late, repeated or out of order, go through
`advance`, which only ever moves a delivery forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class State(StrEnum):
    """State of one delivery (one message to one reader) or of one dispatch (one post)."""

    PLANNED = "planned"
    SENDING = "sending"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


# A provider's event may come late, twice or in any order; the greater rank wins.
# `rejected` outranks `accepted` because a provider may drop a mail it accepted; a bounce can
# follow a delivery, and a complaint follows everything.
RANK: Mapping[State, int] = {
    State.PLANNED: 0,
    State.SENDING: 1,
    State.UNKNOWN: 2,
    State.ACCEPTED: 3,
    State.REJECTED: 4,
    State.DELIVERED: 5,
    State.BOUNCED: 6,
    State.COMPLAINED: 7,
    State.SUPERSEDED: 8,
    State.CANCELLED: 8,
}

#: States after which we do nothing more by ourselves.
SETTLED = frozenset(State) - {State.PLANNED, State.SENDING}


def advance(current: State, fact: State) -> State:
    """Merge a fact from outside into what we know: the state never moves backwards."""
    return fact if RANK[fact] > RANK[current] else current


@dataclass(frozen=True, slots=True)
class Sent:
    """The provider took the message. `reference` is its own id for it ("" when it gives none)."""

    reference: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Certainly not sent, and worth another try, not sooner than `after`.

    `after` is what the provider said, zero where it takes other messages meanwhile; None: it
    said nothing, or that it cannot. `account`: not this message is refused, but our account.
    """

    reason: str
    after: timedelta | None = None
    account: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """Certainly not sent, and the same message will be refused again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Repeated:
    """Refused because a message with exactly this text is already there.

    After an `Unknown` of the same text it means that the text went out after all.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have been sent: the answer was lost or made no sense. Never re-sent blindly."""

    reason: str


Outcome = Sent | Retry | Rejected | Repeated | Unknown


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """Outcome of one batch of mails: `rest` for all readers but those in `each` (by index)."""

    rest: Outcome
    each: Mapping[int, Outcome] = field(default_factory=dict)


#: After this long a notice helps nobody; GOV.UK Notify gives up after about the same (48 x 300 s).
USEFUL_FOR = timedelta(hours=4)

_FIRST_WAIT = timedelta(seconds=2)
_LONGEST_WAIT = timedelta(minutes=5)


def backoff(attempt: int, jitter: float) -> timedelta:
    """Wait before try `attempt` + 1, for `attempt` >= 1 and `jitter` in [0, 1].

    Exponential with full jitter, so that many waiting messages do not return all at once.
    """
    ceiling = min(_LONGEST_WAIT, _FIRST_WAIT * (1 << min(attempt - 1, 16)))
    return timedelta(seconds=ceiling.total_seconds() * jitter)


def next_try(
    outcome: Retry, *, attempt: int, first_due: datetime, now: datetime, jitter: float
) -> datetime | None:
    """When to try again, or None when that would be too late to help anybody."""
    at = now + max(outcome.after or timedelta(0), backoff(attempt, jitter))
    return at if at <= first_due + USEFUL_FOR else None
