"""Mail whose answer never came: held for an operator, or sent again after a wait, as set."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from notifier.domain.delivery import BatchOutcome, Retry, Sent, State, Unknown
from notifier.domain.incident import Status
from notifier.ports import Notifier
from notifier.services.leases import recover
from notifier.services.reports import report
from notifier.services.unsubscribing import unsubscribe, unsubscribe_links
from notifier.store import schema
from tests.fakes import FakeClock, FakeMail
from tests.services.saying import declare, latest_mail, say, states
from tests.services.scripted import Scripted, run

LOST = BatchOutcome(Unknown("the answer was lost"))
WAIT = timedelta(minutes=10)


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
def mail(script: Scripted) -> FakeMail:
    return FakeMail(answer=script)


@pytest.fixture
def resending(n: Notifier) -> Notifier:
    """The notifier of an operator who would rather tell twice than not at all."""
    email = n.settings.email.model_copy(
        update={"unknown_policy": "resend", "unknown_wait_seconds": WAIT.total_seconds()}
    )
    return replace(n, settings=n.settings.model_copy(update={"email": email}))


def test_by_default_it_is_held(
    n: Notifier, add_customers: Any, script: Scripted, clock: FakeClock
) -> None:
    add_customers(15)
    script.outcomes = [LOST]
    said = declare(n)
    run(n)
    clock.move(days=2)
    assert run(n) is None
    assert states(n, said) == {State.UNKNOWN: 10, State.ACCEPTED: 5}
    assert len(script.asked) == 2


def test_where_the_operator_wants_it_it_is_sent_again_once_the_wait_is_over(
    resending: Notifier, add_customers: Any, script: Scripted, clock: FakeClock, mail: FakeMail
) -> None:
    n = resending
    add_customers(15)
    script.outcomes = [LOST]
    said = declare(n)
    assert run(n) == clock.now + WAIT
    clock.now += WAIT - timedelta(seconds=1)
    run(n)
    assert len(script.asked) == 2
    clock.move(seconds=1)
    assert run(n) is None
    assert script.asked[2] == script.asked[0]
    assert Counter(mail.addresses) == Counter(f"c{i}@example.com" for i in range(15))
    assert states(n, said) == {State.ACCEPTED: 15}
    assert latest_mail(n, said).state == State.ACCEPTED


def test_the_same_holds_after_a_crash(
    resending: Notifier, add_customers: Any, script: Scripted, clock: FakeClock, mail: FakeMail
) -> None:
    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    n = resending
    add_customers(5)
    declare(n)
    script.meanwhile = kill
    with pytest.raises(Killed):
        run(n)
    script.meanwhile = lambda: None
    n = replace(n, node="after the restart")
    recover(n, alone=True)
    assert run(n) == clock.now + WAIT
    clock.now += WAIT
    run(n)
    assert Counter(mail.addresses) == Counter(f"c{i}@example.com" for i in range(5))


def test_single_unknown_readers_of_a_batch_are_sent_again_alone(
    resending: Notifier, add_customers: Any, script: Scripted, clock: FakeClock
) -> None:
    n = resending
    add_customers(6)
    script.outcomes = [
        BatchOutcome(Sent("1"), {1: Unknown("cut off"), 2: Retry("busy"), 3: Unknown("cut off")})
    ]
    said = declare(n)
    first = run(n)
    assert first is not None
    clock.now = first
    run(n)
    assert script.asked[1:] == [["c2"]]
    clock.now += WAIT
    run(n)
    assert script.asked[2:] == [["c1", "c3"]]
    assert states(n, said) == {State.ACCEPTED: 6}


def test_old_words_are_not_repeated_after_newer_ones(
    resending: Notifier, add_customers: Any, script: Scripted, clock: FakeClock
) -> None:
    n = resending
    add_customers(5)
    script.outcomes = [LOST]
    said = declare(n)
    run(n)
    say(n, said, Status.RESOLVED)
    clock.now += WAIT
    assert run(n) is None
    assert len(script.asked) == 2
    newer, older = (update.mail for update in report(n, said.incident.id).updates)
    assert newer is not None
    assert older is not None
    assert (dict(newer.states), dict(older.states)) == ({State.ACCEPTED: 5}, {State.UNKNOWN: 5})


def test_who_left_meanwhile_is_not_mailed_again(
    resending: Notifier, add_customers: Any, script: Scripted, clock: FakeClock
) -> None:
    n = resending
    add_customers(3)
    script.outcomes = [LOST]
    said = declare(n)
    run(n)
    assert unsubscribe(n, unsubscribe_links(n)(2).rsplit("/", 1)[1])
    suppress(n, "c2@example.com")
    clock.now += WAIT
    run(n)
    assert script.asked[1:] == [["c0"]]
    assert states(n, said) == {State.ACCEPTED: 1, State.CANCELLED: 2}


def suppress(n: Notifier, address: str, *, until: timedelta | None = None) -> None:
    with n.db.transaction() as connection:
        connection.execute(
            insert(schema.suppressions).values(
                address_key=address,
                address=address,
                reason="bounce",
                source="test",
                created_at=n.clock(),
                until=n.clock() + until if until else None,
            )
        )


def test_a_suppressed_address_gets_nothing(n: Notifier, add_customers: Any, mail: FakeMail) -> None:
    add_customers(4)
    suppress(n, "c1@example.com")
    suppress(n, "c2@example.com", until=timedelta(hours=1))
    suppress(n, "c3@example.com", until=timedelta(hours=-1))
    said = declare(n)
    run(n)
    assert sorted(mail.addresses) == ["c0@example.com", "c3@example.com"]
    assert latest_mail(n, said).recipients == 2


def test_a_batch_too_large_for_the_next_provider_is_split(
    n: Notifier, add_customers: Any, script: Scripted, clock: FakeClock, mail: FakeMail
) -> None:
    add_customers(10)
    script.outcomes = [BatchOutcome(Retry("busy"))]
    said = declare(n)
    run(n)
    clock.move(minutes=10)
    small = FakeMail("small", batch_size=4)
    run(replace(n, mail=small))
    assert [len(batch) for batch in small.batches] == [4, 4, 2]
    assert Counter(small.addresses) == Counter(f"c{i}@example.com" for i in range(10))
    assert mail.sent == []
    assert states(n, said) == {State.ACCEPTED: 10}
