"""States that only move forward, and trying again within bounds."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.delivery import (
    RANK,
    SETTLED,
    USEFUL_FOR,
    Retry,
    State,
    advance,
    backoff,
    next_try,
)

NOW = datetime(2026, 11, 22, 8, 12, tzinfo=UTC)

# What providers tell afterwards, in any order and more than once.
FACTS = [
    State.UNKNOWN,
    State.ACCEPTED,
    State.REJECTED,
    State.DELIVERED,
    State.BOUNCED,
    State.COMPLAINED,
]
states = st.sampled_from(State)
facts = st.lists(st.sampled_from(FACTS), max_size=8)


def learn(start: State, told: Iterable[State]) -> State:
    return reduce(advance, told, start)


@given(states, facts)
@settings(max_examples=80, deadline=None)
def test_facts_never_move_a_state_backwards(start: State, told: list[State]) -> None:
    state = start
    for fact in told:
        following = advance(state, fact)
        assert RANK[following] >= RANK[state]
        state = following


@given(states, states)
@settings(max_examples=60, deadline=None)
def test_a_fact_told_twice_is_a_fact_told_once(start: State, fact: State) -> None:
    once = advance(start, fact)
    assert advance(once, fact) == once


@given(states, facts.flatmap(lambda told: st.tuples(st.just(told), st.permutations(told))))
@settings(max_examples=120, deadline=None)
def test_the_order_in_which_facts_arrive_does_not_matter(
    start: State, told: tuple[list[State], list[State]]
) -> None:
    in_time, shuffled = told
    assert learn(start, in_time) == learn(start, shuffled)


def test_no_two_facts_from_outside_have_one_rank() -> None:
    assert len({RANK[fact] for fact in FACTS}) == len(FACTS)


def test_every_state_has_a_rank() -> None:
    assert set(RANK) == set(State)


@pytest.mark.parametrize("ours", [State.SUPERSEDED, State.CANCELLED])
def test_no_fact_undoes_what_we_decided_not_to_send(ours: State) -> None:
    assert learn(ours, FACTS) == ours


def test_unknown_is_settled_and_only_what_is_planned_or_sending_is_not() -> None:
    assert State.UNKNOWN in SETTLED
    assert set(State) - SETTLED == {State.PLANNED, State.SENDING}


@pytest.mark.parametrize(
    ("attempt", "ceiling"),
    [(1, 2), (2, 4), (3, 8), (7, 128), (8, 256), (9, 300), (10, 300), (1000, 300)],
)
def test_the_wait_doubles_up_to_five_minutes(attempt: int, ceiling: float) -> None:
    assert backoff(attempt, 1.0) == timedelta(seconds=ceiling)


@given(st.integers(1, 10_000), st.floats(0, 1))
@settings(max_examples=80, deadline=None)
def test_jitter_spreads_the_wait_over_all_of_it(attempt: int, jitter: float) -> None:
    wait = backoff(attempt, jitter)
    assert timedelta(0) <= wait <= backoff(attempt, 1.0)
    assert backoff(attempt, 0.0) == timedelta(0)
    assert backoff(attempt, 0.5) * 2 == backoff(attempt, 1.0)


def try_again(after: float | None, *, attempt: int = 1, age: timedelta = timedelta(0)) -> object:
    outcome = Retry("busy", None if after is None else timedelta(seconds=after))
    return next_try(outcome, attempt=attempt, first_due=NOW - age, now=NOW, jitter=1.0)


def test_it_waits_as_long_as_the_provider_says() -> None:
    assert try_again(900) == NOW + timedelta(seconds=900)


def test_it_waits_its_own_time_where_that_is_longer() -> None:
    assert try_again(1, attempt=5) == NOW + timedelta(seconds=32)
    assert try_again(None, attempt=5) == NOW + timedelta(seconds=32)
    assert try_again(-30) == NOW + timedelta(seconds=2)


def test_it_gives_up_when_the_next_try_would_help_nobody() -> None:
    exactly = USEFUL_FOR.total_seconds()
    assert try_again(exactly) == NOW + USEFUL_FOR
    assert try_again(exactly + 1) is None
    assert try_again(None, age=USEFUL_FOR) is None


@given(st.integers(1, 50), st.integers(0, 20_000), st.integers(0, 20_000), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_a_next_try_is_never_too_early_and_never_too_late(
    attempt: int, after: int, age: int, jitter: float
) -> None:
    first_due = NOW - timedelta(seconds=age)
    at = next_try(
        Retry("busy", timedelta(seconds=after)),
        attempt=attempt,
        first_due=first_due,
        now=NOW,
        jitter=jitter,
    )
    if at is not None:
        assert NOW + timedelta(seconds=after) <= at <= first_due + USEFUL_FOR
