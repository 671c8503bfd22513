"""What waited so long that it helps nobody is given up, and the ledger says so."""

from datetime import timedelta
from typing import Any

import pytest

from notifier.domain.delivery import USEFUL_FOR, BatchOutcome, Retry, Sent, State
from notifier.ports import Notifier
from notifier.services.leases import recover
from tests.fakes import FakeClock, FakeMail, FakePosts
from tests.services.saying import declare, deliver, latest_mail, latest_post, states
from tests.services.scripted import Scripted, run

SECOND = timedelta(seconds=1)


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
def mail(script: Scripted) -> FakeMail:
    return FakeMail(answer=script)


def test_what_nobody_delivered_in_time_is_given_up(
    n: Notifier, add_customers: Any, clock: FakeClock, mail: FakeMail, posts: FakePosts
) -> None:
    add_customers(3)
    said = declare(n)
    clock.now += USEFUL_FOR + SECOND
    recover(n, alone=True)
    deliver(n)
    assert (mail.sent, posts.sent) == ([], [])
    for message in (latest_post(n, said), latest_mail(n, said)):
        assert (message.state, message.reason) == (
            State.REJECTED,
            "given up, too late to be of use",
        )


def test_what_can_still_help_is_sent(
    n: Notifier, add_customers: Any, clock: FakeClock, mail: FakeMail, posts: FakePosts
) -> None:
    add_customers(3)
    declare(n)
    clock.now += USEFUL_FOR
    recover(n, alone=True)
    deliver(n)
    assert (len(mail.sent), len(posts.sent)) == (3, 1)


def test_a_fan_out_that_moves_is_not_given_up_however_long_it_takes(
    n: Notifier, add_customers: Any, clock: FakeClock, mail: FakeMail, script: Scripted
) -> None:
    def pass_time() -> None:
        clock.now += USEFUL_FOR - SECOND
        recover(n, alone=False)

    add_customers(35)
    script.meanwhile = pass_time
    declare(n)
    run(n)
    assert len(mail.sent) == 35


def test_a_fan_out_that_stands_still_is_given_up_with_those_to_be_tried_again(
    n: Notifier, add_customers: Any, clock: FakeClock, script: Scripted
) -> None:
    add_customers(25)
    script.outcomes = [
        BatchOutcome(Sent("1"), {0: Retry("busy")}),
        BatchOutcome(Retry("busy", 3 * USEFUL_FOR / 4)),
    ]
    said = declare(n)
    run(n)
    assert states(n, said) == {State.ACCEPTED: 9, State.PLANNED: 11}
    clock.now += USEFUL_FOR + SECOND
    recover(n, alone=False)
    assert states(n, said) == {State.ACCEPTED: 9, State.REJECTED: 11}
    mail_ = latest_mail(n, said)
    assert (mail_.state, mail_.reason) == (State.ACCEPTED, "given up, too late to be of use")
    assert run(n) is None
    assert len(script.asked) == 2
