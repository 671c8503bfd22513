"""Health across the database: shared by workers, kept over restarts, on both kinds of database."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier
from time import perf_counter

import pytest
from sqlalchemy import Connection, event, select

from notifier.app import build
from notifier.domain.delivery import Outcome, Rejected, Retry, Sent, Unknown
from notifier.domain.health import Breaker, Rate
from notifier.ports import MailChannel, Notifier
from notifier.services import health
from notifier.services.health import ChannelReport, NoSuchChannel
from notifier.settings import Settings
from notifier.store.db import Database
from notifier.store.schema import channel_health, channel_minutes
from tests.fakes import FakeClock, FakeMail, FakePosts

LOST = Unknown("its answer was lost")
KEY_REFUSED = Retry("check the key (401)", timedelta(minutes=1), account=True)
TOO_MANY = Retry("too many (429)", timedelta(minutes=15))
WORKERS = 8


@pytest.fixture
def backup() -> FakeMail:
    return FakeMail("standby")


@pytest.fixture
def n(
    settings: Settings,
    clock: FakeClock,
    posts: FakePosts,
    mail: FakeMail,
    backup: FakeMail,
    database: Database,
) -> Notifier:
    return build(
        settings, clock=clock, posts={"x": posts}, mail=mail, backup=backup, database=database
    )


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def admit(n: Notifier, channel: str = "x", cost: int = 1) -> datetime | None:
    with n.db.transaction() as connection:
        return health.admit(connection, n, channel, now=n.clock(), cost=cost)


def route(n: Notifier, roll: float = 0.5) -> MailChannel | datetime:
    with n.db.transaction() as connection:
        return health.route(connection, n, now=n.clock(), roll=lambda: roll)


def carrier(n: Notifier, roll: float = 0.5) -> str:
    chosen = route(n, roll)
    assert not isinstance(chosen, datetime), chosen
    return chosen.name


def record(
    n: Notifier,
    channel: str,
    outcome: Outcome,
    *,
    times: int = 1,
    took: float = 0.2,
    cost: int = 1,
) -> None:
    for _ in range(times):
        with n.db.transaction() as connection:
            health.record(connection, n, channel, outcome, now=n.clock(), seconds=took, cost=cost)


def release(n: Notifier, channel: str, cost: int = 1) -> None:
    with n.db.transaction() as connection:
        health.release(connection, n, channel, now=n.clock(), cost=cost)


def report(n: Notifier, channel: str) -> ChannelReport:
    with n.db.read() as connection:
        found = health.report(connection, n, n.clock())
    assert [r.name for r in found] == ["x", "fakemail", "standby"]
    return next(r for r in found if r.name == channel)


def rows(n: Notifier) -> tuple[int, int]:
    """How many rows there are of channels' health, and of calls by the minute."""
    with n.db.read() as connection:
        return (
            len(connection.execute(select(channel_health)).all()),
            len(connection.execute(select(channel_minutes)).all()),
        )


@pytest.fixture
def statements(n: Notifier) -> Iterator[list[str]]:
    said: list[str] = []

    def note(_c: Connection, _cursor: object, sql: str, *_rest: object) -> None:
        said.append(sql)

    event.listen(n.db.engine, "before_cursor_execute", note)
    yield said
    event.remove(n.db.engine, "before_cursor_execute", note)


def together(work: Callable[[], object]) -> Counter[object]:
    """What came of `work`, done by eight at the same moment."""
    start = Barrier(WORKERS)

    def one(_worker: int) -> object:
        start.wait()
        return work()

    with ThreadPoolExecutor(WORKERS) as pool:
        return Counter(pool.map(one, range(WORKERS)))


def test_a_post_through_a_healthy_channel_costs_one_look_and_writes_nothing(
    n: Notifier, statements: list[str]
) -> None:
    assert admit(n) is None
    record(n, "x", Sent("1"))
    assert [sql.split()[0] for sql in statements if sql.split()[0] != "BEGIN"] == ["SELECT"] * 2
    assert rows(n) == (0, 0)


def test_the_look_takes_less_than_a_tenth_of_a_millisecond_here(n: Notifier) -> None:
    if n.db.dialect != "sqlite":
        pytest.skip("PostgreSQL answers over a socket; the figure is SQLite's")
    record(n, "x", LOST)  # so that there is a row to read
    record(n, "x", Sent("1"))
    took = []
    with n.db.transaction() as connection:
        for _ in range(300):
            began = perf_counter()
            assert health.admit(connection, n, "x", now=n.clock()) is None
            took.append(perf_counter() - began)
    # The least of many, because the machine does other things; three times the figure, because
    # it may be a slow one.
    assert min(took) < 0.0003


def test_mail_writes_one_row_a_minute_and_worker(n: Notifier, clock: FakeClock) -> None:
    record(n, "fakemail", Sent(""), times=20)
    assert rows(n) == (0, 1)
    clock.move(minutes=1)
    record(n, "fakemail", Sent(""), times=20)
    assert rows(n) == (0, 2)


def test_five_failures_close_the_channel_for_all_until_one_probe_went_well(
    n: Notifier, clock: FakeClock
) -> None:
    record(n, "x", LOST, times=5)
    now = clock()
    assert admit(n) == now + seconds(30)
    clock.move(seconds=30)
    assert admit(n) is None
    assert admit(n) == clock() + seconds(1)
    record(n, "x", Sent("1"))
    assert admit(n) is None
    assert report(n, "x").breaker is Breaker.CLOSED


def test_what_is_known_of_a_channel_survives_a_restart(
    n: Notifier, settings: Settings, clock: FakeClock, posts: FakePosts
) -> None:
    record(n, "x", TOO_MANY)
    started = build(settings, clock=clock, posts={"x": posts}, mail=FakeMail(), database=n.db)
    assert admit(started) == clock() + timedelta(minutes=15)


def test_of_eight_who_ask_together_one_is_the_probe(n: Notifier, clock: FakeClock) -> None:
    record(n, "x", LOST, times=5)
    for _ in range(5):
        clock.move(seconds=60)
        found = together(lambda: admit(n))
        assert found == {None: 1, clock() + seconds(1): WORKERS - 1}
        record(n, "x", LOST)


def test_of_eight_who_ask_together_for_a_provider_one_probes_it(
    n: Notifier, clock: FakeClock
) -> None:
    record(n, "fakemail", LOST, times=5)
    for _ in range(5):
        clock.move(seconds=60)
        assert together(lambda: carrier(n)) == {"fakemail": 1, "standby": WORKERS - 1}
        record(n, "fakemail", LOST)


def test_eight_who_pay_together_stay_within_the_rate(n: Notifier, posts: FakePosts) -> None:
    posts.rate = Rate(3, seconds(1))
    found = together(lambda: admit(n))
    assert found[None] == 3


def test_eight_who_record_together_lose_no_count(n: Notifier) -> None:
    together(lambda: record(n, "fakemail", LOST, times=10))
    assert report(n, "fakemail").failures == report(n, "fakemail").calls == 80


def test_workers_that_record_one_provider_and_take_the_other_do_not_wait_for_each_other(
    n: Notifier, mail: FakeMail, backup: FakeMail
) -> None:
    """Both rows are locked in one order; else PostgreSQL ends one of two by its deadlock check."""
    mail.rate = backup.rate = Rate(1_000_000, seconds(1))
    failed = iter(["fakemail", "standby"] * (WORKERS // 2))

    def one() -> None:
        mine = next(failed)
        for outcome in (LOST, Sent("")) * 10:
            with n.db.transaction() as connection:
                now = n.clock()
                health.record(connection, n, mine, outcome, now=now, seconds=0.1)
                health.route(connection, n, now=now)

    together(one)


def test_a_refused_key_moves_all_mail_to_the_backup_at_once(n: Notifier) -> None:
    record(n, "fakemail", KEY_REFUSED)
    assert {carrier(n, roll) for roll in (0.0, 0.5, 0.99)} == {"standby"}
    assert report(n, "fakemail").needs_attention
    assert report(n, "fakemail").reason == "check the key (401)"


def test_when_no_provider_may_be_called_mail_waits_for_the_sooner(
    n: Notifier, clock: FakeClock
) -> None:
    record(n, "fakemail", KEY_REFUSED)
    record(n, "standby", LOST, times=5)
    assert route(n) == clock() + seconds(30)


def test_the_page_that_probes_a_provider_is_small(
    n: Notifier, clock: FakeClock, mail: FakeMail
) -> None:
    mail.batch_size = 1000
    record(n, "fakemail", LOST, times=5)
    clock.move(seconds=30)
    chosen = route(n)
    assert not isinstance(chosen, datetime)
    assert (chosen.name, chosen.batch_size) == ("fakemail", health.PROBE_READERS)
    assert health.page_size(n, chosen) == health.PROBE_READERS
    record(n, "fakemail", Sent(""))
    assert route(n) is mail


def test_a_page_is_what_a_second_pays_for(n: Notifier, mail: FakeMail) -> None:
    mail.batch_size = 1000
    assert health.page_size(n, mail) == 1000
    mail.rate = Rate(100, seconds(1))
    assert health.page_size(n, mail) == 100
    mail.rate = Rate(5000, seconds(1))
    assert health.page_size(n, mail) == 1000


def test_mail_leaves_at_its_rate_however_small_the_pages_are(
    n: Notifier, clock: FakeClock, mail: FakeMail
) -> None:
    mail.batch_size, mail.rate = 1000, Rate(100, seconds(1))
    began = clock()
    for _ in range(100):
        while isinstance(waits := route(n), datetime):
            clock.now = waits
        record(n, waits.name, Sent(""), cost=3)
    assert seconds(2.9) < clock() - began < seconds(3.1)


def test_what_was_let_through_and_not_sent_is_given_back(
    n: Notifier, clock: FakeClock, mail: FakeMail, posts: FakePosts
) -> None:
    posts.rate = Rate(1, seconds(1))
    mail.rate = Rate(10, seconds(1))
    for _ in range(5):
        assert admit(n) is None
        release(n, "x")
        assert carrier(n) == "fakemail"
        release(n, "fakemail")
    record(n, "x", LOST, times=5)
    clock.move(seconds=30)
    assert admit(n) is None
    release(n, "x")
    assert admit(n) is None


def test_a_transaction_that_fails_takes_the_probe_back(n: Notifier, clock: FakeClock) -> None:
    record(n, "x", LOST, times=5)
    clock.move(seconds=30)
    with n.db.transaction() as connection:
        assert health.admit(connection, n, "x", now=n.clock()) is None
        connection.rollback()
    assert admit(n) is None


def test_points_move_once_however_many_nodes_balance(n: Notifier, clock: FakeClock) -> None:
    record(n, "fakemail", Sent(""), times=8)
    record(n, "fakemail", LOST, times=2)
    together(lambda: health.balance(n))
    assert (report(n, "fakemail").weight, report(n, "standby").weight) == (90, 10)
    assert carrier(n, 0.95) == "standby"
    assert carrier(n, 0.85) == "fakemail"
    clock.move(minutes=15)
    assert (report(n, "fakemail").weight, report(n, "standby").weight) == (100, 0)
    assert carrier(n, 0.95) == "fakemail"


def test_slow_calls_move_points_although_nothing_fails(n: Notifier) -> None:
    record(n, "fakemail", Sent(""), times=8)
    record(n, "fakemail", Sent(""), times=2, took=5.1)
    health.balance(n)
    assert report(n, "fakemail").weight == 90
    assert report(n, "fakemail").slow == 2


def test_without_a_backup_there_is_nothing_to_balance(n: Notifier) -> None:
    alone = replace(n, backup=None)
    record(alone, "fakemail", LOST, times=3)
    record(alone, "fakemail", Sent(""))
    record(alone, "fakemail", LOST, times=20)
    health.balance(alone)
    assert rows(alone)[0] == 1
    with alone.db.read() as connection:
        found = health.report(connection, alone, alone.clock())
    assert [(r.name, r.weight) for r in found] == [("x", None), ("fakemail", None)]


def test_balancing_what_is_well_takes_no_write_lock(n: Notifier, statements: list[str]) -> None:
    record(n, "fakemail", Sent(""), times=20)
    statements.clear()
    health.balance(n)
    assert {sql.split()[0] for sql in statements} <= {"SELECT", "BEGIN"}
    assert "BEGIN IMMEDIATE" not in statements


def test_old_minutes_are_forgotten(n: Notifier, clock: FakeClock) -> None:
    record(n, "fakemail", Sent(""))
    clock.move(hours=1, minutes=30)
    record(n, "fakemail", Sent(""))
    health.balance(n)
    assert rows(n)[1] == 2
    clock.move(minutes=45)
    health.balance(n)
    assert rows(n)[1] == 1


def test_try_again_now_lets_the_next_message_go(n: Notifier) -> None:
    record(n, "x", TOO_MANY)
    record(n, "fakemail", KEY_REFUSED)
    health.try_again(n, "x")
    health.try_again(n, "fakemail")
    assert admit(n) is None
    assert carrier(n) == "fakemail"
    with pytest.raises(NoSuchChannel):
        health.try_again(n, "pigeon")


def test_a_report_tells_what_an_operator_needs(n: Notifier, clock: FakeClock) -> None:
    began = clock()
    record(n, "x", Rejected("the keys are refused (401)"))
    record(n, "x", LOST, times=5)
    record(n, "fakemail", Sent(""), times=3)
    clock.move(seconds=10)
    found = report(n, "x")
    assert (found.lane, found.breaker, found.calls) == ("post", Breaker.OPEN, None)
    assert (found.failures, found.reason) == (5, "its answer was lost")
    assert found.troubled_since == began
    assert found.blocked_until == began + seconds(30)
    assert found.needs_attention
    well = report(n, "fakemail")
    assert (well.lane, well.calls, well.failures, well.weight) == ("mail", 3, 0, 100)
    assert not well.needs_attention
