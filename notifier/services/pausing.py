"""The kill switch: while the site is paused, no new call to any provider begins.

It also falls by itself, when the database is not the one that was served last. A restored backup
or a copy believes that it still has to say what was said long ago; so nothing leaves until an
operator has looked.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import Connection

from notifier.ports import Notifier
from notifier.store import finishing, site
from notifier.store.site import Pause, Progress

_log = logging.getLogger(__name__)

_RESTORED = (
    "this database is not the one that was served here last: it is a restored backup or a copy."
    " Look at what waits, then run `notifier resume --cancel-waiting` or `notifier resume`"
)


def paused(n: Notifier) -> Pause | None:
    """The pause, if there is one."""
    with n.db.read() as connection:
        return site.find_pause(connection)


def pause(n: Notifier, *, by: str, reason: str) -> None:
    """Begin no new call; those in flight end, at most one batch for each worker."""
    with n.db.transaction() as connection:
        site.pause(connection, by=by, reason=reason, now=n.clock())


def resume(n: Notifier, *, by: str, cancel_waiting: bool = False) -> int:
    """Let messages leave again; how many that waited were cancelled instead."""
    now = n.clock()
    cancelled = 0
    with n.db.transaction() as connection:
        if cancel_waiting:
            reason = f"cancelled by {by} when the pause ended"
            cancelled = site.cancel_waiting(connection, reason=reason, now=now)
            finishing.finish_done(connection, now=now)
        site.resume(connection)
    for lane in (*n.posts, "mail"):
        n.doorbell.ring(lane)
    return cancelled


def pause_if_restored(n: Notifier, mark: Path | None) -> bool:
    """Pause when the database is a copy; whether it is. Called before anything is delivered.

    A database file has a mark beside it, which `keep_mark` moves on as messages leave: a mark
    that is missing, or that knows of more than the database, shows a copy. PostgreSQL says itself
    which cluster it is, so there `mark` is None.
    """
    with n.db.transaction() as connection:
        known = site.identity(connection)
        restored = bool(known) and not _is_same(connection, known, mark)
        if restored:
            site.pause(connection, by="notifier", reason=_RESTORED, now=n.clock())
            _log.warning("paused: %s", _RESTORED)
        if restored or not known:
            site.set_identity(connection, _new_identity(connection, mark))
    keep_mark(n, mark)
    return restored


def keep_mark(n: Notifier, mark: Path | None) -> None:
    """Write beside the database how far it has come."""
    if mark is None:
        return
    with n.db.read() as connection:
        told = {"identity": site.identity(connection), **asdict(site.progress(connection))}
    text = json.dumps(told)
    if _read(mark) == text:
        return
    new = mark.with_suffix(".new")
    new.write_text(text)
    os.replace(new, mark)


def _is_same(connection: Connection, known: str, mark: Path | None) -> bool:
    if mark is None:
        return known == site.cluster(connection)
    try:
        told = json.loads(_read(mark))
        seen = Progress(posts=told["posts"], batches=told["batches"])
    except (ValueError, KeyError, TypeError):
        return False
    return told["identity"] == known and not site.progress(connection).is_behind(seen)


def _new_identity(connection: Connection, mark: Path | None) -> str:
    return site.cluster(connection) if mark is None else secrets.token_hex(16)


def _read(mark: Path) -> str:
    try:
        return mark.read_text()
    except OSError:
        return ""
