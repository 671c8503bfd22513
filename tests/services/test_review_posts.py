"""Posts between two nodes: nothing older after something newer, and who was away does not speak."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from notifier.domain.delivery import Retry, State, Unknown
from notifier.domain.health import Rate
from notifier.domain.incident import Status
from notifier.ports import NoDoorbell, Notifier
from notifier.services import audience, health, pausing
from notifier.services.leases import recover
from notifier.services.posting import run_posts
from notifier.services.reconciling import LOOK_AFTER
from notifier.services.reports import report
from notifier.store import outbox
from notifier.store.nodes import SILENT_AFTER
from tests.fakes import FakeClock, FakePosts
from tests.services.saying import declare, latest_post, say


class Hands(NoDoorbell):
    """A doorbell whose lane x waits for work. Nobody does it until the test does."""

    def __init__(self) -> None:
        self.work: list[Callable[[], object]] = []

    def is_idle(self, lane: str) -> bool:
        return lane == "x"

    def hand(self, lane: str, work: Callable[[], object]) -> None:
        assert lane == "x"
        self.work.append(work)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture(autouse=True)
def heat(n: Notifier) -> None:
    audience.put_component(n, slug_="heat", name="Heat")


@pytest.fixture
def handing(n: Notifier, hands: Hands) -> Notifier:
    return replace(n, doorbell=hands)


def test_a_newer_post_waits_for_the_older_one_that_is_in_flight(
    n: Notifier, handing: Notifier, hands: Hands, posts: FakePosts
) -> None:
    said = declare(handing)
    say(n, said, Status.IDENTIFIED)
    run_posts(replace(n, node="another"), "x")
    assert posts.tried == []
    (work,) = hands.work
    work()
    run_posts(replace(n, node="another"), "x")
    newer, older = (update.posts[0].text for update in report(n, said.incident.id).updates)
    assert posts.sent == [older, newer]


def test_two_updates_are_posted_in_their_order_whoever_is_handed_over_first(
    n: Notifier, handing: Notifier, hands: Hands, posts: FakePosts
) -> None:
    """Between a commit and the handing over another thread may commit and hand over."""
    said = declare(handing)
    say(handing, said, Status.IDENTIFIED)
    for work in reversed(hands.work):
        work()
    run_posts(n, "x")
    newer, older = (update.posts[0].text for update in report(n, said.incident.id).updates)
    assert posts.sent == [older, newer]


def test_an_update_that_is_not_handed_over_costs_the_channel_nothing(
    n: Notifier, handing: Notifier, hands: Hands, posts: FakePosts
) -> None:
    posts.rate = Rate(2, timedelta(seconds=1))
    said = declare(handing)
    say(handing, said, Status.IDENTIFIED)
    hands.work.pop()()
    run_posts(n, "x")
    assert len(posts.sent) == 2


def test_another_incident_does_not_wait(n: Notifier, handing: Notifier, posts: FakePosts) -> None:
    declare(handing)
    declare(n)
    run_posts(replace(n, node="another"), "x")
    assert len(posts.sent) == 1


def test_who_was_away_until_others_took_over_does_not_post(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    another = replace(n, node="another")

    def stop(step: str) -> None:
        if step == "post.claimed":
            clock.now += SILENT_AFTER
            recover(another, alone=True)
            run_posts(another, "x")

    said = declare(n)
    run_posts(replace(n, failpoint=stop), "x")
    assert (len(posts.tried), latest_post(n, said).state) == (1, State.ACCEPTED)


def test_who_was_away_and_is_back_before_others_noticed_posts_under_a_new_claim(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    stops = [SILENT_AFTER]

    def stop(step: str) -> None:
        if step == "post.claimed" and stops:
            clock.now += stops.pop()

    said = declare(n)
    run_posts(replace(n, failpoint=stop), "x")
    assert posts.tried == []
    clock.move(seconds=2)
    run_posts(n, "x")
    assert (len(posts.tried), latest_post(n, said).state) == (1, State.ACCEPTED)
    with n.db.read() as connection:
        (row,) = outbox.list_dispatches(connection, said.incident.id)
    assert row.attempt == 2


def test_what_is_cancelled_while_it_is_looked_for_is_not_sent_again(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    posts.answers = [Unknown("the answer was lost")]
    said = declare(n)
    run_posts(n, "x")

    class Slow(list[object]):
        def pop(self, _index: object = -1) -> object:
            pausing.pause(n, by="Olga", reason="a test")
            pausing.resume(n, by="Olga", cancel_waiting=True)
            return super().pop()

    posts.found = Slow([Retry("it is not there")])  # type: ignore[assignment]
    clock.now += LOOK_AFTER
    run_posts(n, "x")
    assert (len(posts.tried), latest_post(n, said).state) == (1, State.UNKNOWN)


def test_who_claims_and_who_publishes_do_not_wait_for_each_other(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    if n.db.dialect == "sqlite":
        pytest.skip("an SQLite file has one writer at a time")
    posts.rate = Rate(1000, timedelta(seconds=1))
    said = declare(n)
    worker = threading.Thread(target=run_posts, args=(n, "x"))
    with n.db.transaction() as connection:
        assert health.admit(connection, n, "x", now=clock.now) is None
        worker.start()
        time.sleep(0.3)
        outbox.replace_older(connection, said.incident.id, now=clock.now)
    worker.join()
    assert (posts.tried, latest_post(n, said).state) == ([], State.SUPERSEDED)
