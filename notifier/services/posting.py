"""Delivering posts: claim, send, write down what became of it.

The claim is committed before the call, so that a crash leaves a trace; the outcome after it; the
database connection is never held during the call. Nothing here raises for what a provider does:
that is an outcome.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from time import monotonic

from sqlalchemy import Connection

from notifier.domain.delivery import Outcome, Repeated, Retry
from notifier.ports import Notifier
from notifier.services import health
from notifier.services.judging import judge
from notifier.services.leases import LEASE, is_too_late_to_start
from notifier.services.patience import write_patiently
from notifier.services.reconciling import LOOK_LEASE, locate, look_at, look_into
from notifier.store import outbox, posts, site
from notifier.store.outbox import Lease
from notifier.store.posts import ClaimedPost

_log = logging.getLogger(__name__)


def run_posts(n: Notifier, channel: str) -> datetime | None:
    """Send every post of a channel that is due; when the next one will be, if any waits."""
    while True:
        claimed = _claim(n, channel)
        if not isinstance(claimed, ClaimedPost):
            return claimed
        handle = look_into if claimed.is_unknown else deliver_post
        handle(n, channel, claimed)


def _claim(n: Notifier, channel: str) -> ClaimedPost | datetime | None:
    """The next post to send or to look into; else when to ask again."""
    now = n.clock()
    with n.db.transaction() as connection:
        due = posts.find_due(connection, channel, now=now)
        if due is None:
            unknown = posts.claim_unknown(
                connection, channel, node=n.node, now=now, until=now + LOOK_LEASE
            )
            return unknown or outbox.next_due(connection, "post", channel)
        blocked_until = health.admit(connection, n, channel, now=now)
        if blocked_until is not None:
            return blocked_until
        post = posts.claim_post(connection, channel, node=n.node, now=now, until=now + LEASE)
        if post is None:  # another node was faster
            health.release(connection, n, channel, now=now)
            return outbox.next_due(connection, "post", channel)
        return post


def take_idle_lanes(n: Notifier, connection: Connection, *, now: datetime) -> dict[str, Lease]:
    """Leases, by channel, for posts that are about to be written and may leave from here at once.

    A post that is written with one is handed to its lane after the commit: a claim of its own
    would be a second transaction, which keeps the post back for 1.2 ms of 6.6. As a claim is, it
    is refused while the site is paused and where the channel may not be called now. To be called
    before the transaction locks anything (services/health.py).
    """
    idle = [name for name in n.posts if n.doorbell.is_idle(name)]
    if not idle or site.find_pause(connection):
        return {}
    lease = Lease(n.node, now + LEASE)
    return {name: lease for name in idle if health.admit(connection, n, name, now=now) is None}


def give_back_lanes(
    n: Notifier,
    connection: Connection,
    leases: Mapping[str, Lease],
    *,
    incident_id: int,
    now: datetime,
) -> dict[str, Lease]:
    """The leases that hold: not where something older of this incident is in flight."""
    if not leases:
        return {}
    busy = posts.channels_in_flight(connection, incident_id)
    for name in leases:
        if name in busy:
            health.release(connection, n, name, now=now)
    return {name: lease for name, lease in leases.items() if name not in busy}


def deliver_post(n: Notifier, channel: str, post: ClaimedPost) -> None:
    """Send a post whose claim is committed, and write down what became of it."""
    outcome, seconds = _call(n, channel, post)
    now = n.clock()
    verdict, retry_at = judge(outcome, attempt=post.attempt, first_due=post.first_due, now=now)
    state, reference, reason = verdict

    def write(connection: Connection) -> None:
        if seconds is None:
            health.release(connection, n, channel, now=now)
        else:
            health.record(connection, n, channel, outcome, now=now, seconds=seconds)
        posts.settle_post(
            connection,
            post,
            state=state,
            reference=reference,
            reason=reason,
            due_at=retry_at or now,
            look_at=look_at(n, channel, state, now),
            now=now,
        )

    write_patiently(n, write)
    n.failpoint("post.settled")
    _log.info("post %s on %s: %s %s", post.id, channel, state, reason)


def _call(n: Notifier, channel: str, post: ClaimedPost) -> tuple[Outcome, float | None]:
    """What became of the call, and how long it took; None when it was not made."""
    n.failpoint("post.claimed")
    if is_too_late_to_start(n, post.lease_until):
        return Retry("its sender was stopped before the call"), None
    begun = monotonic()
    outcome = n.posts[channel].send(post.text)
    seconds = monotonic() - begun
    if isinstance(outcome, Repeated):
        outcome = locate(n, channel, post.text, outcome)
    n.failpoint("post.answered")
    return outcome, seconds
