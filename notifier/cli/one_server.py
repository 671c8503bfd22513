"""One server per SQLite database: who serves holds a lock on a file beside it.

Two processes that both believed to be alone would each call the other's messages lost. The
kernel drops the lock when its holder dies, however it dies.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from notifier.store.db import DatabaseError
from notifier.store.sqlite import file_of

# A server that is being replaced needs a moment to end; and `is_served` holds the lock for one.
_PATIENCE_SECONDS = 2.0


@contextmanager
def hold(database_url: str) -> Iterator[bool]:
    """Be the only server of this database for as long as the block runs.

    Yields whether we certainly are: not so on PostgreSQL, which several servers may share, and
    on systems without flock(2). Raises DatabaseError when another one is.
    """
    path = _lock_file(database_url)
    if path is None or sys.platform == "win32":
        yield False
        return
    with _open(path) as file:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _lock(file):
            if time.monotonic() > deadline:
                raise DatabaseError(_taken(file))
            time.sleep(0.05)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield True


def is_served(database_url: str) -> bool | None:
    """Whether some process serves this database; None where nobody can tell."""
    path = _lock_file(database_url)
    if path is None or sys.platform == "win32":
        return None
    if not path.exists():
        return False
    with _open(path) as file:
        return not _lock(file)


def database_file(database_url: str) -> Path | None:
    """The file of an SQLite database; None for any other, and for an address that is none."""
    try:
        url = make_url(database_url)
    except ArgumentError:
        return None  # who opens the database says what is wrong with its address
    return file_of(url) if url.get_backend_name() == "sqlite" else None


def _lock_file(database_url: str) -> Path | None:
    database = database_file(database_url)
    return Path(f"{database}.lock.pid") if database else None


def _open(path: Path) -> IO[str]:
    try:
        return path.open("a+")
    except OSError as error:
        raise DatabaseError(
            f"the database's folder {path.parent} cannot be written: {error.strerror}"
        ) from None


def _lock(file: IO[str]) -> bool:
    """Take the lock, unless somebody has it; closing the file gives it back."""
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _taken(file: IO[str]) -> str:
    file.seek(0)
    pid = file.read().strip()
    who = f"process {pid}" if pid else "another process"
    return (
        f"{who} already serves this database: stop it first, or use PostgreSQL, which several"
        " servers can share"
    )
