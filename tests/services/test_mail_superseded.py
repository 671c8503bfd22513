"""A newer update while an older one is still going out: nobody reads old news after new."""

from collections import Counter
from typing import Any

import pytest

from notifier.domain.delivery import BatchOutcome, Retry, Sent, State
from notifier.domain.incident import Status
from notifier.ports import Notifier
from notifier.services.incidents import Published
from notifier.services.reports import report
from tests.fakes import FakeClock, FakeMail
from tests.services.saying import declare, say
from tests.services.scripted import Scripted, run


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
def mail(script: Scripted) -> FakeMail:
    return FakeMail(answer=script)


def states_of_older(n: Notifier, said: Published) -> tuple[State, dict[State, int]]:
    older = report(n, said.incident.id).updates[-1].mail
    assert older is not None
    return older.state, dict(older.states)


def publish_during_the_next_call(n: Notifier, said: Published, script: Scripted) -> None:
    def publish() -> None:
        script.meanwhile = lambda: None
        say(n, said, Status.RESOLVED)

    script.meanwhile = publish


def test_readers_not_yet_reached_get_only_the_newest(
    n: Notifier, add_customers: Any, mail: FakeMail, script: Scripted
) -> None:
    add_customers(35)
    said = declare(n)
    publish_during_the_next_call(n, said, script)
    run(n)
    told = Counter(mail.addresses)
    assert Counter(told.values()) == {2: 10, 1: 25}  # those in flight, and all the others
    last = {recipient.address: sent.subject for recipient, sent in mail.sent}
    assert len(last) == 35
    assert len(set(last.values())) == 1  # the last that anybody reads is the resolve
    assert states_of_older(n, said) == (State.ACCEPTED, {State.ACCEPTED: 10})


def test_what_was_to_be_tried_again_is_not(
    n: Notifier, add_customers: Any, mail: FakeMail, script: Scripted, clock: FakeClock
) -> None:
    add_customers(10)
    script.outcomes = [BatchOutcome(Sent("1"), {3: Retry("busy"), 4: Retry("busy")})]
    said = declare(n)
    run(n)
    say(n, said, Status.RESOLVED)
    clock.move(hours=1)
    run(n)
    assert Counter(Counter(mail.addresses).values()) == {2: 8, 1: 2}
    assert states_of_older(n, said) == (
        State.ACCEPTED,
        {State.ACCEPTED: 8, State.SUPERSEDED: 2},
    )


def test_what_is_refused_in_the_moment_of_the_update_is_not_tried_again_either(
    n: Notifier, add_customers: Any, mail: FakeMail, script: Scripted, clock: FakeClock
) -> None:
    add_customers(5)
    said = declare(n)
    publish_during_the_next_call(n, said, script)
    script.outcomes = [BatchOutcome(Retry("busy"))]
    run(n)
    clock.move(hours=1)
    run(n)
    assert Counter(mail.addresses) == Counter(f"c{i}@example.com" for i in range(5))
    assert states_of_older(n, said) == (State.SUPERSEDED, {State.SUPERSEDED: 5})


def test_a_mail_nobody_was_reached_by_is_superseded_as_a_whole(
    n: Notifier, add_customers: Any, mail: FakeMail
) -> None:
    add_customers(5)
    said = declare(n)
    say(n, said, Status.IDENTIFIED)
    run(n)
    assert states_of_older(n, said) == (State.SUPERSEDED, {})
    assert len(mail.sent) == 5
