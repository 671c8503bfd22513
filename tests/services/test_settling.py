"""What nobody can say of by themselves: an operator looks, and settles it."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from notifier.domain.delivery import BatchOutcome, Rejected, Sent, State, Unknown
from notifier.domain.incident import Status
from notifier.domain.plan import MailTime
from notifier.ports import Notifier
from notifier.services import audience
from notifier.services.incidents import Conflict, NotFound, Published
from notifier.services.posting import run_posts
from notifier.services.reconciling import LOOK_AFTER
from notifier.services.settling import Ruling, count_unknown, list_unknown, settle
from tests.fakes import FakeClock, FakeMail, FakePosts
from tests.services.saying import declare, deliver, latest_mail, latest_post, say, states
from tests.services.scripted import Scripted, run, state_of

LOST = Unknown("the answer was lost")
CANNOT_LOOK = Unknown("we may not read the timeline")


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
def mail(script: Scripted) -> FakeMail:
    return FakeMail(answer=script)


@pytest.fixture
def unknown_post(n: Notifier, posts: FakePosts, clock: FakeClock) -> Published:
    """A post that only an operator can settle."""
    audience.put_component(n, slug_="heat", name="Heat")
    posts.answers, posts.found = [LOST], [CANNOT_LOOK]
    said = declare(n)
    run_posts(n, "x")
    clock.now += LOOK_AFTER
    run_posts(n, "x")
    return said


@pytest.fixture
def unknown_mail(n: Notifier, add_customers: Any, script: Scripted) -> Published:
    """A mail to 15 readers of whom three are unknown."""
    add_customers(15)
    script.outcomes = [BatchOutcome(Sent("1"), {0: LOST, 3: LOST, 4: Rejected("no")})]
    script.outcomes.append(BatchOutcome(Sent("2"), {2: LOST}))
    said = declare(n)
    run(n)
    return said


def test_an_unknown_post_is_listed_with_all_there_is_to_know(
    n: Notifier, unknown_post: Published
) -> None:
    listed = list_unknown(n)
    (row,) = listed.posts
    assert listed.mails == ()
    assert (row.dispatch_id, row.lane, row.channel) == (
        latest_post(n, unknown_post).id,
        "post",
        "x",
    )
    assert (row.incident_id, row.number, row.title) == (1, 1, "No hot water in Northvale")
    assert row.text == latest_post(n, unknown_post).text
    assert row.reason == "only an operator can tell: we may not read the timeline"
    assert (row.readers, row.look_at, row.replaced) == (0, None, False)
    assert count_unknown(n) == 1


def test_a_post_that_is_looked_into_by_itself_says_when(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    audience.put_component(n, slug_="heat", name="Heat")
    posts.answers = [LOST]
    declare(n)
    run_posts(n, "x")
    (row,) = list_unknown(n).posts
    assert (row.look_at, row.reason) == (clock.now + LOOK_AFTER, "the answer was lost")


def test_a_mail_is_listed_with_the_number_of_its_unknown_readers(
    n: Notifier, unknown_mail: Published
) -> None:
    listed = list_unknown(n)
    (row,) = listed.mails
    assert (row.dispatch_id, row.lane) == (latest_mail(n, unknown_mail).id, "mail")
    assert (row.incident_id, row.number, row.readers) == (1, 1, 3)
    assert (row.reason, row.look_at, row.text) == ("the answer was lost", None, "")
    assert count_unknown(n) == 1


def test_every_mail_with_unknown_readers_counts_once_and_the_newest_comes_first(
    n: Notifier, add_customers: Any, script: Scripted, posts: FakePosts
) -> None:
    add_customers(4)
    assert (count_unknown(n), list_unknown(n).mails) == (0, ())
    for _ in range(3):
        script.outcomes = [BatchOutcome(LOST)]
        declare(n)
        run(n)
    posts.answers = [LOST]
    run_posts(n, "x")
    listed = list_unknown(n)
    assert [row.incident_id for row in listed.mails] == [3, 2, 1]
    assert [row.readers for row in listed.mails] == [4, 4, 4]
    assert count_unknown(n) == 3 + 1 == len(listed.mails) + len(listed.posts)


def test_a_post_that_arrived_is_sent(
    n: Notifier, posts: FakePosts, unknown_post: Published
) -> None:
    assert settle(n, latest_post(n, unknown_post).id, Ruling.ARRIVED, by="Olga") == 1
    post = latest_post(n, unknown_post)
    assert (post.state, post.reason) == (State.ACCEPTED, "arrived, says Olga")
    run_posts(n, "x")
    assert (len(posts.tried), count_unknown(n)) == (1, 0)


def test_a_post_is_sent_again_in_the_same_words(
    n: Notifier, posts: FakePosts, unknown_post: Published
) -> None:
    assert settle(n, latest_post(n, unknown_post).id, Ruling.SEND_AGAIN, by="Olga") == 1
    waiting = latest_post(n, unknown_post)
    assert (waiting.state, waiting.reason) == (State.PLANNED, "sent again by Olga")
    run_posts(n, "x")
    post = latest_post(n, unknown_post)
    assert (post.state, posts.sent) == (State.ACCEPTED, [post.text])


def test_a_post_that_is_left_is_never_sent(
    n: Notifier, posts: FakePosts, clock: FakeClock, unknown_post: Published
) -> None:
    assert settle(n, latest_post(n, unknown_post).id, Ruling.LEAVE, by="Olga") == 1
    post = latest_post(n, unknown_post)
    assert (post.state, post.reason) == (State.CANCELLED, "not sent again, decided Olga")
    clock.move(days=2)
    assert run_posts(n, "x") is None
    assert (len(posts.tried), count_unknown(n)) == (1, 0)


def test_a_post_that_will_be_looked_into_can_be_settled_before(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    audience.put_component(n, slug_="heat", name="Heat")
    posts.answers = [LOST]
    said = declare(n)
    run_posts(n, "x")
    settle(n, latest_post(n, said).id, Ruling.ARRIVED, by="Olga")
    clock.move(hours=1)
    assert run_posts(n, "x") is None
    assert (posts.looked_for, len(posts.tried)) == ([], 1)


def test_who_looks_while_an_operator_settles_writes_nothing(
    n: Notifier, posts: FakePosts, clock: FakeClock
) -> None:
    audience.put_component(n, slug_="heat", name="Heat")
    posts.answers = [LOST]
    said = declare(n)
    run_posts(n, "x")

    class Slow(list[Any]):
        def pop(self, index: Any = -1) -> Any:
            settle(n, latest_post(n, said).id, Ruling.ARRIVED, by="Olga")
            return super().pop(index)

    posts.found = Slow([CANNOT_LOOK])
    clock.now += LOOK_AFTER
    run_posts(n, "x")
    post = latest_post(n, said)
    assert (post.state, post.reason) == (State.ACCEPTED, "arrived, says Olga")


def test_readers_who_got_it_are_sent(
    n: Notifier, unknown_mail: Published, script: Scripted
) -> None:
    assert settle(n, latest_mail(n, unknown_mail).id, Ruling.ARRIVED, by="Olga") == 3
    assert states(n, unknown_mail) == {State.ACCEPTED: 14, State.REJECTED: 1}
    assert run(n) is None
    assert (len(script.asked), count_unknown(n)) == (2, 0)


def test_only_the_unknown_readers_are_sent_to_again(
    n: Notifier, unknown_mail: Published, script: Scripted, mail: FakeMail
) -> None:
    before = state_of(n, unknown_mail)
    lost = {who for who, state in before.items() if state is State.UNKNOWN}
    assert settle(n, latest_mail(n, unknown_mail).id, Ruling.SEND_AGAIN, by="Olga") == 3
    assert latest_mail(n, unknown_mail).state is State.SENDING
    assert run(n) is None
    again = [who for batch in script.asked[2:] for who in batch]
    assert sorted(again) == sorted(lost)
    assert max(Counter(mail.addresses).values()) == 1
    assert states(n, unknown_mail) == {State.ACCEPTED: 14, State.REJECTED: 1}
    assert latest_mail(n, unknown_mail).state is State.ACCEPTED


def test_readers_who_are_left_are_never_sent_to(
    n: Notifier, add_customers: Any, script: Scripted, clock: FakeClock
) -> None:
    add_customers(5)
    script.outcomes = [BatchOutcome(LOST)]
    said = declare(n)
    run(n)
    assert settle(n, latest_mail(n, said).id, Ruling.LEAVE, by="Olga") == 5
    assert states(n, said) == {State.CANCELLED: 5}
    assert latest_mail(n, said).state is State.CANCELLED
    clock.move(days=2)
    assert run(n) is None
    assert (len(script.asked), count_unknown(n)) == (1, 0)


@pytest.mark.parametrize("ruling", list(Ruling))
def test_what_is_settled_cannot_be_settled_again(
    n: Notifier, unknown_post: Published, ruling: Ruling
) -> None:
    post_id = latest_post(n, unknown_post).id
    settle(n, post_id, Ruling.LEAVE, by="Olga")
    before = latest_post(n, unknown_post)
    with pytest.raises(Conflict, match="nothing of this message is unknown any more"):
        settle(n, post_id, ruling, by="Amina")
    assert latest_post(n, unknown_post) == before


@pytest.mark.parametrize("ruling", list(Ruling))
def test_what_waits_or_is_not_there_cannot_be_settled(
    n: Notifier, add_customers: Any, ruling: Ruling
) -> None:
    add_customers(1)
    said = declare(n, mail=MailTime(delay=timedelta(minutes=5)))
    for message in (latest_post(n, said), latest_mail(n, said)):
        with pytest.raises(Conflict, match="nothing of this message is unknown any more"):
            settle(n, message.id, ruling, by="Olga")
    with pytest.raises(NotFound, match="there is no message 999"):
        settle(n, 999, ruling, by="Olga")
    deliver(n)
    assert latest_post(n, said).state is State.ACCEPTED


def test_nothing_older_is_sent_after_something_newer(
    n: Notifier, unknown_mail: Published, posts: FakePosts, script: Scripted
) -> None:
    posts.answers, posts.found = [LOST], [CANNOT_LOOK]
    run_posts(n, "x")
    older = [latest_post(n, unknown_mail).id, latest_mail(n, unknown_mail).id]
    say(n, unknown_mail, Status.IDENTIFIED, mail=MailTime(delay=timedelta(minutes=5)))
    assert {row.replaced for row in (*list_unknown(n).posts, *list_unknown(n).mails)} == {True}
    for message in older:
        with pytest.raises(Conflict, match="cannot be sent again"):
            settle(n, message, Ruling.SEND_AGAIN, by="Olga")
    assert count_unknown(n) == 2
    for message in older:
        settle(n, message, Ruling.LEAVE, by="Olga")
    assert (count_unknown(n), len(script.asked)) == (0, 2)
