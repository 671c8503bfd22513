"""Mail in flight when its sender dies, or answers late: unknown, never sent twice."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from notifier.domain.delivery import BatchOutcome, Rejected, Retry, Sent, State
from notifier.ports import Notifier
from notifier.services.leases import LEASE, recover
from tests.fakes import FakeClock, FakeMail
from tests.services.saying import declare, latest_mail, states
from tests.services.scripted import Scripted, run, state_of

SECOND = timedelta(seconds=1)


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
def mail(script: Scripted) -> FakeMail:
    return FakeMail(answer=script)


class Killed(BaseException):
    """The end of a process in the middle of a call: nothing behind it runs."""


def kill() -> None:
    raise Killed


def die(n: Notifier, script: Scripted) -> list[str]:
    """Be killed during the next call; whom it was for."""
    script.meanwhile = kill
    with pytest.raises(Killed):
        run(n)
    script.meanwhile = lambda: None
    return script.asked[-1]


def restarted(n: Notifier) -> Notifier:
    """The process that comes after, which is another one."""
    return replace(n, node="after the restart")


def test_a_batch_in_flight_when_its_sender_died_is_unknown_and_the_rest_goes_on(
    n: Notifier, add_customers: Any, mail: FakeMail, clock: FakeClock, script: Scripted
) -> None:
    add_customers(25)
    said = declare(n)
    lost = die(n, script)
    assert len(lost) == 10
    assert states(n, said) == {State.SENDING: 10}

    n = restarted(n)
    assert recover(n, alone=True) == (0, 1)
    run(n)
    assert Counter(mail.addresses) == Counter(
        made.email for made in add_customers.made if made.external_id not in lost
    )
    assert states(n, said) == {State.UNKNOWN: 10, State.ACCEPTED: 15}
    clock.move(days=1)
    assert recover(n, alone=True) == (0, 0)
    run(n)
    assert len(mail.sent) == 15
    assert latest_mail(n, said).state == State.ACCEPTED


def test_a_retry_in_flight_when_its_sender_died_loses_only_those_in_it(
    n: Notifier, add_customers: Any, script: Scripted, clock: FakeClock, mail: FakeMail
) -> None:
    add_customers(4)
    script.outcomes = [BatchOutcome(Sent("1"), {2: Retry("busy")})]
    said = declare(n)
    clock.now = run(n)
    assert die(n, script) == ["c2"]
    n = restarted(n)
    recover(n, alone=True)
    run(n)
    assert state_of(n, said)["c2"] == State.UNKNOWN
    assert states(n, said) == {State.ACCEPTED: 3, State.UNKNOWN: 1}
    assert len(mail.sent) == 3


def test_the_last_batch_lost_leaves_the_mail_settled(
    n: Notifier, add_customers: Any, script: Scripted
) -> None:
    add_customers(4)
    said = declare(n)
    die(n, script)
    n = restarted(n)
    recover(n, alone=True)
    assert run(n) is None
    assert latest_mail(n, said).state == State.UNKNOWN


LATE: list[tuple[BatchOutcome, dict[State, int]]] = [
    (BatchOutcome(Sent("9")), {State.ACCEPTED: 3}),
    (BatchOutcome(Sent("9"), {1: Rejected("no")}), {State.ACCEPTED: 2, State.REJECTED: 1}),
    (BatchOutcome(Rejected("no")), {State.REJECTED: 3}),
]


def test_a_late_answer_for_a_batch_is_the_truth(
    n: Notifier, add_customers: Any, script: Scripted, clock: FakeClock
) -> None:
    def lease_ends() -> None:
        script.meanwhile = lambda: None
        clock.now += LEASE + SECOND
        assert recover(n, alone=False) == (0, 1)
        assert states(n, said) == {State.UNKNOWN: 3}

    add_customers(3)
    for outcome, expected in LATE:
        script.meanwhile = lease_ends
        script.outcomes = [outcome]
        said = declare(n)
        run(n)
        assert states(n, said) == expected
