"""The kill switch: while the site is paused nothing begins to leave, whatever it is."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from notifier.app import build, start_engine
from notifier.domain.audience import customer
from notifier.domain.delivery import BatchOutcome, Retry, Sent, State, Unknown
from notifier.domain.plan import MailTime
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.queueing.embedded import EmbeddedEngine
from notifier.services import audience
from notifier.services.incidents import Conflict
from notifier.services.leases import recover
from notifier.services.pausing import (
    Resumed,
    keep_mark,
    look,
    pause,
    pause_if_restored,
    paused,
    resume,
)
from notifier.services.posting import run_posts
from notifier.services.reconciling import LOOK_AFTER
from notifier.services.settling import Ruling, list_unknown, settle
from notifier.settings import Settings
from notifier.store import site
from notifier.store.db import Database, open_database
from tests.fakes import FakeClock, FakeMail, FakePosts
from tests.services.saying import declare, deliver, latest_mail, latest_post, states
from tests.services.scripted import Scripted, run

LOST = Unknown("the answer was lost")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
def mail(script: Scripted) -> FakeMail:
    return FakeMail(answer=script)


@pytest.fixture
def resending(n: Notifier) -> Notifier:
    """Unknown mail is sent again after a minute."""
    email = n.settings.email.model_copy(
        update={"unknown_policy": "resend", "unknown_wait_seconds": MINUTE.total_seconds()}
    )
    return replace(n, settings=n.settings.model_copy(update={"email": email}))


def hold(n: Notifier) -> None:
    pause(n, by="Olga", reason="the list is wrong")


def later(n: Notifier, clock: FakeClock) -> None:
    """Deliver what is due now, and in a while."""
    for _ in range(3):
        deliver(n)
        clock.move(minutes=10)
    deliver(n)


def test_who_paused_first_keeps_the_word(n: Notifier, clock: FakeClock) -> None:
    assert paused(n) is None
    held = pause(n, by="Olga", reason="  the list is wrong ")
    assert (held.since, held.by, held.reason) == (clock.now, "Olga", "the list is wrong")
    clock.move(minutes=1)
    assert pause(n, by="Amina", reason="me too") == held == paused(n)
    resume(n, by="Amina")
    assert paused(n) is None


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 301])
def test_a_pause_has_a_reason(n: Notifier, reason: str) -> None:
    with pytest.raises(Invalid, match=r"^reason "):
        pause(n, by="Olga", reason=reason)
    assert paused(n) is None


def test_new_posts_and_mails_wait_and_leave_afterwards(
    n: Notifier, add_customers: Any, clock: FakeClock, posts: FakePosts, mail: FakeMail
) -> None:
    add_customers(12)
    hold(n)
    said = declare(n)
    later(n, clock)
    assert (posts.tried, mail.batches) == ([], [])
    assert latest_post(n, said).state is latest_mail(n, said).state is State.PLANNED
    assert look(n).messages == 2
    assert resume(n, by="Olga") == Resumed(cancelled=0, leaving=2)
    deliver(n)
    assert (len(posts.sent), len(mail.sent), look(n).messages) == (1, 12, 0)


def test_a_fan_out_stops_after_the_batch_in_flight(
    n: Notifier, add_customers: Any, clock: FakeClock, script: Scripted, mail: FakeMail
) -> None:
    add_customers(35)
    said = declare(n)
    script.meanwhile = lambda: hold(n)
    run(n)
    later(n, clock)
    assert states(n, said) == {State.ACCEPTED: 10}
    assert resume(n, by="Olga").leaving == 2  # the mail, and the post that nobody delivered here
    script.meanwhile = lambda: None
    run(n)
    assert Counter(mail.addresses) == Counter(f"c{i}@example.com" for i in range(35))


def test_nothing_is_tried_again_while_paused(
    n: Notifier, add_customers: Any, clock: FakeClock, posts: FakePosts, script: Scripted
) -> None:
    add_customers(4)
    posts.answers = [Retry("busy")]
    script.outcomes = [BatchOutcome(Sent("1"), {2: Retry("greylisted")})]
    said = declare(n)
    deliver(n)
    hold(n)
    later(n, clock)
    assert (len(posts.tried), len(script.asked)) == (1, 1)
    assert look(n).messages == 2
    resume(n, by="Olga")
    deliver(n)
    assert (len(posts.sent), len(script.asked)) == (1, 2)
    assert states(n, said) == {State.ACCEPTED: 4}


def test_nothing_unknown_is_looked_into_or_sent_again_while_paused(
    resending: Notifier,
    add_customers: Any,
    clock: FakeClock,
    posts: FakePosts,
    script: Scripted,
) -> None:
    n = resending
    add_customers(4)
    posts.answers, script.outcomes = [LOST], [BatchOutcome(LOST)]
    said = declare(n)
    deliver(n)
    hold(n)
    later(n, clock)
    assert (posts.looked_for, len(posts.tried), len(script.asked)) == ([], 1, 1)
    assert look(n).messages == 0
    resume(n, by="Olga")
    deliver(n)
    assert (len(posts.looked_for), len(posts.sent), len(script.asked)) == (1, 1, 2)
    assert states(n, said) == {State.ACCEPTED: 4}


def test_what_an_operator_sends_again_waits_too(
    n: Notifier, add_customers: Any, clock: FakeClock, posts: FakePosts, script: Scripted
) -> None:
    add_customers(4)
    posts.answers, posts.found = [LOST], [LOST]
    script.outcomes = [BatchOutcome(LOST)]
    said = declare(n)
    deliver(n)
    clock.now += LOOK_AFTER
    deliver(n)
    hold(n)
    settle(n, latest_post(n, said).id, Ruling.SEND_AGAIN, by="Olga")
    settle(n, latest_mail(n, said).id, Ruling.SEND_AGAIN, by="Olga")
    later(n, clock)
    assert (len(posts.tried), len(script.asked), look(n).messages) == (1, 1, 2)
    resume(n, by="Olga")
    deliver(n)
    assert (len(posts.sent), len(script.asked)) == (1, 2)


def test_what_waits_can_be_cancelled_instead(
    n: Notifier, add_customers: Any, clock: FakeClock, posts: FakePosts, mail: FakeMail
) -> None:
    add_customers(4)
    at_once, scheduled = declare(n), declare(n, mail=MailTime(delay=60 * MINUTE))
    hold(n)
    assert resume(n, by="Olga", cancel_waiting=True) == Resumed(cancelled=4, leaving=0)
    later(n, clock)
    clock.move(hours=2)
    deliver(n)
    assert (posts.tried, mail.batches) == ([], [])
    for said in (at_once, scheduled):
        for message in (latest_post(n, said), latest_mail(n, said)):
            assert message.state is State.CANCELLED
            assert message.reason == "cancelled by Olga when the pause ended"
    declare(n)
    deliver(n)
    assert (len(posts.sent), len(mail.sent)) == (1, 4)


def test_readers_who_were_not_reached_are_cancelled_too(
    n: Notifier, add_customers: Any, clock: FakeClock, script: Scripted, mail: FakeMail
) -> None:
    add_customers(35)
    script.outcomes = [BatchOutcome(Sent("1"), {i: Retry("greylisted") for i in (2, 5)})]
    said = declare(n)
    run_posts(n, "x")
    script.meanwhile = lambda: hold(n)
    run(n)
    assert resume(n, by="Olga", cancel_waiting=True) == Resumed(cancelled=1, leaving=0)
    later(n, clock)
    assert len(mail.sent) == 8
    assert states(n, said) == {State.ACCEPTED: 8, State.CANCELLED: 2}
    assert latest_mail(n, said).state is State.ACCEPTED
    assert latest_mail(n, said).reason == "cancelled by Olga when the pause ended"


def test_what_is_in_flight_meanwhile_is_not_tried_again(
    n: Notifier, add_customers: Any, clock: FakeClock, script: Scripted
) -> None:
    add_customers(3)

    def over_before_the_answer_came() -> None:
        hold(n)
        resume(n, by="Olga", cancel_waiting=True)

    script.meanwhile = over_before_the_answer_came
    script.outcomes = [BatchOutcome(Retry("busy"))]
    said = declare(n)
    run(n)
    later(n, clock)
    assert len(script.asked) == 1
    assert set(states(n, said)) == {State.SUPERSEDED}


def test_what_is_unknown_is_left_to_the_operator_when_what_waits_is_cancelled(
    resending: Notifier,
    add_customers: Any,
    clock: FakeClock,
    posts: FakePosts,
    script: Scripted,
) -> None:
    n = resending
    add_customers(4)
    posts.answers, script.outcomes = [LOST], [BatchOutcome(LOST)]
    declare(n)
    deliver(n)
    hold(n)
    assert resume(n, by="Olga", cancel_waiting=True).cancelled == 0
    later(n, clock)
    assert (posts.looked_for, len(posts.tried), len(script.asked)) == ([], 1, 1)
    listed = list_unknown(n)
    assert [row.look_at for row in (*listed.posts, *listed.mails)] == [None, None]


@pytest.mark.parametrize("cancel_waiting", [False, True])
def test_where_nothing_is_paused_nothing_is_cancelled(
    n: Notifier, posts: FakePosts, cancel_waiting: bool
) -> None:
    audience.put_component(n, slug_="heat", name="Heat")
    declare(n)
    with pytest.raises(Conflict, match="nothing is paused, so nothing was changed"):
        resume(n, by="Olga", cancel_waiting=cancel_waiting)
    deliver(n)
    assert len(posts.sent) == 1


def test_a_running_engine_sends_nothing_before_it_is_resumed(
    n: Notifier,
    add_customers: Any,
    posts: FakePosts,
    mail: FakeMail,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also not what a declaration would hand to an idle lane."""
    monkeypatch.chdir(tmp_path)  # where the engine leaves the mark of the database
    add_customers(3)
    engine = EmbeddedEngine(sweep_seconds=0.05)
    n = replace(n, doorbell=engine)
    start_engine(n, engine, alone=True)
    try:
        _until(lambda: engine.is_idle("x"))
        hold(n)
        said = declare(n)
        time.sleep(0.5)
        assert (posts.tried, mail.batches) == ([], [])
        assert latest_post(n, said).state is State.PLANNED
        resume(n, by="Olga")
        assert posts.wait_for(1)
        assert mail.wait_for(3)
    finally:
        engine.stop()


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


# --- A database that is not the one that was served last ---------------------------------------


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
