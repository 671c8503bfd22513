"""From what a channel answered to the state that is written down, and when to try again."""

from __future__ import annotations

import random
from datetime import datetime
from typing import TypeAlias

from notifier.domain.delivery import (
    Outcome,
    Rejected,
    Repeated,
    Retry,
    Sent,
    State,
    Unknown,
    next_try,
)

#: (state, provider's reference, reason) of one delivery.
Verdict: TypeAlias = tuple[State, str, str]


def judge(
    outcome: Outcome, *, attempt: int, first_due: datetime, now: datetime
) -> tuple[Verdict, datetime | None]:
    """The state an outcome leads to, and when to try again where it says so."""
    match outcome:
        case Sent(reference):
            return (State.ACCEPTED, reference, ""), None
        case Rejected(reason):
            return (State.REJECTED, "", reason), None
        case Repeated(reason):
            return (State.ACCEPTED, "", reason), None
        case Unknown(reason):
            return (State.UNKNOWN, "", reason), None
        case Retry(reason):
            jitter = random.random()  # noqa: S311 (spreads retries; guards nothing)
            at = next_try(outcome, attempt=attempt, first_due=first_due, now=now, jitter=jitter)
            if at is None:
                return (State.REJECTED, "", f"given up, too late to be of use: {reason}"), None
            return (State.PLANNED, "", reason), at
