"""How long a claim holds, and what becomes of one whose claimant is gone."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from notifier.ports import Notifier
from notifier.store import finishing, lateness, leases

_log = logging.getLogger(__name__)

#: Longer than any channel's total time for one call: a batch may take SMTP 18 times its timeout,
#: which is 3 minutes by default. A lease that ends early is harmless (the late answer still
#: counts), one that ends late only delays the word "unknown".
LEASE = timedelta(minutes=5)

# Others take our leases for lost `store.nodes.SILENT_AFTER` after we were last seen, which may have
# been one beat before the claim, and then send themselves what was not.
_START_WITHIN = timedelta(seconds=20)


def is_too_late_to_start(n: Notifier, lease_until: datetime) -> bool:
    """Whether we were stopped for so long after a claim that others may have taken it over."""
    return n.clock() >= lease_until - LEASE + _START_WITHIN


def recover(n: Notifier, *, alone: bool) -> tuple[int, int]:
    """Name what a dead claimant left in flight: it is unknown. (posts, batches).

    What waits for too long to be of use is given up.

    `alone`: nobody else delivers from this database, so every lease but ours is a dead one's.
    """
    now = n.clock()
    with n.db.transaction() as connection:
        lost = leases.give_up(
            connection,
            now=now,
            node=n.node,
            alone=alone,
            look_at_mail=look_at_mail(n, now),
        )
        late = lateness.give_up_late(connection, now=now)
        finishing.finish_done(connection, now=now)
    if any(lost):
        _log.warning("in flight when the sender stopped, now unknown: %s posts, %s batches", *lost)
    if late:
        _log.warning("given up, because they waited for too long to be of use: %s messages", late)
    return lost


def look_at_mail(n: Notifier, now: datetime) -> datetime | None:
    """When mail that became unknown now is sent again, if no event has settled it by then.

    None: only an operator settles it.
    """
    wait = n.settings.email.resend_unknown_after
    return now + wait if wait is not None else None
