"""An answer that never came: we look before we say anything twice."""

from dataclasses import replace
from datetime import timedelta

import pytest

from notifier.domain.delivery import (
    USEFUL_FOR,
    Rejected,
    Repeated,
    Retry,
    Sent,
    State,
    Unknown,
)
from notifier.domain.incident import Status
from notifier.ports import Notifier
from notifier.services import audience
from notifier.services.incidents import Published
from notifier.services.leases import recover
from notifier.services.posting import run_posts
from notifier.services.reconciling import LOOK_AFTER
from notifier.services.reports import report
from tests.fakes import FakeClock, FakePosts
from tests.services.saying import declare, latest_post, say

LOST = Unknown("the answer was lost")


@pytest.fixture(autouse=True)
def heat(n: Notifier) -> None:
    audience.put_component(n, slug_="heat", name="Heat")


def lose_the_answer(n: Notifier, posts: FakePosts, *, arrived: bool) -> Published:
    """Declare; the post's answer is lost, and the post is there or not."""
    posts.answers = [LOST]
    said = declare(n)
    due = run_posts(n, "x")
    assert due == n.clock() + LOOK_AFTER
    assert latest_post(n, said).state == State.UNKNOWN
    if arrived:
        posts.sent.append(latest_post(n, said).text)
    return said


def look(n: Notifier, clock: FakeClock) -> None:
    clock.now += LOOK_AFTER
    run_posts(n, "x")


def test_nothing_is_looked_for_before_it_can_be_seen(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    lose_the_answer(n, posts, arrived=False)
    clock.now += LOOK_AFTER - timedelta(milliseconds=1)
    run_posts(n, "x")
    assert (posts.looked_for, len(posts.tried)) == ([], 1)


def test_what_is_found_was_sent_and_is_not_sent_again(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    said = lose_the_answer(n, posts, arrived=True)
    look(n, clock)
    post = latest_post(n, said)
    assert (post.state, post.link) == (State.ACCEPTED, "https://posts.example/1000")
    clock.move(hours=1)
    assert run_posts(n, "x") is None
    assert (len(posts.tried), len(posts.looked_for)) == (1, 1)


def test_what_is_not_there_is_sent_with_the_same_words(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    said = lose_the_answer(n, posts, arrived=False)
    look(n, clock)
    post = latest_post(n, said)
    assert (post.state, post.link) == (State.ACCEPTED, "https://posts.example/1000")
    assert posts.tried == [post.text] * 2
    assert posts.sent == [post.text]


def test_where_nobody_can_tell_an_operator_has_to(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    said = lose_the_answer(n, posts, arrived=True)
    posts.found = [Unknown("we may not read the timeline")]
    look(n, clock)
    post = latest_post(n, said)
    assert (post.state, post.reason) == (
        State.UNKNOWN,
        "only an operator can tell: we may not read the timeline",
    )
    clock.move(hours=1)
    assert run_posts(n, "x") is None
    assert len(posts.tried) == 1


@pytest.mark.parametrize("arrived", [True, False])
def test_where_repetitions_are_refused_the_same_text_is_the_question(
    n: Notifier, posts: FakePosts, clock: FakeClock, arrived: bool
) -> None:
    posts.refuses_repeats = True
    said = lose_the_answer(n, posts, arrived=arrived)
    posts.found = [Unknown("we may not read the timeline")]
    look(n, clock)
    post = latest_post(n, said)
    assert post.state == State.ACCEPTED
    assert posts.tried == [post.text] * 2
    assert posts.sent == [post.text]
    assert post.link == "https://posts.example/1000"


def test_a_refused_repetition_without_a_timeline_still_counts_as_sent(
    n: Notifier, posts: FakePosts
) -> None:
    posts.answers = [Repeated("it is there already")]
    posts.found = [Unknown("we may not read the timeline")]
    said = declare(n)
    run_posts(n, "x")
    post = latest_post(n, said)
    assert (post.state, post.reason, post.link) == (State.ACCEPTED, "it is there already", "")


def test_nothing_older_is_posted_after_something_newer(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    said = lose_the_answer(n, posts, arrived=False)
    say(n, said, Status.IDENTIFIED)
    look(n, clock)
    newer, older = report(n, said.incident.id).updates
    assert (older.posts[0].state, newer.posts[0].state) == (State.SUPERSEDED, State.ACCEPTED)
    assert posts.sent == [newer.posts[0].text]


def test_what_is_found_too_late_to_help_is_not_sent_again(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    said = lose_the_answer(n, posts, arrived=False)
    clock.now += USEFUL_FOR + timedelta(seconds=1)
    run_posts(n, "x")
    assert latest_post(n, said).state == State.REJECTED
    assert len(posts.tried) == 1


def test_an_answer_that_is_lost_again_is_looked_into_again(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    said = lose_the_answer(n, posts, arrived=False)
    posts.answers = [LOST]
    look(n, clock)
    assert latest_post(n, said).state == State.UNKNOWN
    posts.answers = [Retry("busy")]
    look(n, clock)
    assert latest_post(n, said).state == State.PLANNED
    posts.answers = [Rejected("no")]
    clock.move(minutes=10)
    run_posts(n, "x")
    assert latest_post(n, said).state == State.REJECTED
    assert posts.sent == []


def test_two_nodes_do_not_look_into_one_post_together(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    class Nested(FakePosts):
        def find(self, text: str) -> Sent:
            assert text
            run_posts(n, "x")  # another node, in the middle of our look
            return Sent("77")

    lose_the_answer(n, posts, arrived=False)
    clock.now += LOOK_AFTER
    run_posts(replace(n, node="other", posts={"x": Nested()}), "x")
    assert posts.looked_for == []
    assert len(posts.tried) == 1


def test_who_dies_while_looking_leaves_it_to_the_next(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    class Killed(BaseException):
        pass

    class Deadly(FakePosts):
        def find(self, text: str) -> Sent:
            raise Killed(text)

    said = lose_the_answer(n, posts, arrived=True)
    clock.now += LOOK_AFTER
    with pytest.raises(Killed):
        run_posts(replace(n, node="dead", posts={"x": Deadly()}), "x")
    run_posts(n, "x")
    assert latest_post(n, said).state == State.UNKNOWN
    recover(n, alone=True)
    run_posts(n, "x")
    assert latest_post(n, said).state == State.ACCEPTED
    assert len(posts.tried) == 1
