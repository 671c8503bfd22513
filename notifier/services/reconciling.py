"""Finding out what became of a post whose answer never came.

Nothing is guessed: the account's own timeline is read, and where that cannot be had the frozen
text is sent once more to a channel that refuses repetitions. Where neither is possible, the post
stays unknown until an operator settles it.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from notifier.domain.delivery import USEFUL_FOR, Outcome, Repeated, Retry, Sent, State
from notifier.ports import Notifier
from notifier.services.judging import Verdict
from notifier.store import posts
from notifier.store.posts import ClaimedPost

_log = logging.getLogger(__name__)

#: How long after its answer was lost a post is looked for: X shows a new post in the timeline of
#: its author within a second or two.
LOOK_AFTER = timedelta(seconds=2)

#: A look takes two calls, each of which ends within the channel's timeouts.
LOOK_LEASE = timedelta(minutes=2)


def look_into(n: Notifier, channel: str, post: ClaimedPost) -> None:
    """Find out what became of an unknown post that we have claimed, and write it down."""
    found = n.posts[channel].find(post.text)
    now = n.clock()
    state, reference, reason = _conclude(
        found,
        repeats_are_safe=n.posts[channel].refuses_repeats,
        too_late=now > post.first_due + USEFUL_FOR,
    )
    with n.db.transaction() as connection:
        posts.settle_post(
            connection,
            post,
            state=state,
            reference=reference,
            reason=reason,
            due_at=now,
            look_at=None,
            now=now,
        )
    _log.info("unknown post %s on %s, looked into: %s %s", post.id, channel, state, reason)


def locate(n: Notifier, channel: str, text: str, repeated: Repeated) -> Outcome:
    """The post that a refused repetition speaks of, for its link; `repeated` if it is not found."""
    found = n.posts[channel].find(text)
    return found if isinstance(found, Sent) else repeated


def look_at(n: Notifier, channel: str, state: State, now: datetime) -> datetime | None:
    """When a post that was just settled as `state` is to be looked into; None: never."""
    return now + LOOK_AFTER if state is State.UNKNOWN and channel in n.posts else None


def _conclude(found: Outcome, *, repeats_are_safe: bool, too_late: bool) -> Verdict:
    match found:
        case Sent(reference):
            return State.ACCEPTED, reference, "the answer was lost, and the post was found"
        case Retry(reason) if not too_late:
            return State.PLANNED, "", f"sent again, since it is not there: {reason}"
        case Retry(reason):
            return State.REJECTED, "", f"not there, and too late to be of use: {reason}"
        case _ if repeats_are_safe and not too_late:
            reason = "sent again, since a repetition would be refused"
            return State.PLANNED, "", f"{reason}: {found.reason}"
        case _:
            return State.UNKNOWN, "", f"only an operator can tell: {found.reason}"
