"""Breaker and rate of one account, rule by rule."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.delivery import Outcome, Rejected, Repeated, Retry, Sent, Unknown
from notifier.domain.health import (
    FAILURES_TO_OPEN,
    PROBE_LEASE,
    Breaker,
    Health,
    Rate,
    Sign,
    admit,
    learn,
    rate_of,
    read_sign,
    release,
    settle,
    unblock,
)

NOW = datetime(2026, 11, 22, 8, 12, tzinfo=UTC)
LOST = Unknown("its answer was lost")
UNREACHABLE = Retry("it cannot be reached")
TOO_MANY = Retry("too many (429)", timedelta(minutes=15))
KEY_REFUSED = Retry("check the key (401)", timedelta(minutes=1), account=True)
SENT = Sent("1")


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def after(*outcomes: Outcome, health: Health | None = None, now: datetime = NOW) -> Health:
    found = health or Health()
    for outcome in outcomes:
        found = learn(found, outcome, now=now)
    return found


def let(health: Health, now: datetime, *, rate: Rate | None = None, cost: int = 1) -> Health:
    admitted = admit(health, now=now, rate=rate, cost=cost)
    assert isinstance(admitted, Health), admitted
    return admitted


def wait(health: Health, now: datetime, *, rate: Rate | None = None, cost: int = 1) -> datetime:
    told = admit(health, now=now, rate=rate, cost=cost)
    assert isinstance(told, datetime), told
    return told


OPEN = after(*[LOST] * FAILURES_TO_OPEN)


@pytest.mark.parametrize(
    ("outcome", "sign"),
    [
        (SENT, Sign.WORKS),
        (Rejected("too long"), Sign.WORKS),
        (Repeated("it is there"), Sign.WORKS),
        (Retry("another reader was refused", timedelta(0)), Sign.WORKS),
        (TOO_MANY, Sign.BUSY),
        (UNREACHABLE, Sign.FAILS),
        (LOST, Sign.FAILS),
        (KEY_REFUSED, Sign.REFUSED),
    ],
)
def test_what_an_outcome_says_about_the_account(outcome: Outcome, sign: Sign) -> None:
    assert read_sign(outcome) is sign


def test_an_account_that_works_has_nothing_to_write_down() -> None:
    health = Health()
    assert after(SENT, Rejected("no"), health=health) is health
    assert let(health, NOW) is health


def test_five_failures_in_a_row_open_the_breaker_and_four_do_not() -> None:
    assert after(*[LOST] * 4).breaker is Breaker.CLOSED
    assert after(*[LOST] * 4, SENT, *[UNREACHABLE] * 4).breaker is Breaker.CLOSED
    opened = after(UNREACHABLE, LOST, UNREACHABLE, LOST, UNREACHABLE)
    assert opened.breaker is Breaker.OPEN
    assert opened.opened_at == opened.changed_at == NOW
    assert opened.reason == "it cannot be reached"
    assert wait(opened, NOW + seconds(29)) == NOW + seconds(30)


def test_a_refused_message_and_a_429_are_no_failures() -> None:
    assert after(*[Rejected("no"), TOO_MANY] * 20).breaker is Breaker.CLOSED


def test_failures_are_in_a_row_although_a_429_lies_between() -> None:
    assert after(LOST, LOST, TOO_MANY, LOST, LOST, LOST).breaker is Breaker.OPEN


def test_a_refused_account_opens_the_breaker_at_once_for_as_long_as_told() -> None:
    opened = after(KEY_REFUSED)
    assert opened.breaker is Breaker.OPEN
    assert opened.reason == "check the key (401)"
    assert wait(opened, NOW) == NOW + seconds(60)


def test_the_first_after_the_wait_is_the_probe_and_the_others_ask_again_soon() -> None:
    later = NOW + seconds(30)
    probing = let(OPEN, later)
    assert probing.breaker is Breaker.HALF_OPEN
    assert wait(probing, later) == later + seconds(1)
    assert wait(probing, later + PROBE_LEASE - seconds(0.2)) == later + PROBE_LEASE


def test_a_probe_nobody_hears_of_again_is_followed_by_another() -> None:
    probing = let(OPEN, NOW + seconds(30))
    again = let(probing, NOW + seconds(30) + PROBE_LEASE)
    assert again.breaker is Breaker.HALF_OPEN
    wait(again, NOW + seconds(31) + PROBE_LEASE)


@pytest.mark.parametrize("answer", [SENT, Rejected("this one is too long"), Repeated("is there")])
def test_an_answered_probe_closes_the_breaker(answer: Outcome) -> None:
    later = NOW + seconds(31)
    closed = after(answer, health=let(OPEN, NOW + seconds(30)), now=later)
    assert closed == Health(changed_at=later)
    assert let(closed, later) is closed


def test_a_probe_told_to_wait_closes_the_breaker_and_waits() -> None:
    later = NOW + seconds(31)
    told = after(TOO_MANY, health=let(OPEN, NOW + seconds(30)), now=later)
    assert told.breaker is Breaker.CLOSED
    assert wait(told, later) == later + timedelta(minutes=15)


def test_a_failed_probe_opens_it_again_for_longer_but_under_a_minute() -> None:
    health, now, waits = OPEN, NOW, []
    for _ in range(12):
        until = wait(health, now)
        waits.append((until - now).total_seconds())
        health = after(LOST, health=let(health, until), now=until)
        now = until
        assert health.breaker is Breaker.OPEN
        assert health.opened_at == NOW
    assert waits[:3] == [30, 55, 55]
    assert set(waits[3:]) == {55}


def test_what_was_under_way_when_it_opened_changes_nothing() -> None:
    assert after(SENT, LOST, TOO_MANY, KEY_REFUSED, health=OPEN) is OPEN


def test_a_429_holds_the_account_until_the_time_it_said() -> None:
    told = after(TOO_MANY)
    assert wait(told, NOW + timedelta(minutes=14)) == NOW + timedelta(minutes=15)
    later = NOW + timedelta(minutes=15)
    assert let(told, later) is told
    assert after(SENT, health=told, now=later).reason == ""


def test_an_answer_that_was_under_way_does_not_undo_what_a_429_asked_for() -> None:
    told = after(TOO_MANY, SENT)
    assert wait(told, NOW) == NOW + timedelta(minutes=15)
    sooner = after(TOO_MANY, Retry("too many (429)", seconds(5)))
    assert wait(sooner, NOW) == NOW + timedelta(minutes=15)


def test_try_again_now_lets_one_call_through_and_no_second() -> None:
    unblocked = unblock(OPEN, now=NOW)
    assert unblocked.breaker is Breaker.OPEN
    probing = let(unblocked, NOW)
    assert wait(probing, NOW) == NOW + seconds(1)


def test_try_again_now_forgets_what_a_429_asked_for() -> None:
    unblocked = unblock(after(TOO_MANY), now=NOW)
    assert let(unblocked, NOW) is unblocked
    assert unblock(Health(), now=NOW) == Health()


def test_a_probe_that_was_not_made_can_be_made_by_the_next() -> None:
    later = NOW + seconds(30)
    back = release(let(OPEN, later), now=later)
    assert back.breaker is Breaker.OPEN
    assert let(back, later).breaker is Breaker.HALF_OPEN


OUTCOMES = st.sampled_from(
    [SENT, Rejected("no"), Retry("busy", seconds(20)), UNREACHABLE, LOST, KEY_REFUSED]
)


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(0, 3), OUTCOMES), max_size=60))
def test_however_workers_take_turns_there_is_one_probe_at_a_time(
    steps: list[tuple[float, int, Outcome]],
) -> None:
    """Workers ask and report in any order; a worker that has no call under way asks."""
    health, now = OPEN, NOW
    calls: dict[int, datetime | None] = {}  # by worker; the start of a probe, None if it is none
    for passed, worker, outcome in steps:
        now += seconds(passed)
        if worker in calls:
            calls.pop(worker)
            health = learn(health, outcome, now=now)
            continue
        admitted = admit(health, now=now, rate=None, cost=1)
        if isinstance(admitted, datetime):
            assert admitted > now
            continue
        health = admitted
        if health.breaker is Breaker.CLOSED:
            calls[worker] = None
            continue
        assert health.breaker is Breaker.HALF_OPEN
        health_asked_again = admit(health, now=now, rate=None, cost=1)
        assert isinstance(health_asked_again, datetime), "a second probe beside the first"
        calls[worker] = now


@given(st.lists(OUTCOMES, max_size=40), st.integers(1, 8))
def test_no_breaker_stays_open_for_longer_than_a_minute_without_a_probe(
    outcomes: list[Outcome], workers: int
) -> None:
    health, now = Health(), NOW
    for outcome in outcomes:
        health = learn(health, outcome, now=now)
        admitted = admit(health, now=now, rate=None, cost=1)
        if isinstance(admitted, datetime):
            assert admitted - now <= timedelta(minutes=1)
            now = admitted
        for _ in range(workers):
            found = admit(health, now=now, rate=None, cost=1)
            health = found if isinstance(found, Health) else health


HUNDRED = Rate(100, timedelta(seconds=1))


def test_no_limit_is_no_rate() -> None:
    assert rate_of(0, per=seconds(1)) is None
    assert rate_of(3, per=seconds(1)) == Rate(3, seconds(1))


@pytest.mark.parametrize(
    ("rate", "whole"),
    [(HUNDRED, 100), (Rate(100, timedelta(minutes=15)), 1), (Rate(7, seconds(2)), 3)],
)
def test_what_one_second_pays_for(rate: Rate, whole: int) -> None:
    assert rate.per_second == whole


def test_a_second_worth_leaves_at_once_and_the_next_waits_its_turn() -> None:
    paid = let(Health(), NOW, rate=HUNDRED, cost=60)
    paid = let(paid, NOW, rate=HUNDRED, cost=40)
    assert wait(paid, NOW, rate=HUNDRED, cost=50) == NOW + seconds(0.5)
    assert let(paid, NOW + seconds(0.5), rate=HUNDRED, cost=50).paid_until == NOW + seconds(1.5)


def test_posts_at_a_rate_by_the_quarter_are_spread_evenly() -> None:
    rate = Rate(100, timedelta(minutes=15))
    paid = let(Health(), NOW, rate=rate)
    assert wait(paid, NOW, rate=rate) == NOW + seconds(9)


def test_a_batch_greater_than_a_second_pays_for_goes_once_nothing_is_owed() -> None:
    paid = let(Health(), NOW, rate=HUNDRED, cost=1000)
    assert wait(paid, NOW, rate=HUNDRED, cost=1) == NOW + seconds(9.01)
    let(paid, NOW + seconds(10), rate=HUNDRED, cost=1000)


def test_what_was_paid_and_not_used_is_given_back() -> None:
    paid = let(Health(), NOW, rate=HUNDRED, cost=100)
    settled = settle(paid, rate=HUNDRED, paid=100, cost=3)
    assert settled.paid_until == NOW + seconds(0.03)
    assert settle(paid, rate=HUNDRED, paid=100, cost=200).paid_until == NOW + seconds(2)
    assert settle(paid, rate=HUNDRED, paid=100, cost=100) is paid


def test_a_probe_is_not_taken_by_who_cannot_pay_for_it() -> None:
    owing = let(Health(), NOW + seconds(30), rate=HUNDRED, cost=1000)
    opened = after(*[LOST] * 5, health=owing)
    assert wait(opened, NOW + seconds(31), rate=HUNDRED) == NOW + seconds(39.01)


@settings(max_examples=300)
@given(
    st.integers(1, 500),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 50)), min_size=1, max_size=80),
)
def test_no_stretch_of_time_sees_more_than_its_rate_and_one_burst(
    per_second: int, asked: list[tuple[float, int]]
) -> None:
    rate = Rate(per_second, timedelta(seconds=1))
    health, now = Health(), NOW
    sent: list[tuple[datetime, int]] = []
    for passed, cost in asked:
        now += seconds(passed)
        admitted = admit(health, now=now, rate=rate, cost=cost)
        if isinstance(admitted, datetime):
            assert admitted > now
            assert isinstance(admit(health, now=admitted, rate=rate, cost=cost), Health)
            continue
        health = admitted
        sent.append((now, cost))
    for i, (start, _) in enumerate(sent):
        for end, last in sent[i:]:
            total = sum(cost for at, cost in sent if start <= at <= end)
            burst = max(per_second, last)
            assert total <= per_second * (end - start).total_seconds() + burst + 0.01
