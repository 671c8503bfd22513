"""The embedded engine: woken, not polling; one lane's trouble is nobody else's; nothing is lost.

Real time and real threads, because waking up is what is tested. Every wait ends as soon as
what is waited for has happened.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import monotonic, sleep

import pytest

from notifier.app import build, start_engine
from notifier.domain.audience import Customer, customer
from notifier.domain.delivery import BatchOutcome, Sent
from notifier.domain.plan import MailTime
from notifier.ports import Notifier
from notifier.queueing.embedded import EmbeddedEngine
from notifier.services import audience
from notifier.settings import Settings
from notifier.store.db import Database
from tests.fakes import FakeMail, FakePosts
from tests.services.saying import declare, latest_post, report

NEVER = 3600.0  # seconds between two sweeps, so that only a ring can wake a lane


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
def engine() -> Iterator[EmbeddedEngine]:
    engine = EmbeddedEngine(sweep_seconds=NEVER)
    yield engine
    engine.stop()


def start(engine: EmbeddedEngine, **lanes: Lane) -> None:
    """Start, and wait until every lane has looked for work left from before."""
    engine.start(lanes, upkeep=lambda: None)
    for lane in lanes.values():
        assert lane.wait_for(1)


def test_a_lane_looks_for_work_from_before_when_it_starts(engine: EmbeddedEngine) -> None:
    lane = Lane()
    start(engine, post=lane)
    sleep(0.1)
    assert len(lane.runs) == 1


def test_a_ring_wakes_its_lane_within_50_ms_and_no_other(engine: EmbeddedEngine) -> None:
    post, mail = Lane(), Lane()
    start(engine, post=post, mail=mail)
    taken = []
    for count in range(2, 22):
        rung = monotonic()
        engine.ring("post")
        assert post.wait_for(count)
        taken.append(post.runs[-1] - rung)
    assert median(taken) < 0.05
    assert len(mail.runs) == 1


def test_rings_during_a_run_lead_to_one_more_run(engine: EmbeddedEngine) -> None:
    busy, go_on = threading.Event(), threading.Event()

    def work() -> None:
        busy.set()
        go_on.wait(5)

    lane = Lane(work)
    start(engine, post=lane)
    assert busy.wait(5)
    for _ in range(5):
        engine.ring("post")
    go_on.set()
    assert lane.wait_for(2)
    sleep(0.1)
    assert len(lane.runs) == 2


def test_what_is_due_later_is_done_then(engine: EmbeddedEngine) -> None:
    due = datetime.now(UTC) + timedelta(seconds=0.4)
    answers = [due]
    lane = Lane(lambda: answers.pop() if answers else None)
    begun = monotonic()
    start(engine, mail=lane)
    assert lane.wait_for(2)
    assert 0.3 < lane.runs[1] - begun < 1.5


def test_the_earlier_of_two_times_is_kept(engine: EmbeddedEngine) -> None:
    """A later declaration may have an earlier mail; the first one's time still comes."""
    now = datetime.now(UTC)
    later, sooner = now + timedelta(seconds=0.8), now + timedelta(seconds=0.3)
    answers = [None, later, sooner, later]
    lane = Lane(lambda: answers.pop() if answers else None)
    start(engine, mail=lane)
    engine.ring("mail")
    assert lane.wait_for(4)
    assert len(answers) == 0


def test_a_time_that_has_passed_does_not_make_a_lane_spin(engine: EmbeddedEngine) -> None:
    """A row that is due but that this lane cannot take must not burn a processor."""
    past = datetime.now(UTC) - timedelta(hours=1)
    lane = Lane(lambda: past)
    start(engine, mail=lane)
    sleep(0.4)
    assert len(lane.runs) <= 3


def test_a_lane_that_fails_is_tried_again_and_others_go_on(
    engine: EmbeddedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [OSError("disk full")]

    def fail_once() -> None:
        if failures:
            raise failures.pop()

    sick, well = Lane(fail_once), Lane()
    start(engine, post=sick, mail=well)
    engine.ring("mail")
    assert well.wait_for(2, seconds=0.5)
    assert sick.wait_for(2)
    assert 0.5 < sick.runs[1] - sick.runs[0] < 3
    assert "lane post failed and will be tried again" in caplog.text


def test_a_lane_that_hangs_delays_no_other(engine: EmbeddedEngine) -> None:
    release = threading.Event()
    stuck, free = Lane(lambda: release.wait(5) and None), Lane()
    start(engine, post=stuck, mail=free)
    engine.ring("mail")
    assert free.wait_for(2, seconds=0.5)
    release.set()


def test_a_ring_for_a_lane_that_is_not_here_is_nobodys_business(engine: EmbeddedEngine) -> None:
    lane = Lane()
    start(engine, post=lane)
    engine.ring("elsewhere")
    engine.ring("elsewhere", datetime.now(UTC) + timedelta(hours=1))
    sleep(0.05)
    assert len(lane.runs) == 1


def test_stopping_finishes_the_call_in_flight_and_begins_no_other() -> None:
    engine = EmbeddedEngine(sweep_seconds=NEVER)
    done = threading.Event()

    def slow() -> None:
        sleep(0.3)
        done.set()

    lane, idle = Lane(slow), Lane()
    engine.start({"post": lane, "mail": idle}, upkeep=lambda: None)
    assert lane.wait_for(1)
    engine.ring("post")
    engine.stop()
    assert done.is_set()
    runs = len(lane.runs), len(idle.runs)
    engine.ring("post")
    sleep(0.1)
    assert (len(lane.runs), len(idle.runs)) == runs == (1, 1)
    assert not [t for t in threading.enumerate() if t.name.startswith("lane ")]


def wait_until_idle(engine: EmbeddedEngine, lane: str, seconds: float = 5.0) -> bool:
    """Whether the lane has nothing to do any more within `seconds`."""
    end = monotonic() + seconds
    while not engine.is_idle(lane) and monotonic() < end:
        sleep(0.005)
    return engine.is_idle(lane)


def test_a_lane_is_idle_while_it_waits_and_only_then() -> None:
    engine = EmbeddedEngine(sweep_seconds=NEVER)
    assert not engine.is_idle("post")
    busy, go_on = threading.Event(), threading.Event()
    go_on.set()

    def work() -> None:
        busy.set()
        go_on.wait(5)

    start(engine, post=Lane(work))
    assert wait_until_idle(engine, "post")
    assert not engine.is_idle("elsewhere")
    go_on.clear()
    busy.clear()
    engine.ring("post")
    assert not engine.is_idle("post")
    assert busy.wait(5)
    assert not engine.is_idle("post")
    go_on.set()
    assert wait_until_idle(engine, "post")
    engine.stop()
    assert not engine.is_idle("post")


def test_what_a_lane_is_handed_is_done_at_once_and_in_its_own_thread(
    engine: EmbeddedEngine,
) -> None:
    lane = Lane()
    start(engine, post=lane)
    done = threading.Event()
    seen: list[str] = []

    def work() -> None:
        seen.append(threading.current_thread().name)
        done.set()

    engine.hand("post", work)
    assert done.wait(0.5)
    assert seen == ["lane post"]
    assert lane.wait_for(2)  # and then it looks for more


def test_what_fails_in_a_lane_s_hands_does_not_end_it(
    engine: EmbeddedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    lane = Lane()
    start(engine, post=lane)

    def fail() -> None:
        raise OSError("disk full")

    engine.hand("post", fail)
    assert lane.wait_for(2)
    assert "lane post failed at what it was handed" in caplog.text


def test_what_was_handed_over_is_done_before_a_lane_ends() -> None:
    """It is claimed: left undone it would be unknown until the next start."""
    engine = EmbeddedEngine(sweep_seconds=NEVER)
    done = threading.Event()
    lane = Lane(lambda: sleep(0.3))
    engine.start({"post": lane}, upkeep=lambda: None)
    assert lane.wait_for(1)
    engine.hand("post", done.set)
    engine.stop()
    assert done.is_set()
    assert len(lane.runs) == 1


def test_an_engine_that_never_started_can_be_stopped() -> None:
    EmbeddedEngine().stop()


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'notifier.db'}"


@pytest.fixture
def live(
    settings: Settings, posts: FakePosts, mail: FakeMail, database: Database
) -> Callable[..., Notifier]:
    """A notifier with the clock of the wall; `doorbell` is its engine, or none."""

    def make(engine: EmbeddedEngine | None = None) -> Notifier:
        n = build(settings, doorbell=engine, posts={"x": posts}, mail=mail, database=database)
        audience.put_component(n, slug_="heat", name="Heat")
        return n

    return make


def test_a_declaration_is_posted_at_once_and_its_mail_leaves_in_time(
    live: Callable[..., Notifier], engine: EmbeddedEngine, posts: FakePosts, mail: FakeMail
) -> None:
    n = live(engine)
    audience.put_customer(n, _reader())
    start_engine(n, engine, alone=True)
    begun = monotonic()
    said = declare(n, mail=MailTime(delay=timedelta(seconds=0.6)))
    assert posts.wait_for(1, seconds=1)
    assert monotonic() - begun < 0.5
    assert mail.sent == []
    assert mail.wait_for(1, seconds=5)
    assert monotonic() - begun >= 0.6
    engine.stop()
    assert report(n, said.incident.id).latest.mail is not None


def _reader(who: str = "c1") -> Customer:
    return customer(
        external_id=who,
        email=f"{who}@example.com",
        name="",
        language="en",
        time_zone="UTC",
        components=("heat",),
    )


def test_a_row_that_nobody_rang_for_is_found_by_the_sweep(
    live: Callable[..., Notifier], posts: FakePosts
) -> None:
    """Another process declares: the command line, say."""
    engine = EmbeddedEngine(sweep_seconds=0.1)
    n = live(engine)
    start_engine(n, engine, alone=True)
    try:
        said = declare(live(None))
        assert posts.wait_for(1, seconds=3)
    finally:
        engine.stop()
    assert latest_post(n, said).text == posts.sent[0]


def test_a_mail_whose_time_came_while_nobody_ran_leaves_at_the_start(
    live: Callable[..., Notifier], engine: EmbeddedEngine, posts: FakePosts, mail: FakeMail
) -> None:
    writer = live(None)
    audience.put_customer(writer, _reader())
    declare(writer, mail=MailTime(delay=timedelta(0)))
    assert posts.sent == []
    start_engine(live(engine), engine, alone=True)
    assert posts.wait_for(1)
    assert mail.wait_for(1)


def test_a_post_does_not_wait_for_the_mail_in_front_of_it(
    live: Callable[..., Notifier], engine: EmbeddedEngine, posts: FakePosts, mail: FakeMail
) -> None:
    release = threading.Event()

    def hang(_: object) -> BatchOutcome:
        release.wait(5)
        return BatchOutcome(Sent("1"))

    mail._answer = hang
    n = live(engine)
    audience.put_customer(n, _reader())
    start_engine(n, engine, alone=True)
    declare(n)
    assert posts.wait_for(1, seconds=1)
    sleep(0.1)
    declare(n)
    assert posts.wait_for(2, seconds=1)
    assert mail.sent == []
    release.set()
    assert mail.wait_for(2)


def test_stopping_does_not_wait_for_a_whole_fan_out(
    live: Callable[..., Notifier], engine: EmbeddedEngine, mail: FakeMail
) -> None:
    def slow(_: object) -> BatchOutcome:
        sleep(0.05)
        return BatchOutcome(Sent("1"))

    mail._answer = slow
    mail.batch_size = 1
    n = live(engine)
    for i in range(30):
        audience.put_customer(n, _reader(f"c{i}"))
    declare(n)
    start_engine(n, engine, alone=True)
    assert mail.wait_for(2)
    begun = monotonic()
    engine.stop()
    assert monotonic() - begun < 0.5
    assert len(mail.sent) < 30
