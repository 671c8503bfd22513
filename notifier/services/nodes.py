"""Being seen: a node that delivers says every few seconds that it is alive.

Whoever is killed stops saying so, and the others take its leases for lost after
`store.nodes.SILENT_AFTER`, long before they would be over.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from notifier.ports import Notifier
from notifier.store import nodes

_log = logging.getLogger(__name__)

#: Six of these may fail before the others believe that we are dead.
BEAT_SECONDS = 5.0


@contextmanager
def present(n: Notifier) -> Iterator[None]:
    """Be seen for as long as the block runs. Nothing may be claimed before it begins.

    In a thread of its own, because a lane may be busy for minutes. SQLite has one node at a
    time, whose lock file says that it lives (cli/one_server.py), and needs none of this.
    """
    if n.db.dialect == "sqlite":
        yield
        return
    _see(n)
    ending = threading.Event()
    thread = threading.Thread(target=_beat, args=(n, ending), name="presence", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        _leave(n)


def _beat(n: Notifier, ending: threading.Event) -> None:
    while not ending.wait(BEAT_SECONDS):
        try:
            _see(n)
        except DBAPIError as error:
            _log.warning("this node cannot say that it is alive: %s", error.orig)


def _see(n: Notifier) -> None:
    with n.db.transaction() as connection:
        nodes.see(connection, n.node)


def _leave(n: Notifier) -> None:
    try:
        with n.db.transaction() as connection:
            nodes.forget(connection, n.node)
    except DBAPIError as error:
        _log.warning("this node cannot say that it has ended: %s", error.orig)
