"""What providers tell, in any order and any number of times, ends the same."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.delivery import RANK, State, advance
from notifier.domain.receipt import (
    STATES,
    SUPPRESSES,
    Fact,
    lower_states,
    one_line,
    read_delivery_id,
    strongest,
)
from notifier.domain.suppression import BLOCK_LASTS

facts = st.lists(st.sampled_from(list(Fact)), min_size=1, max_size=12)


@given(facts, st.randoms(use_true_random=False))
def test_the_order_of_facts_makes_no_difference(told: list[Fact], random: object) -> None:
    shuffled = [*told, *told]
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    def end(facts: list[Fact]) -> State:
        state = State.UNKNOWN
        for fact in facts:
            state = advance(state, STATES[fact]) if fact in STATES else state
        return state

    found = strongest((fact, "") for fact in told)
    assert end(told) == end(shuffled)
    assert end(told) == (max(found[0], State.UNKNOWN, key=RANK.__getitem__) if found else "unknown")


def test_a_fact_moves_only_what_has_not_come_so_far() -> None:
    assert set(lower_states(State.ACCEPTED)) == {State.PLANNED, State.SENDING, State.UNKNOWN}
    assert State.COMPLAINED not in lower_states(State.BOUNCED)
    for state in State:
        assert all(advance(lower, state) is state for lower in lower_states(state))


def test_only_a_block_passes_by_itself() -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    untils = {fact: reason.until(at) for fact, reason in SUPPRESSES.items()}
    assert untils.pop(Fact.BLOCKED) == at + BLOCK_LASTS
    assert set(untils.values()) == {None}
    assert {Fact.DELIVERED, Fact.DELAYED, Fact.REJECTED}.isdisjoint(SUPPRESSES)


@pytest.mark.parametrize(
    "given",
    ["", "1", "1-", "-1", "a-1", "1-1-1", "1 -1", "+1-1", "١-1", f"{2**63}-1", "1" * 60, None, 7],
)
def test_a_delivery_id_of_others_is_none_of_ours(given: object) -> None:
    assert read_delivery_id(given) is None


def test_a_delivery_id_says_dispatch_and_place() -> None:
    assert read_delivery_id("12-345") == (12, 345)
    assert read_delivery_id(f"1-{2**63 - 1}") == (1, 2**63 - 1)


@given(st.text(max_size=3000))
def test_what_others_write_becomes_one_line_that_a_database_takes(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 300
    assert "\n" not in line
    assert "\x00" not in line
    line.encode()
