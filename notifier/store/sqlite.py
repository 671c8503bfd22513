"""SQLite: which library, which journal, and transactions that take the write lock at once.

SQLite 3.7.0 to 3.51.2 can lose commits in WAL mode when several connections checkpoint
(fixed in 3.51.3, and in 3.50.7 and 3.44.6). The wheel `pysqlite3` carries its own, fixed
library; where it is not installed and the system's library is affected, the rollback journal
is used instead: slower, and safe.
"""

from __future__ import annotations

import importlib
import importlib.util
import sqlite3
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

#: Execution option under which a connection begins with the write lock.
WRITE = "notifier_write"

_BUSY_MS = 10_000
# A fan-out walks its tables once and in order, so what a connection keeps of them is of no use
# to it: 2 MB are as fast as 16 MB, which only made a delivering process grow by as much.
_CACHE_KB = 4_096


def library() -> ModuleType:
    """The DB-API module to use: `pysqlite3` where it is installed, else the standard one."""
    if importlib.util.find_spec("pysqlite3"):
        return importlib.import_module("pysqlite3.dbapi2")
    return sqlite3


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite version keeps every commit in WAL mode."""
    return (
        version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    )


def journal_mode(module: ModuleType | None = None) -> str:
    """`WAL` where it is safe, else `TRUNCATE` (a rollback journal)."""
    return "WAL" if wal_is_safe((module or library()).sqlite_version_info) else "TRUNCATE"


def open_engine(url: URL) -> Engine:
    """An engine on the file of `url`, which is made if it does not exist."""
    module = library()
    mode = journal_mode(module)
    engine = create_engine(url, module=module, connect_args={"timeout": _BUSY_MS / 1000})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        _set_journal(connection, mode, busy=module.OperationalError)
        for pragma in (
            "synchronous=FULL",  # a commit we acknowledged survives a power cut
            "foreign_keys=ON",
            f"busy_timeout={_BUSY_MS}",
            f"cache_size=-{_CACHE_KB}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later fails at once with SQLITE_BUSY when
        # another writer came between, whatever the timeout; so writers take the lock up front.
        write = connection.get_execution_options().get(WRITE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _set_journal(connection: Any, mode: str, *, busy: type[Exception]) -> None:
    """Use that journal, however many processes make the file at this moment.

    Two that change the mode at once each hold what the other one needs; SQLite then fails at once
    instead of waiting (sqlite.org/c3ref/busy_handler.html): of six that opened an empty file
    together, one was refused 2 times in 25. Raises `busy` once the usual wait is over.
    """
    give_up_at = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            connection.execute(f"PRAGMA journal_mode={mode}")
        except busy as error:
            if "locked" not in str(error) or time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)
        else:
            return


def file_of(url: URL) -> Path | None:
    """The database file, or None for a database in memory."""
    return Path(url.database) if url.database and url.database != ":memory:" else None
