"""The distributed engine: rung for by what is committed, and by nothing else; never spinning.

Real time and a real PostgreSQL, because that is what carries the rings.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Any

import pytest
from sqlalchemy import text

from notifier.app import build, load_settings, migrate_queue
from notifier.ports import Notifier
from notifier.queueing import procrastinate_schema
from notifier.queueing.distributed import DistributedDoorbell, DistributedEngine
from notifier.settings import Settings, SettingsError
from notifier.store.db import Database, DatabaseError, open_database
from tests.services.saying import declare

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]


class Lane:
    """A lane that writes down when it ran. `work` is what it does then."""

    def __init__(self, work: Callable[[], datetime | None] = lambda: None) -> None:
        self.runs: list[float] = []
        self.work = work
        self._changed = threading.Condition()

    def __call__(self) -> datetime | None:
        with self._changed:
            self.runs.append(monotonic())
            self._changed.notify_all()
        return self.work()

    def wait_for(self, runs: int, seconds: float = 5.0) -> bool:
        """Whether it ran so often within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.runs) >= runs, seconds)


@pytest.fixture
def database(database: Database) -> Database:
    procrastinate_schema.ensure(database)
    return database


@pytest.fixture
def start(database: Database) -> Iterator[Callable[..., DistributedEngine]]:
    """Start an engine with these lanes, and wait until its first sweep has rung for all."""
    engines = []

    def start(*, concurrency: int = 1, upkeep: Any = None, **lanes: Lane) -> DistributedEngine:
        url = database.engine.url.render_as_string(hide_password=False)
        engine = DistributedEngine(url, concurrency=concurrency)
        engines.append(engine)
        engine.start(lanes, upkeep=upkeep or (lambda: None))
        for lane in lanes.values():
            assert lane.wait_for(1, seconds=8)
        return engine

    yield start
    for engine in engines:
        engine.stop()


def enlist(database: Database, lane: str, at: datetime | None = None) -> None:
    with database.transaction() as connection:
        DistributedDoorbell().enlist(connection, lane, at)


def jobs(database: Database) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        query = text("SELECT queue_name, scheduled_at FROM procrastinate_jobs ORDER BY 1, 2")
        return [tuple(row) for row in connection.execute(query)]


def test_a_rollback_leaves_no_ring_and_a_commit_leaves_one(database: Database) -> None:
    class Undone(Exception):
        pass

    def ring_and_fail() -> None:
        with database.transaction() as connection:
            DistributedDoorbell().enlist(connection, "x")
            raise Undone

    with pytest.raises(Undone):
        ring_and_fail()
    assert jobs(database) == []
    enlist(database, "x")
    assert jobs(database) == [("x", None)]


@pytest.mark.usefixtures("add_customers")
def test_a_declaration_rings_for_its_posts_at_once_and_for_its_mail_in_time(
    n: Notifier, database: Database, add_customers: Any
) -> None:
    add_customers(1)
    far = Notifier(**{f: getattr(n, f) for f in n.__slots__} | {"doorbell": DistributedDoorbell()})
    declare(far)
    assert [queue for queue, _ in jobs(database)] == ["mail", "x"]


def test_a_ring_wakes_its_lane_and_no_other(
    start: Callable[..., DistributedEngine], database: Database
) -> None:
    post, mail = Lane(), Lane()
    start(x=post, mail=mail)
    taken = []
    for _ in range(10):
        before = len(post.runs)
        rung = monotonic()
        enlist(database, "x")
        assert post.wait_for(before + 1)
        taken.append(post.runs[before] - rung)
        sleep(0.02)
    assert median(taken) < 0.1
    assert len(mail.runs) <= 2, "more than a sweep's"


def test_the_earlier_of_two_times_is_kept_whichever_is_rung_for_first(
    start: Callable[..., DistributedEngine], database: Database
) -> None:
    now = datetime.now(UTC)
    sooner, later = now + timedelta(seconds=1), now + timedelta(seconds=2)
    answers = [later, sooner]  # popped from the end: first `sooner`, then `later`
    lane = Lane(lambda: answers.pop() if answers else None)
    begun = monotonic()
    start(mail=lane)
    enlist(database, "mail", later)
    enlist(database, "mail", sooner)
    sleep(3.2)
    since = [run - begun for run in lane.runs]
    assert any(0.9 < s < 1.9 for s in since), since
    assert any(1.9 < s < 2.9 for s in since), since


def test_what_is_overdue_or_seems_so_to_a_slow_clock_does_not_make_a_lane_spin(
    start: Callable[..., DistributedEngine],
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    past = soon - timedelta(hours=1)
    blocked, slow = Lane(lambda: past), Lane(lambda: soon)
    start(x=blocked, mail=slow)
    sleep(1.5)
    assert len(blocked.runs) <= 2
    assert len(slow.runs) <= 4


def test_a_lane_that_fails_is_tried_again_and_others_go_on(
    start: Callable[..., DistributedEngine], caplog: pytest.LogCaptureFixture
) -> None:
    failures = [OSError("disk full")]

    def fail_once() -> None:
        if failures:
            raise failures.pop()

    sick, well = Lane(fail_once), Lane()
    start(x=sick, mail=well)
    assert sick.wait_for(2, seconds=8)
    assert "lane x failed and will be tried again" in caplog.text


def test_a_lane_that_hangs_delays_no_other(
    start: Callable[..., DistributedEngine], database: Database
) -> None:
    release = threading.Event()
    stuck, free = Lane(lambda: release.wait(5) and None), Lane()
    start(x=stuck, y=free)
    before = len(free.runs)
    enlist(database, "y")
    assert free.wait_for(before + 1, seconds=1)
    release.set()


def test_upkeep_is_done_every_few_seconds_however_many_workers_there_are(
    start: Callable[..., DistributedEngine],
) -> None:
    kept, shared = Lane(), Lane()
    start(upkeep=kept, x=shared)
    start(upkeep=kept, x=shared)
    runs = len(kept.runs)
    sleep(10.5)
    assert 1 <= len(kept.runs) - runs <= 3


def test_who_is_called_for_help_joins(start: Callable[..., DistributedEngine]) -> None:
    release = threading.Event()
    busy = Lane(lambda: release.wait(5) and None)
    engine = start(concurrency=2, mail=busy)
    engine.call_for_help()
    assert busy.wait_for(2, seconds=1)
    release.set()


def test_stopping_finishes_the_call_in_flight(
    start: Callable[..., DistributedEngine], database: Database
) -> None:
    done = threading.Event()

    def slow() -> None:
        sleep(0.5)
        done.set()

    lane = Lane(slow)
    engine = start(x=lane)
    engine.stop()
    assert done.is_set()
    assert not engine.goes_on()
    runs = len(lane.runs)
    enlist(database, "x")
    sleep(0.7)
    assert len(lane.runs) == runs
    assert jobs(database) == [("x", None)]
    assert not [t for t in threading.enumerate() if t.name.startswith(("lane ", "rings"))]


def test_an_engine_that_never_started_can_be_stopped(database_url: str) -> None:
    DistributedEngine(database_url, concurrency=1).stop()


def distributed(tmp_path: Path, url: str) -> Settings:
    empty = tmp_path / "empty.toml"
    empty.touch()
    environ = {"NOTIFIER_DATABASE_URL": url, "NOTIFIER_QUEUE": "distributed"}
    return load_settings(path=empty, environ=environ)


def test_the_tables_are_made_once_by_however_many_processes(
    tmp_path: Path, database_url: str
) -> None:
    settings = distributed(tmp_path, database_url)
    with ThreadPoolExecutor(4) as pool:
        notifiers = list(pool.map(lambda _: build(settings), range(4)))
    assert all(isinstance(n.doorbell, DistributedDoorbell) for n in notifiers)
    assert migrate_queue(settings) is False
    for n in notifiers:
        n.db.close()


def test_older_tables_are_brought_up_to_date_by_migrate_and_by_nothing_else(
    tmp_path: Path, database_url: str
) -> None:
    """The tables as Procrastinate 3.3 left them, which lack the newest function."""
    scripts = [s for s in procrastinate_schema.list_scripts() if s < "03.04"]
    empty = open_database(database_url)
    with empty.transaction() as connection:
        for script in scripts:
            procrastinate_schema.run_script(connection, script)
        connection.execute(text(f"COMMENT ON TABLE procrastinate_jobs IS '{scripts[-1]}'"))
    settings = distributed(tmp_path, database_url)
    with pytest.raises(DatabaseError, match="back it up and run `notifier migrate`"):
        build(settings)
    assert migrate_queue(settings) is True
    with empty.read() as connection:
        found = connection.scalars(text("SELECT to_regproc('procrastinate_retry_job_v2')")).one()
    assert found is not None
    empty.close()
    build(settings).db.close()


@pytest.mark.parametrize(
    ("comment", "sentence"),
    [("NULL", "another program's Procrastinate"), ("'99.00.00_01_x.sql'", "a newer Procrastinate")],
)
def test_tables_that_are_not_ours_are_left_alone(
    tmp_path: Path, database_url: str, database: Database, comment: str, sentence: str
) -> None:
    with database.transaction() as connection:
        connection.execute(text(f"COMMENT ON TABLE procrastinate_jobs IS {comment}"))
    settings = distributed(tmp_path, database_url)
    with pytest.raises(DatabaseError, match=sentence):
        build(settings)
    with pytest.raises(DatabaseError, match=sentence):
        migrate_queue(settings)


def test_sqlite_is_refused_in_one_sentence(tmp_path: Path, database_url: str) -> None:
    with pytest.raises(SettingsError, match="'distributed' needs PostgreSQL") as refused:
        distributed(tmp_path, f"sqlite:///{tmp_path / 'notifier.db'}")
    assert str(refused.value).startswith("NOTIFIER_QUEUE: ")
    assert distributed(tmp_path, database_url).queue == "distributed"
