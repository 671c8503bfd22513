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
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import Connection

from notifier.domain.text import line
from notifier.ports import Notifier
from notifier.services.incidents import Conflict
from notifier.store import site, waiting
from notifier.store.site import Pause, Progress
from notifier.store.sqlite import file_of

_log = logging.getLogger(__name__)

#: A sentence or two, which stands on every page.
REASON_MAX = 300

_RESTORED = (
    "this database is not the one that was served here last: it is a restored backup or a copy."
    " Look at what waits, then run `notifier resume --cancel-waiting` or `notifier resume`"
)


@dataclass(frozen=True, slots=True)
class Resumed:
    """The end of a pause: how many messages were cancelled, and how many leave in their time."""

    cancelled: int
    leaving: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Whether the site is paused, and how many messages have not left."""

    pause: Pause | None
    messages: int


def paused(n: Notifier) -> Pause | None:
    """The pause, if there is one."""
    with n.db.read() as connection:
        return site.find_pause(connection)


def look(n: Notifier) -> Waiting:
    """The pause, if there is one, and how much waits."""
    with n.db.read() as connection:
        return Waiting(site.find_pause(connection), waiting.count_waiting(connection))


def pause(n: Notifier, *, by: str, reason: str) -> Pause:
    """Begin no new call; those in flight end, at most one batch for each worker.

    The pause that holds: who paused first keeps the word. Raises Invalid.
    """
    reason = line("reason", reason, limit=REASON_MAX)
    with n.db.transaction() as connection:
        site.pause(connection, by=by, reason=reason, now=n.clock())
        held = site.find_pause(connection)
    assert held is not None  # noqa: S101 (for mypy: it was just written)
    return held


def resume(n: Notifier, *, by: str, cancel_waiting: bool = False) -> Resumed:
    """Let messages leave again, or cancel those that waited. Raises Conflict.

    Where nothing is paused nothing is cancelled: a colleague may have let it leave on purpose.
    """
    now = n.clock()
    cancelled = 0
    with n.db.transaction() as connection:
        if not site.resume(connection):
            raise Conflict("nothing is paused, so nothing was changed: messages leave already")
        if cancel_waiting:
            reason = f"cancelled by {by} when the pause ended"
            cancelled = waiting.cancel_waiting(connection, reason=reason, now=now)
        leaving = waiting.count_waiting(connection)
        for lane in (*n.posts, "mail"):
            n.doorbell.enlist(connection, lane)
    for lane in (*n.posts, "mail"):
        n.doorbell.ring(lane)
    _log.warning("resumed by %s: %s cancelled, %s wait for their turn", by, cancelled, leaving)
    return Resumed(cancelled, leaving)


def mark_of(n: Notifier) -> Path | None:
    """The mark beside the database, if it is one in a file."""
    file = file_of(n.db.engine.url) if n.db.dialect == "sqlite" else None
    return Path(f"{file}.mark") if file else None


def pause_if_restored(n: Notifier, mark: Path | None) -> bool:
    """Pause when the database is a copy; whether it is. Called before anything is delivered.

    A database file has a mark beside it, which `keep_mark` moves on as messages leave: a mark
    that is missing, that knows of more than the database, or that was copied along from beside
    another file, shows a copy. PostgreSQL says itself which cluster it is, so there `mark` is None.
    """
    with n.db.transaction() as connection:
        known = site.identity(connection)
        restored = bool(known) and not _is_same(connection, known, mark)
        if restored:
            site.resume(connection)  # a pause that was copied along must not hide this one
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
        told = {
            "identity": site.identity(connection),
            "file": _number_of_file(mark),
            **asdict(site.progress(connection)),
        }
    text = json.dumps(told)
    if _read(mark) == text:
        return
    new = mark.with_name(f"{mark.name}.new")
    with new.open("w") as file:
        file.write(text)
        # Else a power cut could leave it empty, which looks like a copy's.
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, mark)


def _is_same(connection: Connection, known: str, mark: Path | None) -> bool:
    if mark is None:
        return known == site.cluster(connection)
    try:
        told = json.loads(_read(mark))
        identity, file = told.pop("identity"), told.pop("file", None)
        seen = Progress(**told)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    # Marks of the first versions name no file.
    if file not in (None, _number_of_file(mark)):
        return False
    return bool(identity == known) and not site.progress(connection).is_behind(seen)


def _number_of_file(mark: Path) -> int:
    """The inode of the database: a folder that is copied has other files in it."""
    return mark.with_suffix("").stat().st_ino


def _new_identity(connection: Connection, mark: Path | None) -> str:
    return site.cluster(connection) if mark is None else secrets.token_hex(16)


def _read(mark: Path) -> str:
    try:
        return mark.read_text()
    except OSError:
        return ""
