"""What becomes of a post: each outcome leads to one state, and nothing is said twice."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from notifier.app import build, load_settings
from notifier.domain.delivery import USEFUL_FOR, Outcome, Rejected, Retry, Sent, State, Unknown
from notifier.domain.incident import Severity, Status
from notifier.ports import Notifier
from notifier.services import audience
from notifier.services.incidents import Published
from notifier.services.leases import LEASE, recover
from notifier.services.posting import run_posts
from notifier.services.reports import report
from notifier.settings import Settings
from notifier.store.db import Database
from tests.fakes import FakeClock, FakeMail, FakePosts
from tests.services.saying import declare, latest_post, say

SECOND = timedelta(seconds=1)


class InterruptedPosts(FakePosts):
    """A channel during whose call something else happens."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(answers=[outcome])
        self.meanwhile: Callable[[], object] = lambda: None

    def send(self, text: str) -> Outcome:
        self.meanwhile()
        return super().send(text)


@pytest.fixture(autouse=True)
def heat(n: Notifier) -> None:
    audience.put_component(n, slug_="heat", name="Heat")


def test_a_post_that_was_sent_is_accepted_and_can_be_read(n: Notifier, posts: FakePosts) -> None:
    said = declare(n)
    assert run_posts(n, "x") is None
    post = latest_post(n, said)
    assert (post.state, post.link) == (State.ACCEPTED, "https://posts.example/1000")
    assert posts.sent == [post.text]
    run_posts(n, "x")
    assert len(posts.tried) == 1


def test_a_post_to_be_retried_waits_as_long_as_the_channel_says(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    posts.answers = [Retry("busy", 90 * SECOND), Retry("still busy")]
    said = declare(n)
    due = run_posts(n, "x")
    assert due is not None
    assert due >= clock.now + 90 * SECOND
    post = latest_post(n, said)
    assert (post.state, post.reason, post.link) == (State.PLANNED, "busy", "")
    clock.now = due - SECOND
    assert run_posts(n, "x") == due
    assert len(posts.tried) == 1
    clock.now = due
    run_posts(n, "x")
    clock.move(minutes=10)
    run_posts(n, "x")
    assert posts.tried == [post.text] * 3
    assert posts.sent == [post.text]
    assert latest_post(n, said).state == State.ACCEPTED
    assert latest_post(n, said).reason == ""


def test_a_post_that_is_settled_is_never_sent_again(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    for tried, (outcome, state, reason) in enumerate(
        [
            (Rejected("the account is locked"), State.REJECTED, "the account is locked"),
            (
                Retry("busy", USEFUL_FOR + SECOND),
                State.REJECTED,
                "given up, too late to be of use: busy",
            ),
        ],
        start=1,
    ):
        posts.answers = [outcome]
        said = declare(n)
        assert run_posts(n, "x") is None
        post = latest_post(n, said)
        assert (post.state, post.reason, post.link) == (state, reason, "")
        clock.move(days=1)
        recover(n, alone=True)
        run_posts(n, "x")
        assert len(posts.tried) == tried


def test_a_post_is_tried_for_as_long_as_it_helps_and_not_longer(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    posts.answers = [Retry("busy")] * 10_000
    said = declare(n)
    begun = clock.now
    while (due := run_posts(n, "x")) is not None:
        clock.now = max(due, clock.now + SECOND)
    assert latest_post(n, said).state == State.REJECTED
    # With at most five minutes between two tries, the last one comes near the end. The channel
    # has failed so often that it may be looked at again only up to a minute behind it.
    assert USEFUL_FOR - timedelta(minutes=6) < clock.now - begun
    assert clock.now - begun <= USEFUL_FOR + timedelta(minutes=1)


def test_the_worse_incident_is_posted_first(n: Notifier, posts: FakePosts) -> None:
    for severity in (Severity.MINOR, Severity.CRITICAL, Severity.MAJOR):
        declare(n, severity=severity, impact=f"A {severity} impact.")
    run_posts(n, "x")
    assert [text.split()[1] for text in posts.sent] == ["critical", "major", "minor"]


class Killed(BaseException):
    """The end of a process in the middle of a call: nothing behind it runs."""


class DeadlyPosts(FakePosts):
    """A channel in whose call the process dies."""

    def send(self, text: str) -> Outcome:
        self.tried.append(text)
        raise Killed


def die(n: Notifier) -> None:
    """Be killed, as another process, while the post is on its way."""
    with pytest.raises(Killed):
        run_posts(replace(n, node="dead", posts={"x": DeadlyPosts()}), "x")


def test_a_post_in_flight_when_its_sender_died_is_unknown(n: Notifier, posts: FakePosts) -> None:
    said = declare(n)
    die(n)
    assert latest_post(n, said).state == State.SENDING
    run_posts(n, "x")
    assert posts.tried == []

    assert recover(n, alone=True) == (1, 0)
    post = latest_post(n, said)
    assert (post.state, post.reason) == (
        State.UNKNOWN,
        "the sender stopped before the answer came",
    )
    assert recover(n, alone=True) == (0, 0)


def test_another_node_may_still_be_sending_until_its_lease_ends(
    n: Notifier, clock: FakeClock
) -> None:
    said = declare(n)
    die(n)
    clock.now += LEASE
    assert recover(n, alone=False) == (0, 0)
    clock.move(seconds=1)
    assert recover(n, alone=False) == (1, 0)
    assert latest_post(n, said).state == State.UNKNOWN


def test_a_late_answer_is_the_truth(
    settings: Settings, database: Database, clock: FakeClock
) -> None:
    for outcome, state in (
        (Sent("77"), State.ACCEPTED),
        (Rejected("no"), State.REJECTED),
        (Unknown("who knows"), State.UNKNOWN),
        # The last, because nothing is posted for an hour after it.
        (Retry("busy", timedelta(hours=1)), State.PLANNED),
    ):
        slow = InterruptedPosts(outcome)
        n = build(settings, clock=clock, posts={"x": slow}, mail=FakeMail(), database=database)
        said = declare(n)

        def lease_ends(n: Notifier = n, said: Published = said) -> None:
            clock.now += LEASE + SECOND
            assert recover(n, alone=False) == (1, 0)
            assert latest_post(n, said).state == State.UNKNOWN

        slow.meanwhile = lease_ends
        run_posts(n, "x")
        assert latest_post(n, said).state == state
        assert len(slow.tried) == 1


def test_the_connection_is_not_held_while_a_provider_is_waited_for(
    settings: Settings, database: Database, clock: FakeClock
) -> None:
    slow = InterruptedPosts(Sent("1"))
    n = build(settings, clock=clock, posts={"x": slow}, mail=FakeMail(), database=database)
    declare(n)
    # Another writer gets through in the middle of the call.
    slow.meanwhile = lambda: audience.put_component(n, slug_="water", name="Water")
    run_posts(n, "x")
    assert len(slow.sent) == 1
    assert database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_an_update_during_the_call_does_not_change_what_is_in_flight(
    settings: Settings, database: Database, clock: FakeClock
) -> None:
    slow = InterruptedPosts(Sent("1"))
    n = build(settings, clock=clock, posts={"x": slow}, mail=FakeMail(), database=database)
    said = declare(n)

    def update() -> None:
        slow.meanwhile = lambda: None
        say(n, said, Status.IDENTIFIED)

    slow.meanwhile = update
    run_posts(n, "x")
    newer, older = report(n, said.incident.id).updates
    assert (older.posts[0].state, newer.posts[0].state) == (State.ACCEPTED, State.ACCEPTED)
    assert len(slow.sent) == 2


def test_a_retried_post_keeps_its_words_whatever_is_renamed(
    n: Notifier, posts: FakePosts, clock: FakeClock, tmp_path: Any
) -> None:
    posts.answers = [Retry("busy")]
    said = declare(n)
    run_posts(n, "x")
    frozen = latest_post(n, said).text

    audience.put_component(n, slug_="heat", name="Something else")
    (tmp_path / "other.toml").touch()
    other = {
        "NOTIFIER_BASE_URL": "https://moved.example",
        "NOTIFIER_SITE__NAME": "Renamed",
        "NOTIFIER_SITE__TIME_ZONE": "America/Sao_Paulo",
    }
    moved = load_settings(path=tmp_path / "other.toml", environ=other)
    again = build(moved, clock=clock, posts={"x": posts}, mail=n.mail, database=n.db)
    clock.move(minutes=10)
    run_posts(again, "x")
    assert posts.sent == [frozen]
    assert latest_post(again, said).text == frozen
