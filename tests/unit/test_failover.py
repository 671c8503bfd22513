"""Who carries mail: the weights, and the choice for each page."""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.delivery import Outcome, Retry, Sent, Unknown
from notifier.domain.failover import (
    Account,
    Load,
    Minute,
    Record,
    choose,
    last_minute,
    last_quarter,
    move_points,
    start_of_minute,
    weight_at,
)
from notifier.domain.health import Breaker, Health, Rate, Sign, admit, learn, read_sign, settle

NOW = datetime(2026, 11, 22, 8, 12, tzinfo=UTC)
WELL = Load(calls=100)
FAILING = Load(calls=100, failures=15)
SLOW = Load(calls=100, slow=15)
LOST = Unknown("its answer was lost")


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def opened(now: datetime = NOW) -> Health:
    health = Health()
    for _ in range(5):
        health = learn(health, LOST, now=now)
    return health


def pick(primary: Health, backup: Health, *, roll: float = 0.5, now: datetime = NOW) -> int:
    chosen = choose([Account(primary, None, 10), Account(backup, None, 10)], roll=roll, now=now)
    assert not isinstance(chosen, datetime), chosen
    return chosen[0]


@pytest.mark.parametrize(("roll", "who"), [(0.0, 0), (0.699, 0), (0.7, 1), (0.999, 1)])
def test_the_weight_is_the_share_of_pages(roll: float, who: int) -> None:
    assert pick(Health(weight=70, weighed_at=NOW), Health(), roll=roll) == who


def test_a_provider_with_all_points_gets_every_page_and_one_with_none_gets_none() -> None:
    assert pick(Health(), Health(), roll=0.999) == 0
    assert pick(Health(weight=0, weighed_at=NOW), Health(), roll=0.0) == 1


def test_one_whose_breaker_is_open_gets_nothing_while_the_other_goes() -> None:
    for roll in (0.0, 0.5, 0.99):
        assert pick(opened(), Health(), roll=roll) == 1
        assert pick(Health(weight=10, weighed_at=NOW), opened(), roll=roll) == 0


def test_a_probe_that_is_due_comes_first_even_for_one_that_lost_all_its_points() -> None:
    primary = replace(opened(), weight=0, weighed_at=NOW)
    chosen = choose(
        [Account(primary, None, 10), Account(Health(), None, 10)], roll=0.9, now=NOW + seconds(30)
    )
    assert not isinstance(chosen, datetime)
    assert chosen[0] == 0
    assert chosen[1].breaker is Breaker.HALF_OPEN
    assert pick(chosen[1], Health(), now=NOW + seconds(30)) == 1


def test_one_that_wants_to_wait_long_gives_its_page_to_the_other_and_keeps_its_points() -> None:
    told = learn(Health(), Retry("too many (429)", minutes(2)), now=NOW)
    assert pick(told, Health()) == 1
    assert weight_at(told, NOW) == 100


def test_one_that_wants_a_moment_keeps_its_page() -> None:
    told = learn(Health(), Retry("too many (429)", seconds(2)), now=NOW)
    accounts = [Account(told, None, 10), Account(Health(), None, 10)]
    assert choose(accounts, roll=0.5, now=NOW) == NOW + seconds(2)


def test_when_neither_may_be_called_the_sooner_of_the_two_is_waited_for() -> None:
    accounts = [
        Account(opened(), None, 10),
        Account(learn(Health(), Retry("429", minutes(5)), now=NOW), None, 10),
    ]
    assert choose(accounts, roll=0.0, now=NOW) == NOW + seconds(30)


def test_without_a_backup_the_only_provider_carries_all_whatever_its_weight() -> None:
    alone = [Account(Health(weight=0, weighed_at=NOW), None, 10)]
    assert choose(alone, roll=0.9, now=NOW) == (0, alone[0].health)
    assert choose([Account(opened(), None, 10)], roll=0.9, now=NOW) == NOW + seconds(30)


def moved(
    load: Load,
    other: Load = WELL,
    *,
    quarter: Load = WELL,
    others_quarter: Load = WELL,
    health: Health | None = None,
    others_health: Health | None = None,
    now: datetime = NOW,
) -> int:
    primary = Record(health or Health(), load, quarter)
    backup = Record(others_health or Health(), other, others_quarter)
    return weight_at(move_points(primary, backup, now=now), now)


@pytest.mark.parametrize(
    ("load", "weight"),
    [
        (WELL, 100),
        (Load(calls=100, failures=14), 100),
        (Load(calls=100, failures=15), 90),
        (Load(calls=10, failures=2), 90),
        (Load(calls=9, failures=9), 100),
        (Load(calls=1000, failures=49), 100),
        (Load(calls=1000, failures=50), 90),
        (Load(calls=1, failures=1), 100),
    ],
)
def test_errors_of_a_minute_take_ten_points(load: Load, weight: int) -> None:
    assert moved(load) == weight


def test_points_are_taken_for_errors_once_a_minute() -> None:
    before = Health(weight=90, weighed_at=NOW)
    assert moved(FAILING, health=before, now=NOW + seconds(59)) == 90
    assert moved(FAILING, health=before, now=NOW + seconds(60)) == 80


def test_points_are_taken_for_slowness_once_in_five_minutes() -> None:
    assert moved(WELL, quarter=SLOW) == 90
    before = Health(weight=90, weighed_at=NOW)
    assert moved(WELL, quarter=SLOW, health=before, now=NOW + seconds(299)) == 90
    assert moved(WELL, quarter=SLOW, health=before, now=NOW + seconds(300)) == 80
    assert moved(WELL, quarter=Load(calls=9, slow=9)) == 100


def test_when_both_are_bad_nothing_moves() -> None:
    assert moved(FAILING, FAILING) == 100
    assert moved(FAILING, others_health=opened()) == 100
    assert moved(WELL, quarter=SLOW, others_quarter=SLOW) == 100
    assert moved(WELL, FAILING, quarter=SLOW) == 100


def test_a_slow_backup_is_better_than_a_failing_provider() -> None:
    assert moved(FAILING, others_quarter=SLOW) == 90


def test_nothing_is_taken_below_zero() -> None:
    assert moved(FAILING, health=Health(weight=0, weighed_at=NOW - minutes(2))) == 0


@pytest.mark.parametrize(
    ("quiet", "weight"), [(14.9, 50), (15, 60), (19.9, 60), (20, 70), (35, 100), (600, 100)]
)
def test_points_drift_back_after_a_quiet_quarter_of_an_hour(quiet: float, weight: int) -> None:
    assert weight_at(Health(weight=50, weighed_at=NOW), NOW + minutes(quiet)) == weight


def test_what_drifted_back_is_what_the_next_move_starts_from() -> None:
    before = Health(weight=50, weighed_at=NOW)
    assert moved(FAILING, health=before, now=NOW + minutes(20)) == 60


def test_the_last_sixty_seconds_take_their_part_of_the_minute_before() -> None:
    now = NOW + seconds(15)
    found = [Minute(NOW - minutes(2), 50, 50, 50, 0), Minute(NOW - minutes(1), 40, 8, 4, 0)]
    found += [Minute(NOW, 3, 1, 0, 0), Minute(NOW, 2, 1, 0, 0)]
    assert last_minute(found, now=now) == Load(calls=35, failures=8, slow=3)


def test_the_last_quarter_holds_fifteen_minutes() -> None:
    found = [Minute(NOW - minutes(age), 1, 0, 0, 1.0) for age in range(20)]
    assert last_quarter(found, now=NOW).calls == 15


class Traffic:
    """Two providers under a scripted world, page after page, judged by the rules alone."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.health = [Health(), Health()]
        self.minutes: list[dict[datetime, Minute]] = [{}, {}]
        self.weights = [100]
        self.now = NOW

    def page(self, outcomes: list[Outcome]) -> int | None:
        """Send a page by whoever is chosen, with `outcomes` by provider; who it was."""
        accounts = [Account(health, None, 10) for health in self.health]
        chosen = choose(accounts, roll=self.chance.random(), now=self.now)
        if isinstance(chosen, datetime):
            return None
        who, self.health[who] = chosen
        self.health[who] = learn(self.health[who], outcomes[who], now=self.now)
        at = start_of_minute(self.now)
        seen = self.minutes[who].get(at, Minute(at, 0, 0, 0, 0))
        failed = read_sign(outcomes[who]) is Sign.FAILS
        counted = replace(seen, calls=seen.calls + 1, failures=seen.failures + failed)
        self.minutes[who][at] = counted
        return who

    def balance(self) -> None:
        records = [
            Record(
                health,
                last_minute(found.values(), now=self.now),
                last_quarter(found.values(), now=self.now),
            )
            for health, found in zip(self.health, self.minutes, strict=True)
        ]
        self.health[0] = move_points(*records, now=self.now)
        self.weights.append(weight_at(self.health[0], self.now))

    def run(self, length: timedelta, chances: list[float], *, per_second: int = 2) -> Counter[int]:
        """Send `per_second` pages a second; provider i fails by `chances[i]`. Pages by provider."""
        carried: Counter[int] = Counter()
        for step in range(int(length.total_seconds()) * per_second):
            outcomes: list[Outcome] = [
                LOST if self.chance.random() < c else Sent("") for c in chances
            ]
            who = self.page(outcomes)
            if who is not None:
                carried[who] += 1
            self.now += seconds(1 / per_second)
            if step % (5 * per_second) == 0:
                self.balance()
        return carried


def steps(traffic: Traffic) -> list[tuple[int, int]]:
    """Each change of the weight: how many seconds after the start, and by how much."""
    return [(5 * i, b - a) for i, (a, b) in enumerate(pairwise(traffic.weights)) if a != b]


@pytest.mark.parametrize("seed", range(20))
def test_with_five_percent_of_errors_points_flap_at_most_once_in_a_quarter_of_an_hour(
    seed: int,
) -> None:
    traffic = Traffic(seed)
    traffic.run(minutes(120), [0.05, 0.05])
    turns = [at for (_, a), (at, b) in pairwise(steps(traffic)) if a < 0 < b]
    assert all(later - sooner >= 15 * 60 for sooner, later in pairwise(turns))
    assert set(traffic.weights) <= set(range(0, 101, 10))


def test_a_dead_provider_leaves_ninety_percent_to_the_backup_within_two_minutes() -> None:
    traffic = Traffic(1)
    traffic.run(minutes(5), [0.0, 0.0])
    traffic.run(seconds(10), [1.0, 0.0])
    carried = traffic.run(seconds(110), [1.0, 0.0])
    assert carried[1] >= 0.9 * sum(carried.values())
    assert carried[0] >= 1, "it must be probed, or nobody would know when it works again"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_provider_that_fails_in_part_loses_its_share_step_by_step(share: float) -> None:
    traffic = Traffic(2)
    traffic.run(minutes(15), [share, 0.0])
    assert min(traffic.weights) <= 50
    assert {by for _, by in steps(traffic)} == {-10}


def test_a_provider_that_works_again_is_used_again_within_a_minute() -> None:
    traffic = Traffic(3)
    traffic.run(minutes(10), [1.0, 0.0])
    traffic.run(seconds(60), [0.0, 0.0])
    assert traffic.health[0].breaker is Breaker.CLOSED
    traffic.run(minutes(75), [0.0, 0.0])
    assert traffic.weights[-1] == 100


OUTCOMES = st.sampled_from(
    [Sent(""), LOST, Retry("busy", seconds(10)), Retry("no"), Retry("key", minutes(1), True)]
)
WORLD = st.lists(
    st.tuples(OUTCOMES, OUTCOMES, st.floats(0, 1, exclude_max=True), st.integers(0, 400)),
    min_size=1,
    max_size=60,
)


@given(WORLD)
def test_whatever_happens_the_weights_are_a_hundred_together_and_move_by_ten(
    world: list[tuple[Outcome, Outcome, float, int]],
) -> None:
    traffic = Traffic(0)
    for first, second, _roll, passed in world:
        for _ in range(12):
            traffic.page([first, second])
        traffic.balance()
        traffic.now += seconds(passed)
        weight = weight_at(traffic.health[0], traffic.now)
        assert 0 <= weight <= 100
        assert weight % 10 == 0
    assert {by for _, by in steps(traffic) if by < 0} <= {-10}


@given(st.floats(0, 1, exclude_max=True), st.sampled_from([LOST, Retry("no")]))
def test_one_error_moves_nothing(roll: float, error: Outcome) -> None:
    traffic = Traffic(0)
    traffic.page([error, error])
    traffic.balance()
    assert traffic.weights[-1] == 100
    assert pick(traffic.health[0], traffic.health[1], roll=roll, now=traffic.now) == 0


@given(
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 30), OUTCOMES), max_size=50)
)
def test_nothing_waits_while_one_of_the_two_may_be_called_in_peace(
    steps: list[tuple[float, float, Outcome]],
) -> None:
    """The backup always works: whatever happens to the first, a page waits five seconds at most."""
    traffic = Traffic(0)
    for roll, passed, outcome in steps:
        traffic.now += seconds(passed)
        accounts = [Account(health, None, 10) for health in traffic.health]
        chosen = choose(accounts, roll=roll, now=traffic.now)
        if isinstance(chosen, datetime):
            assert chosen - traffic.now <= seconds(5)
            continue
        who, traffic.health[who] = chosen
        said = outcome if who == 0 else Sent("")
        traffic.health[who] = learn(traffic.health[who], said, now=traffic.now)


def test_a_page_is_paid_for_before_it_leaves_and_small_pages_pay_for_what_they_are() -> None:
    rate = Rate(100, seconds(1))
    health = Health()
    for _ in range(40):
        chosen = choose([Account(health, rate, 100)], roll=0.0, now=NOW)
        assert not isinstance(chosen, datetime)
        health = settle(chosen[1], rate=rate, paid=100, cost=0)
    admitted = admit(health, now=NOW, rate=rate, cost=100)
    assert isinstance(admitted, Health)
