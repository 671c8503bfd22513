"""The kill switch: while the site is paused nothing begins to leave, whatever it is."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.app import start_engine
from notifier.domain.delivery import BatchOutcome, Retry, Sent, State, Unknown
from notifier.domain.plan import MailTime
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.queueing.embedded import EmbeddedEngine
from notifier.services import audience
from notifier.services.incidents import Conflict
from notifier.services.pausing import (
    Resumed,
    look,
    pause,
    paused,
    resume,
)
from notifier.services.posting import run_posts
from notifier.services.reconciling import LOOK_AFTER
from notifier.services.settling import Ruling, list_unknown, settle
from tests.fakes import FakeClock, FakeMail, FakePosts
from tests.services.saying import declare, deliver, hold, later, latest_mail, latest_post, states
from tests.services.scripted import Scripted, run

LOST = Unknown("the answer was lost")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
def mail(script: Scripted) -> FakeMail:
    return FakeMail(answer=script)


@pytest.fixture
def resending(n: Notifier) -> Notifier:
    """Unknown mail is sent again after a minute."""
    email = n.settings.email.model_copy(
        update={"unknown_policy": "resend", "unknown_wait_seconds": MINUTE.total_seconds()}
    )
    return replace(n, settings=n.settings.model_copy(update={"email": email}))


def test_who_paused_first_keeps_the_word(n: Notifier, clock: FakeClock) -> None:
    assert paused(n) is None
    held = pause(n, by="Olga", reason="  the list is wrong ")
    assert (held.since, held.by, held.reason) == (clock.now, "Olga", "the list is wrong")
    clock.move(minutes=1)
    assert pause(n, by="Amina", reason="me too") == held == paused(n)
    resume(n, by="Amina")
    assert paused(n) is None


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 301])
def test_a_pause_has_a_reason(n: Notifier, reason: str) -> None:
    with pytest.raises(Invalid, match=r"^reason "):
        pause(n, by="Olga", reason=reason)
    assert paused(n) is None


def test_new_posts_and_mails_wait_and_leave_afterwards(
    n: Notifier, add_customers: Any, clock: FakeClock, posts: FakePosts, mail: FakeMail
) -> None:
    add_customers(12)
    hold(n)
    said = declare(n)
    later(n, clock)
    assert (posts.tried, mail.batches) == ([], [])
    assert latest_post(n, said).state is latest_mail(n, said).state is State.PLANNED
    assert look(n).messages == 2
    assert resume(n, by="Olga") == Resumed(cancelled=0, leaving=2)
    deliver(n)
    assert (len(posts.sent), len(mail.sent), look(n).messages) == (1, 12, 0)


def test_a_fan_out_stops_after_the_batch_in_flight(
    n: Notifier, add_customers: Any, clock: FakeClock, script: Scripted, mail: FakeMail
) -> None:
    add_customers(35)
    said = declare(n)
    script.meanwhile = lambda: hold(n)
    run(n)
    later(n, clock)
    assert states(n, said) == {State.ACCEPTED: 10}
    assert resume(n, by="Olga").leaving == 2  # the mail, and the post that nobody delivered here
    script.meanwhile = lambda: None
    run(n)
    assert Counter(mail.addresses) == Counter(f"c{i}@example.com" for i in range(35))


def test_nothing_is_tried_again_while_paused(
    n: Notifier, add_customers: Any, clock: FakeClock, posts: FakePosts, script: Scripted
) -> None:
    add_customers(4)
    posts.answers = [Retry("busy")]
    script.outcomes = [BatchOutcome(Sent("1"), {2: Retry("greylisted")})]
    said = declare(n)
    deliver(n)
    hold(n)
    later(n, clock)
    assert (len(posts.tried), len(script.asked)) == (1, 1)
    assert look(n).messages == 2
    resume(n, by="Olga")
    deliver(n)
    assert (len(posts.sent), len(script.asked)) == (1, 2)
    assert states(n, said) == {State.ACCEPTED: 4}


def test_nothing_unknown_is_looked_into_or_sent_again_while_paused(
    resending: Notifier,
    add_customers: Any,
    clock: FakeClock,
    posts: FakePosts,
    script: Scripted,
) -> None:
    n = resending
    add_customers(4)
    posts.answers, script.outcomes = [LOST], [BatchOutcome(LOST)]
    said = declare(n)
    deliver(n)
    hold(n)
    later(n, clock)
    assert (posts.looked_for, len(posts.tried), len(script.asked)) == ([], 1, 1)
    assert look(n).messages == 0
    resume(n, by="Olga")
    deliver(n)
    assert (len(posts.looked_for), len(posts.sent), len(script.asked)) == (1, 1, 2)
    assert states(n, said) == {State.ACCEPTED: 4}


def test_what_an_operator_sends_again_waits_too(
    n: Notifier, add_customers: Any, clock: FakeClock, posts: FakePosts, script: Scripted
) -> None:
    add_customers(4)
    posts.answers, posts.found = [LOST], [LOST]
    script.outcomes = [BatchOutcome(LOST)]
    said = declare(n)
    deliver(n)
    clock.now += LOOK_AFTER
    deliver(n)
    hold(n)
    settle(n, latest_post(n, said).id, Ruling.SEND_AGAIN, by="Olga")
    settle(n, latest_mail(n, said).id, Ruling.SEND_AGAIN, by="Olga")
    later(n, clock)
    assert (len(posts.tried), len(script.asked), look(n).messages) == (1, 1, 2)
    resume(n, by="Olga")
    deliver(n)
    assert (len(posts.sent), len(script.asked)) == (1, 2)


def test_what_waits_can_be_cancelled_instead(
    n: Notifier, add_customers: Any, clock: FakeClock, posts: FakePosts, mail: FakeMail
) -> None:
    add_customers(4)
    at_once, scheduled = declare(n), declare(n, mail=MailTime(delay=60 * MINUTE))
    hold(n)
    assert resume(n, by="Olga", cancel_waiting=True) == Resumed(cancelled=4, leaving=0)
    later(n, clock)
    clock.move(hours=2)
    deliver(n)
    assert (posts.tried, mail.batches) == ([], [])
    for said in (at_once, scheduled):
        for message in (latest_post(n, said), latest_mail(n, said)):
            assert message.state is State.CANCELLED
            assert message.reason == "cancelled by Olga when the pause ended"
    declare(n)
    deliver(n)
    assert (len(posts.sent), len(mail.sent)) == (1, 4)


def test_readers_who_were_not_reached_are_cancelled_too(
    n: Notifier, add_customers: Any, clock: FakeClock, script: Scripted, mail: FakeMail
) -> None:
    add_customers(35)
    script.outcomes = [BatchOutcome(Sent("1"), {i: Retry("greylisted") for i in (2, 5)})]
    said = declare(n)
    run_posts(n, "x")
    script.meanwhile = lambda: hold(n)
    run(n)
    assert resume(n, by="Olga", cancel_waiting=True) == Resumed(cancelled=1, leaving=0)
    later(n, clock)
    assert len(mail.sent) == 8
    assert states(n, said) == {State.ACCEPTED: 8, State.CANCELLED: 2}
    assert latest_mail(n, said).state is State.ACCEPTED
    assert latest_mail(n, said).reason == "cancelled by Olga when the pause ended"


def test_what_is_in_flight_meanwhile_is_not_tried_again(
    n: Notifier, add_customers: Any, clock: FakeClock, script: Scripted
) -> None:
    add_customers(3)

    def over_before_the_answer_came() -> None:
        hold(n)
        resume(n, by="Olga", cancel_waiting=True)

    script.meanwhile = over_before_the_answer_came
    script.outcomes = [BatchOutcome(Retry("busy"))]
    said = declare(n)
    run(n)
    later(n, clock)
    assert len(script.asked) == 1
    assert set(states(n, said)) == {State.SUPERSEDED}


def test_what_is_unknown_is_left_to_the_operator_when_what_waits_is_cancelled(
    resending: Notifier,
    add_customers: Any,
    clock: FakeClock,
    posts: FakePosts,
    script: Scripted,
) -> None:
    n = resending
    add_customers(4)
    posts.answers, script.outcomes = [LOST], [BatchOutcome(LOST)]
    declare(n)
    deliver(n)
    hold(n)
    assert resume(n, by="Olga", cancel_waiting=True).cancelled == 0
    later(n, clock)
    assert (posts.looked_for, len(posts.tried), len(script.asked)) == ([], 1, 1)
    listed = list_unknown(n)
    assert [row.look_at for row in (*listed.posts, *listed.mails)] == [None, None]


@pytest.mark.parametrize("cancel_waiting", [False, True])
def test_where_nothing_is_paused_nothing_is_cancelled(
    n: Notifier, posts: FakePosts, cancel_waiting: bool
) -> None:
    audience.put_component(n, slug_="heat", name="Heat")
    declare(n)
    with pytest.raises(Conflict, match="nothing is paused, so nothing was changed"):
        resume(n, by="Olga", cancel_waiting=cancel_waiting)
    deliver(n)
    assert len(posts.sent) == 1


def test_a_running_engine_sends_nothing_before_it_is_resumed(
    n: Notifier,
    add_customers: Any,
    posts: FakePosts,
    mail: FakeMail,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also not what a declaration would hand to an idle lane."""
    monkeypatch.chdir(tmp_path)  # where the engine leaves the mark of the database
    add_customers(3)
    engine = EmbeddedEngine(sweep_seconds=0.05)
    n = replace(n, doorbell=engine)
    start_engine(n, engine, alone=True)
    try:
        _until(lambda: engine.is_idle("x"))
        hold(n)
        said = declare(n)
        time.sleep(0.5)
        assert (posts.tried, mail.batches) == ([], [])
        assert latest_post(n, said).state is State.PLANNED
        resume(n, by="Olga")
        assert posts.wait_for(1)
        assert mail.wait_for(3)
    finally:
        engine.stop()


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)
