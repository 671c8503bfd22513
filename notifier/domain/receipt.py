"""What a provider tells about single mails after it has taken them, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from notifier.domain.delivery import RANK, State
from notifier.domain.suppression import Reason


class Fact(StrEnum):
    """What became of a mail, as its provider or the reader's mail server says."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    #: The address is not there.
    BOUNCED = "bounced"
    #: Refused, which may be otherwise another day.
    BLOCKED = "blocked"
    #: The provider did not even try, because of what it knows about the address.
    DROPPED = "dropped"
    #: The provider did not even try, for a reason that is not the address.
    REJECTED = "rejected"
    #: Tried without success so far; something else will follow.
    DELAYED = "delayed"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"


#: What the ledger says then. The facts that are missing here say nothing about the mail's fate.
STATES: Mapping[Fact, State] = {
    Fact.ACCEPTED: State.ACCEPTED,
    Fact.DELIVERED: State.DELIVERED,
    Fact.BOUNCED: State.BOUNCED,
    Fact.BLOCKED: State.BOUNCED,
    Fact.DROPPED: State.REJECTED,
    Fact.REJECTED: State.REJECTED,
    Fact.COMPLAINED: State.COMPLAINED,
}

#: Facts after which the address gets no mail, of this incident or of any other.
SUPPRESSES: Mapping[Fact, Reason] = {
    Fact.BOUNCED: Reason.BOUNCE,
    Fact.BLOCKED: Reason.BLOCKED,
    Fact.DROPPED: Reason.DROPPED,
    Fact.COMPLAINED: Reason.COMPLAINT,
}


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One thing that a provider tells about one mail.

    `id` is the provider's own, the same when it tells it again. `dispatch_id` and `seq` name
    the mail: they are the delivery id that travelled with it. `address` is whom it was for, or
    "" where that is not told. `detail` says in the provider's words why.
    """

    id: str
    dispatch_id: int
    seq: int
    fact: Fact
    address: str
    detail: str
    happened_at: datetime

    @property
    def place(self) -> tuple[int, int]:
        """(dispatch, seq), as the ledger is ordered."""
        return self.dispatch_id, self.seq


class Untrusted(Exception):
    """Nobody proves that the provider has sent this. The message is a sentence for its sender."""


class Unreadable(ValueError):
    """This is not what the provider sends. The message is a sentence for its sender."""


def one_line(text: str) -> str:
    """What others have written, fit for the ledger: one line of at most 300 characters.

    Without control characters and half characters, which no database and no page takes.
    """
    if text.isprintable():  # nearly always, and then there is nothing to look for
        return " ".join(text[:_READ_MAX].split())[:_DETAIL_MAX]
    shown = "".join(c for c in text[:_READ_MAX] if c.isprintable() or c.isspace())
    return " ".join(shown.split())[:_DETAIL_MAX]


_READ_MAX, _DETAIL_MAX = 2_000, 300


def read_delivery_id(given: object) -> tuple[int, int] | None:
    """(dispatch, seq) of a delivery id such as "12-345"; None when it is not one of ours."""
    if not isinstance(given, str) or len(given) > _ID_LONGEST:
        return None
    dispatch, dash, seq = given.partition("-")
    if not (dash and given.isascii() and dispatch.isdigit() and seq.isdigit()):
        return None
    place = int(dispatch), int(seq)
    return place if max(place) < 2**63 else None


_ID_LONGEST = len("9223372036854775807-9223372036854775807")


def lower_states(state: State) -> list[State]:
    """The states from which a fact moves a mail to `state`: all of lower rank."""
    return [lower for lower in State if RANK[lower] < RANK[state]]


def strongest(facts: Iterable[tuple[Fact, str]]) -> tuple[State, str] | None:
    """(state, detail) that facts, each with its detail, end in; None when they say nothing.

    The order in which they come, and how often, makes no difference.
    """
    moves = [(STATES[fact], detail) for fact, detail in facts if fact in STATES]
    return max(moves, key=lambda move: (RANK[move[0]], move[1]), default=None)
