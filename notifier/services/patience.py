"""Writing down what is known, even when the database is away for a moment.

An outcome that is not written is a message that becomes unknown although its answer was there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from notifier.ports import Notifier

_log = logging.getLogger(__name__)

#: A restarted PostgreSQL is back within seconds. Whoever waits for longer than this counts as dead
#: for the other nodes anyway (store/nodes.py).
PATIENCE_SECONDS = 30.0
_BETWEEN_TRIES_SECONDS = 0.5


def write_patiently(n: Notifier, write: Callable[[Connection], None]) -> None:
    """Run `write` in a transaction, again and again until it is committed.

    What is committed although the connection broke in that moment is written twice, so `write`
    has to be guarded by a fence. Raises the last DBAPIError once patience is over.
    """
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with n.db.transaction() as connection:
                write(connection)
        except DBAPIError as error:
            if time.monotonic() > give_up_at:
                raise
            _log.warning("an outcome cannot be written yet: %s", error.orig)
            time.sleep(_BETWEEN_TRIES_SECONDS)
        else:
            return
