"""A post that this process can send at once is claimed by the transaction that writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from notifier.domain.delivery import Retry, State
from notifier.domain.health import Rate
from notifier.domain.incident import Severity, Status
from notifier.domain.text import Invalid
from notifier.ports import NoDoorbell, Notifier
from notifier.services import audience
from notifier.services.leases import LEASE, recover
from notifier.services.pausing import pause
from notifier.services.posting import run_posts
from tests.fakes import FakeClock, FakePosts
from tests.services.saying import declare, latest_post, say


class Hands(NoDoorbell):
    """A doorbell whose lane x waits for work, as long as `idle`. Nobody does the work."""

    def __init__(self) -> None:
        self.idle = True
        self.work: list[Callable[[], object]] = []

    def is_idle(self, lane: str) -> bool:
        return lane == "x" and self.idle

    def hand(self, lane: str, work: Callable[[], object]) -> None:
        assert lane == "x"
        self.work.append(work)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def handing(n: Notifier, hands: Hands) -> Notifier:
    audience.put_component(n, slug_="heat", name="Heat")
    return replace(n, doorbell=hands)


def test_what_is_handed_over_is_claimed_already(
    handing: Notifier, hands: Hands, posts: FakePosts
) -> None:
    said = declare(handing)
    assert latest_post(handing, said).state == State.SENDING
    run_posts(replace(handing, node="another"), "x")
    assert posts.tried == []
    (work,) = hands.work
    work()
    assert latest_post(handing, said).state == State.ACCEPTED
    assert posts.sent == [latest_post(handing, said).text]


def test_an_update_is_handed_over_too(handing: Notifier, hands: Hands, posts: FakePosts) -> None:
    said = declare(handing)
    hands.work.pop()()
    say(handing, said, Status.IDENTIFIED)
    hands.work.pop()()
    assert len(posts.sent) == 2


def test_a_lane_that_is_busy_finds_the_worst_first_by_itself(
    handing: Notifier, hands: Hands, posts: FakePosts
) -> None:
    hands.idle = False
    for severity in (Severity.MINOR, Severity.CRITICAL):
        said = declare(handing, severity=severity, impact=f"A {severity} impact.")
        assert latest_post(handing, said).state == State.PLANNED
    assert hands.work == []
    run_posts(handing, "x")
    assert [text.split()[1] for text in posts.sent] == ["critical", "minor"]


def test_what_was_refused_is_not_handed_over(handing: Notifier, hands: Hands) -> None:
    with pytest.raises(Invalid):
        declare(handing, components=["steam"])
    assert hands.work == []


def test_a_handed_post_is_tried_again_like_any_other(
    handing: Notifier, hands: Hands, posts: FakePosts, clock: FakeClock
) -> None:
    posts.answers = [Retry("busy")]
    said = declare(handing)
    hands.work.pop()()
    assert latest_post(handing, said).state == State.PLANNED
    clock.move(minutes=10)
    run_posts(handing, "x")
    assert latest_post(handing, said).state == State.ACCEPTED
    assert len(posts.tried) == 2


def test_a_post_whose_process_died_before_it_left_is_unknown(
    handing: Notifier, posts: FakePosts
) -> None:
    """Nobody can tell from the row whether the call was made, so it is looked for, not repeated."""
    said = declare(handing)
    assert recover(replace(handing, node="next"), alone=True) == (1, 0)
    assert latest_post(handing, said).state == State.UNKNOWN
    assert posts.tried == []


def test_other_nodes_wait_for_the_end_of_the_lease(handing: Notifier, clock: FakeClock) -> None:
    declare(handing)
    clock.now += LEASE
    assert recover(replace(handing, node="another"), alone=False) == (0, 0)
    clock.move(seconds=1)
    assert recover(replace(handing, node="another"), alone=False) == (1, 0)


def test_nothing_is_handed_over_while_the_site_is_paused(handing: Notifier, hands: Hands) -> None:
    pause(handing, by="Olga", reason="a rehearsal")
    said = declare(handing)
    assert latest_post(handing, said).state == State.PLANNED
    assert hands.work == []


def test_nothing_is_handed_over_to_a_channel_that_may_not_be_called_now(
    handing: Notifier, hands: Hands, posts: FakePosts
) -> None:
    """Of a rate of one post in 15 minutes the first declaration takes all there is."""
    posts.rate = Rate(1, timedelta(minutes=15))
    for state in (State.SENDING, State.PLANNED):
        said = declare(handing)
        assert latest_post(handing, said).state == state
    assert len(hands.work) == 1


def test_a_declaration_that_is_refused_costs_the_channel_nothing(
    handing: Notifier, posts: FakePosts
) -> None:
    posts.rate = Rate(1, timedelta(minutes=15))
    with pytest.raises(Invalid):
        declare(handing, components=["steam"])
    assert latest_post(handing, declare(handing)).state == State.SENDING
