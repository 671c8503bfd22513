"""SQLite as we use it: a library that keeps its commits, the journal, and writers that wait."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from notifier.store.db import Database
from notifier.store.sqlite import journal_mode, library, wal_is_safe


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'notifier.db'}"


# The bug came with WAL in 3.7.0 and was fixed in 3.51.3, 3.50.7 and 3.44.6.
@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 7, 0), False),
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 44, 9), True),
        ((3, 45, 0), False),
        ((3, 46, 1), False),
        ((3, 50, 4), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 0), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), True),
        ((4, 0, 0), True),
    ],
)
def test_wal_is_used_where_the_library_keeps_every_commit(
    version: tuple[int, ...], safe: bool
) -> None:
    assert wal_is_safe(version) == safe
    module: Any = SimpleNamespace(sqlite_version_info=version)
    assert journal_mode(module) == ("WAL" if safe else "TRUNCATE")


def test_the_wheel_s_library_is_preferred() -> None:
    found = library()
    wheel = pytest.importorskip("pysqlite3", reason="the wheel pysqlite3 is not installed here")
    assert found.sqlite_version_info == wheel.sqlite_version_info
    assert wal_is_safe(found.sqlite_version_info)


def pragma(database: Database, name: str) -> Any:
    with database.engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


def test_every_connection_is_durable_and_checks_its_references(database: Database) -> None:
    with database.engine.connect(), database.engine.connect():  # three connections at once
        assert pragma(database, "synchronous") == 2  # FULL
        assert pragma(database, "foreign_keys") == 1
        assert pragma(database, "journal_mode") == journal_mode().lower()
        assert pragma(database, "busy_timeout") >= 5_000


def test_a_broken_reference_is_refused(database: Database) -> None:
    with pytest.raises(Exception, match="FOREIGN KEY constraint failed"):
        _refer_to_nothing(database)


def _refer_to_nothing(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("INSERT INTO incident_components VALUES (1, 1)"))


def test_writers_wait_for_each_other(database: Database) -> None:
    """Each reads first and writes then, which is where SQLite refuses instead of waiting."""
    with database.transaction() as connection:
        connection.execute(text("INSERT INTO component_groups (id, name) VALUES (1, '0')"))
    start = threading.Barrier(2)

    def count() -> None:
        start.wait()
        for _ in range(200):
            with database.transaction() as connection:
                now = connection.scalar(text("SELECT name FROM component_groups"))
                connection.execute(
                    text("UPDATE component_groups SET name = :next"), {"next": str(int(now) + 1)}
                )

    with ThreadPoolExecutor(2) as pool:
        for writer in [pool.submit(count) for _ in range(2)]:
            writer.result()
    with database.read() as connection:
        assert connection.scalar(text("SELECT name FROM component_groups")) == "400"


def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    if journal_mode() != "WAL":
        pytest.skip("only WAL lets readers pass")
    with database.transaction() as writing:
        writing.execute(text("INSERT INTO component_groups (name) VALUES ('Homes')"))
        with database.read() as reading:
            assert reading.scalar(text("SELECT count(*) FROM component_groups")) == 0


def test_a_commit_is_there_for_another_process(database: Database, tmp_path: Path) -> None:
    with database.transaction() as connection:
        connection.execute(text("INSERT INTO component_groups (name) VALUES ('Homes')"))
    other = sqlite3.connect(tmp_path / "notifier.db")
    assert other.execute("SELECT name FROM component_groups").fetchall() == [("Homes",)]
    other.close()
