"""A restored backup or a copy: it is known as one, starts paused and says nothing twice."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from notifier.app import build
from notifier.domain.audience import customer
from notifier.domain.delivery import BatchOutcome, Retry, Sent, Unknown
from notifier.ports import Notifier
from notifier.services import audience
from notifier.services.leases import recover
from notifier.services.pausing import (
    keep_mark,
    pause_if_restored,
    paused,
    resume,
)
from notifier.settings import Settings
from notifier.store import site
from notifier.store.db import Database, open_database
from tests.fakes import FakeClock, FakeMail, FakePosts
from tests.services.saying import declare, deliver, hold, later

LOST = Unknown("the answer was lost")
MINUTE = timedelta(minutes=1)


@dataclass
class Place:
    """A folder with an SQLite database that is served, and its mark beside it."""

    folder: Path
    settings: Settings
    clock: FakeClock
    posts: FakePosts
    mail: FakeMail

    @property
    def mark(self) -> Path:
        return self.folder / "served.db.mark"

    @contextmanager
    def served(self) -> Iterator[Notifier]:
        """As `notifier serve` begins and ends, on whatever database lies there."""
        database = open_database(f"sqlite:///{self.folder / 'served.db'}")
        n = build(
            self.settings,
            clock=self.clock,
            posts={"x": self.posts},
            mail=self.mail,
            database=database,
        )
        try:
            pause_if_restored(n, self.mark)
            recover(n, alone=True)
            yield n
            keep_mark(n, self.mark)
        finally:
            database.close()

    def copy(self, n: Notifier) -> Path:
        """A backup as of now."""
        made = self.folder / f"backup-{len(list(self.folder.iterdir()))}.db"
        with n.db.engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            raw.execute("VACUUM INTO ?", (str(made),))
        return made

    def restore(self, copy: Path) -> None:
        """Put a backup in the database's place."""
        for file in self.folder.glob("served.db*"):
            if file != self.mark:
                file.unlink()
        copy.rename(self.folder / "served.db")


@pytest.fixture
def place(
    tmp_path: Path, settings: Settings, clock: FakeClock, posts: FakePosts, mail: FakeMail
) -> Place:
    folder = tmp_path / "place"
    folder.mkdir()
    email = settings.email.model_copy(
        update={"unknown_policy": "resend", "unknown_wait_seconds": MINUTE.total_seconds()}
    )
    return Place(folder, settings.model_copy(update={"email": email}), clock, posts, mail)


def people(n: Notifier, count: int = 12) -> None:
    audience.put_component(n, slug_="heat", name="Heat")
    for i in range(count):
        given: dict[str, Any] = {
            "name": "",
            "language": "en",
            "time_zone": "UTC",
            "components": ("heat",),
        }
        made = customer(external_id=f"c{i}", email=f"c{i}@example.com", **given)
        audience.put_customer(n, made)


def before_anything_left(place: Place, n: Notifier) -> Path:
    declare(n)
    copied = place.copy(n)
    deliver(n)
    return copied


def before_the_declaration(place: Place, n: Notifier) -> Path:
    copied = place.copy(n)
    declare(n)
    deliver(n)
    return copied


def between_two_batches(place: Place, n: Notifier) -> Path:
    copies: list[Path] = []
    place.mail._answer = _also(place.mail._answer, lambda: copies.append(place.copy(n)))
    declare(n)
    deliver(n)
    return copies[1]


def in_the_last_call(place: Place, n: Notifier) -> Path:
    copies: list[Path] = []
    place.mail._answer = _also(place.mail._answer, lambda: copies.append(place.copy(n)))
    declare(n)
    deliver(n)
    return copies[-1]


def before_a_retry(place: Place, n: Notifier) -> Path:
    answers = [BatchOutcome(Retry("busy")), BatchOutcome(Retry("busy"))]
    place.mail._answer = lambda _: answers.pop() if answers else BatchOutcome(Sent("2"))
    declare(n)
    deliver(n)
    copied = place.copy(n)
    place.clock.move(minutes=10)
    deliver(n)
    return copied


def _also(
    answer: Callable[[Any], BatchOutcome], happen: Callable[[], object]
) -> Callable[[Any], BatchOutcome]:
    def both(recipients: Any) -> BatchOutcome:
        happen()
        return answer(recipients)

    return both


@pytest.mark.parametrize(
    "moment",
    [
        before_the_declaration,
        before_anything_left,
        between_two_batches,
        in_the_last_call,
        before_a_retry,
    ],
)
def test_a_restored_backup_is_paused_and_sends_nothing_again(
    place: Place, moment: Callable[[Place, Notifier], Path]
) -> None:
    with place.served() as n:
        people(n)
        copied = moment(place, n)
    assert (len(place.posts.sent), len(place.mail.sent)) == (1, 12)
    tried = len(place.mail.batches)

    place.restore(copied)
    with place.served() as n:
        held = paused(n)
        assert held is not None
        assert held.by == "notifier"
        assert "a restored backup or a copy" in held.reason
        place.mail._answer = lambda _: BatchOutcome(Sent("again"))
        later(n, place.clock)
    with place.served() as n:  # a restart does not end it
        assert paused(n) == held
        resume(n, by="Olga", cancel_waiting=True)
        later(n, place.clock)
        assert (len(place.posts.tried), len(place.mail.batches)) == (1, tried)
        declare(n)
        deliver(n)
        assert (len(place.posts.tried), len(place.mail.sent)) == (2, 24)


def test_a_pause_that_was_copied_along_does_not_hide_that_it_is_a_copy(place: Place) -> None:
    with place.served() as n:
        people(n, 1)
        hold(n)
        copied = place.copy(n)
        resume(n, by="Olga")
        declare(n)
        deliver(n)
    place.restore(copied)
    with place.served() as n:
        held = paused(n)
        assert held is not None
        assert held.by == "notifier"


def test_the_first_start_of_a_new_database_is_not_paused(place: Place) -> None:
    with place.served() as n:
        assert paused(n) is None
    assert place.mark.exists()


def test_an_old_mark_beside_a_new_database_means_nothing(place: Place) -> None:
    with place.served() as n:
        people(n, 1)
        declare(n)
        deliver(n)
    (place.folder / "served.db").unlink()
    with place.served() as n:
        assert paused(n) is None


def test_a_restart_is_not_paused_however_the_process_ended(place: Place) -> None:
    with place.served() as n:
        people(n)
        declare(n)
        deliver(n)
    before = place.mark.read_text()
    with place.served() as n:
        assert paused(n) is None
        declare(n)
        deliver(n)
    place.mark.write_text(before)  # it was killed before it wrote how far it had come
    with place.served() as n:
        assert paused(n) is None


@pytest.mark.parametrize(
    "left", [None, "", "{", "[]", "7", '{"identity": "x"}', '{"identity": 7, "posts": "many"}']
)
def test_a_mark_that_is_missing_or_broken_means_a_copy(place: Place, left: str | None) -> None:
    with place.served():
        pass
    if left is None:
        place.mark.unlink()
    else:
        place.mark.write_text(left)
    with place.served() as n:
        assert paused(n) is not None
        assert json.loads(place.mark.read_text())["identity"]
        resume(n, by="Olga")
    with place.served() as n:
        assert paused(n) is None


def test_the_mark_of_another_database_means_a_copy(place: Place) -> None:
    with place.served():
        told = json.loads(place.mark.read_text())
    place.mark.write_text(json.dumps(told | {"identity": "another"}))
    with place.served() as n:
        assert paused(n) is not None


def test_the_mark_is_written_only_when_something_happened(place: Place) -> None:
    with place.served() as n:
        written = place.mark.stat().st_mtime_ns
        keep_mark(n, place.mark)
        assert place.mark.stat().st_mtime_ns == written
        people(n, 1)
        declare(n)
        keep_mark(n, place.mark)
        assert place.mark.stat().st_mtime_ns > written
        assert [f.name for f in place.folder.glob("*.new")] == []


@pytest.fixture
def postgres(n: Notifier) -> Notifier:
    if n.db.dialect != "postgresql":
        pytest.skip("PostgreSQL says itself which cluster it is")
    return n


def test_postgresql_is_known_by_its_cluster_and_database(postgres: Notifier) -> None:
    n = postgres
    assert not pause_if_restored(n, None)
    assert paused(n) is None
    assert not pause_if_restored(n, None)
    with n.db.transaction() as connection:
        known = site.identity(connection)
        # As a dump says that was restored into another cluster or database.
        site.set_identity(connection, known.replace("/", "1/"))
    assert pause_if_restored(n, None)
    assert paused(n) is not None
    resume(n, by="Olga")
    assert not pause_if_restored(n, None)
    assert paused(n) is None


def test_a_role_without_rights_may_ask_postgresql_what_it_is(
    postgres: Notifier, database: Database
) -> None:
    with database.transaction() as connection:
        connection.execute(text("DROP ROLE IF EXISTS plain"))
        connection.execute(text("CREATE ROLE plain NOSUPERUSER"))
        connection.execute(text("SET LOCAL ROLE plain"))
        asked = site.cluster(connection)
        connection.execute(text("RESET ROLE"))
        connection.execute(text("DROP ROLE plain"))
    assert asked.count("/") == 1
    assert postgres.db is database
