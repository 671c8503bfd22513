"""Delivering posts: claim, send, write down what became of it.

The claim is committed before the call, so that a crash leaves a trace; the outcome after it; the
database connection is never held during the call. Nothing here raises for what a provider does:
that is an outcome.
"""

from __future__ import annotations

import logging
from datetime import datetime

from notifier.ports import Notifier
from notifier.services.judging import judge
from notifier.services.leases import LEASE
from notifier.store import outbox, posts

_log = logging.getLogger(__name__)


def run_posts(n: Notifier, channel: str) -> datetime | None:
    """Send every post of a channel that is due; when the next one will be, if any waits."""
    while True:
        now = n.clock()
        with n.db.transaction() as connection:
            post = posts.claim_post(
                connection, channel, now=now, node=n.node, lease_until=now + LEASE
            )
            if post is None:
                return outbox.next_due(connection, "post", channel)
        outcome = n.posts[channel].send(post.text)
        now = n.clock()
        verdict, retry_at = judge(outcome, attempt=post.attempt, first_due=post.first_due, now=now)
        state, reference, reason = verdict
        with n.db.transaction() as connection:
            posts.settle_post(
                connection,
                post,
                state=state,
                reference=reference,
                reason=reason,
                due_at=retry_at or now,
                now=now,
            )
        _log.info("post %s on %s: %s %s", post.id, channel, state, reason)
