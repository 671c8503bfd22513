"""Mail between two workers and late answers: nobody is lost or told twice."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from notifier.domain.audience import customer
from notifier.domain.delivery import BatchOutcome, Retry, Sent, State, Unknown
from notifier.domain.health import Rate
from notifier.domain.incident import Severity, Status
from notifier.domain.receipt import Fact, ProviderEvent
from notifier.domain.suppression import Reason
from notifier.ports import Notifier
from notifier.services import audience, health, receipts
from notifier.services.leases import LEASE, recover
from notifier.services.mailing import MailRun
from notifier.services.reports import report
from notifier.store import fanout, finishing, ledger, retries, suppressions
from notifier.store.batches import Claim, ClaimedBatch
from notifier.store.schema import batches, deliveries, dispatches
from notifier.store.suppressions import Suppression
from tests.fakes import FakeClock, FakeMail
from tests.services.saying import declare, latest_mail, say, states
from tests.services.scripted import Scripted, run, state_of

LOST = Unknown("the answer was lost")
WAIT = timedelta(minutes=10)


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
def mail(script: Scripted) -> FakeMail:
    return FakeMail(answer=script)


@pytest.fixture
def resending(n: Notifier) -> Notifier:
    email = n.settings.email.model_copy(
        update={"unknown_policy": "resend", "unknown_wait_seconds": WAIT.total_seconds()}
    )
    return replace(n, settings=n.settings.model_copy(update={"email": email}))


@pytest.fixture
def postgres(n: Notifier) -> Notifier:
    if n.db.dialect == "sqlite":
        pytest.skip("an SQLite file has one writer at a time")
    return n


# --- Two at once -------------------------------------------------------------------------------


def claim(n: Notifier, connection: Connection) -> ClaimedBatch:
    """The next page or retry, as a worker claims it."""
    now = n.clock()
    asked = Claim(n.node, n.mail.name, n.mail.batch_size, now, now + LEASE)
    claimed = retries.claim_retry(connection, asked) or fanout.claim_page(connection, asked)
    assert isinstance(claimed, ClaimedBatch)
    return claimed


def will_be_tried_again(n: Notifier, add_customers: Any, script: Scripted, clock: FakeClock) -> Any:
    """A mail to five readers that the provider did not take, whose next try is due now."""
    add_customers(5)
    script.outcomes = [BatchOutcome(Retry("busy"))]
    said = declare(n)
    run(n)
    clock.move(minutes=10)
    return said


def test_what_is_refused_just_as_an_update_is_published_is_not_tried_again(
    postgres: Notifier, add_customers: Any, script: Scripted, clock: FakeClock, mail: FakeMail
) -> None:
    n = postgres
    said = will_be_tried_again(n, add_customers, script, clock)
    with n.db.transaction() as connection:
        batch = claim(n, connection)
    with n.db.transaction() as connection:
        written = ledger.mark(
            connection,
            batch,
            rest=(State.PLANNED, "", "busy"),
            each={},
            retry_at=clock.now,
            look_at=None,
            now=clock.now,
        )
        assert written
        say(n, said, Status.RESOLVED)  # commits first, and does not see what is not committed
    run(n)
    assert Counter(mail.addresses) == Counter(f"c{i}@example.com" for i in range(5))
    older = report(n, said.incident.id).updates[-1].mail
    assert older is not None
    assert (older.state, dict(older.states)) == (State.SUPERSEDED, {State.SUPERSEDED: 5})


def test_who_tries_again_and_who_publishes_do_not_wait_for_each_other(
    postgres: Notifier, add_customers: Any, script: Scripted, clock: FakeClock
) -> None:
    n = postgres
    said = will_be_tried_again(n, add_customers, script, clock)
    publisher = Failing(lambda: say(n, said, Status.RESOLVED))
    with n.db.transaction() as connection:
        connection.execute(select(batches.c.id).with_for_update()).all()
        publisher.start()
        time.sleep(0.3)
        assert len(claim(n, connection).readers) == 5
    publisher.end()


def test_who_settles_and_whose_answer_is_late_do_not_wait_for_each_other(
    postgres: Notifier, add_customers: Any, script: Scripted
) -> None:
    n = postgres
    add_customers(5)
    script.outcomes = [BatchOutcome(LOST)]
    said = declare(n)
    run(n)

    def send_again() -> None:
        with n.db.transaction() as connection:
            retries.send_again(connection, latest_mail(n, said).id, 1, 5, now=n.clock())

    operator = Failing(send_again)
    with n.db.transaction() as connection:
        connection.execute(select(batches.c.id).with_for_update()).all()
        operator.start()
        time.sleep(0.3)
        connection.execute(select(deliveries.c.seq).with_for_update()).all()
    operator.end()


def test_a_mail_is_not_settled_by_what_was_seen_before_somebody_else_settled_it(
    postgres: Notifier, add_customers: Any, script: Scripted
) -> None:
    n = postgres
    add_customers(5)
    script.outcomes = [BatchOutcome(LOST)]
    said = declare(n)
    run(n)
    mail_id = latest_mail(n, said).id

    def finish() -> None:
        with n.db.transaction() as connection:
            finishing.finish_done(connection, now=n.clock())

    with n.db.transaction() as connection:
        connection.execute(dispatches.update().values(state=State.SENDING))
    late = Failing(finish)
    with n.db.transaction() as connection:
        connection.execute(
            select(dispatches.c.id).where(dispatches.c.id == mail_id).with_for_update()
        ).all()
        late.start()
        time.sleep(0.3)
        connection.execute(deliveries.update().values(state=State.ACCEPTED))
        finishing.finish_done(connection, now=n.clock())
    late.end()
    assert latest_mail(n, said).state == State.ACCEPTED


@pytest.mark.usefixtures("postgres")
def test_who_takes_up_unknown_readers_and_who_claims_do_not_wait_for_each_other(
    resending: Notifier,
    add_customers: Any,
    script: Scripted,
    mail: FakeMail,
    clock: FakeClock,
) -> None:
    n = resending
    mail.rate = Rate(1_000_000, timedelta(seconds=1))
    add_customers(25)
    script.outcomes = [BatchOutcome(LOST)]
    said = declare(n)
    MailRun(n, goes_on=lambda: not script.asked).run()
    clock.now += WAIT
    other = Failing(lambda: run(n))
    with n.db.transaction() as connection:
        assert health.route(connection, n, now=clock.now) is n.mail
        other.start()
        time.sleep(0.3)
        asked = Claim("another", n.mail.name, 10, clock.now, clock.now + LEASE)
        assert fanout.claim_page(connection, asked)
    other.end()
    assert states(n, said)[State.ACCEPTED] == 15


class Failing(threading.Thread):
    """A thread whose error is not lost."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._work()
        except Exception as error:
            self._error = error

    def end(self) -> None:
        self.join(20)
        assert not self.is_alive()
        if self._error:
            raise self._error


# --- Answers that come late, and those that cannot be written ----------------------------------


@pytest.mark.parametrize("late", [Sent("9"), Retry("busy")])
def test_a_mail_stands_as_its_readers_do_after_a_late_answer(
    n: Notifier, add_customers: Any, script: Scripted, clock: FakeClock, late: Any
) -> None:
    def lease_ends() -> None:
        script.meanwhile = lambda: None
        clock.now += LEASE + timedelta(seconds=1)
        assert recover(n, alone=False) == (0, 1)
        run(replace(n, node="another"))
        assert latest_mail(n, said).state == State.UNKNOWN

    add_customers(3)
    script.meanwhile = lease_ends
    script.outcomes = [BatchOutcome(late)]
    said = declare(n)
    run(n)
    clock.move(minutes=10)
    run(n)
    assert states(n, said) == {State.ACCEPTED: 3}
    assert latest_mail(n, said).state == State.ACCEPTED


def test_a_batch_whose_words_could_not_be_read_was_not_sent_and_is_not_unknown(
    n: Notifier, add_customers: Any, mail: FakeMail, clock: FakeClock
) -> None:
    add_customers(5)
    said = declare(n)
    run(replace(n, mail=Broken(mail)))
    assert states(n, said) == {State.PLANNED: 5}
    clock.move(minutes=10)
    run(n)
    assert states(n, said) == {State.ACCEPTED: 5}
    assert len(mail.sent) == 5


class Broken(FakeMail):
    """A provider whose mail cannot be prepared."""

    def __init__(self, channel: FakeMail) -> None:
        super().__init__(channel.name)

    def prepare(self, mail: Any) -> Any:
        raise OperationalError("SELECT", {}, Exception(f"the server is restarting: {mail}"))


def test_who_was_away_until_others_may_have_taken_over_does_not_send(
    n: Notifier, add_customers: Any, mail: FakeMail, clock: FakeClock
) -> None:
    stops = [30.0]

    def stop(step: str) -> None:
        if step == "mail.claimed" and stops:
            clock.move(seconds=stops.pop())

    add_customers(3)
    said = declare(n)
    run(replace(n, failpoint=stop))
    assert (mail.sent, states(n, said)) == ([], {State.PLANNED: 3})
    clock.move(seconds=30)
    run(n)
    assert (len(mail.sent), states(n, said)) == (3, {State.ACCEPTED: 3})


def test_what_an_event_has_told_stands_against_the_doubt_of_the_answer(
    n: Notifier, add_customers: Any, script: Scripted
) -> None:
    def told() -> None:
        mail_id = latest_mail(n, said).id
        event = ProviderEvent("1", mail_id, 2, Fact.ACCEPTED, "", "", n.clock())
        assert receipts.receive(n, "fakemail", [event]) == 1

    add_customers(5)
    script.meanwhile = told
    script.outcomes = [BatchOutcome(Sent("1"), {1: LOST, 3: LOST})]
    said = declare(n)
    run(n)
    assert states(n, said) == {State.ACCEPTED: 4, State.UNKNOWN: 1}


# --- Tried again -------------------------------------------------------------------------------


def test_unknown_readers_of_a_batch_that_is_split_are_not_forgotten(
    resending: Notifier, add_customers: Any, script: Scripted, clock: FakeClock
) -> None:
    n = resending
    add_customers(10)
    script.outcomes = [BatchOutcome(Retry("busy"), {8: LOST})]
    said = declare(n)
    run(n)
    clock.now += WAIT
    small = FakeMail("small", batch_size=4)
    run(replace(n, mail=small))
    assert states(n, said) == {State.ACCEPTED: 10}


def test_an_address_that_is_suppressed_by_now_is_not_tried_again_though_its_customer_moved_on(
    n: Notifier, add_customers: Any, script: Scripted, clock: FakeClock
) -> None:
    add_customers(2)
    script.outcomes = [BatchOutcome(Retry("busy"))]
    said = declare(n)
    run(n)
    bounced = Suppression("c1@example.com", Reason.BOUNCE, "", "test", clock.now, None)
    with n.db.transaction() as connection:
        suppressions.suppress(connection, [bounced])
    audience.put_customer(
        n,
        customer(
            external_id="c1",
            email="new@example.com",
            name="",
            language="en",
            time_zone="UTC",
            components=("heat",),
        ),
    )
    clock.move(minutes=10)
    run(n)
    assert script.asked[1:] == [["c0"]]
    assert state_of(n, said)["c1"] == State.CANCELLED


def test_an_incident_does_not_wait_behind_all_that_another_one_tries_again(
    n: Notifier, add_customers: Any, script: Scripted, clock: FakeClock, mail: FakeMail
) -> None:
    add_customers(100)
    script.outcomes = [BatchOutcome(Sent("1"), {0: Retry("busy")}) for _ in range(10)]
    declare(n, severity=Severity.CRITICAL)
    run(n)
    clock.move(minutes=10)
    second = declare(n, severity=Severity.MINOR, impact="Another one.")
    script.asked.clear()
    script.meanwhile = lambda: clock.move(seconds=4)
    run(n)
    subjects = {r.delivery_id.split("-")[0] for batch in mail.batches[10:13] for r in batch}
    assert str(latest_mail(n, second).id) in subjects


def test_a_clock_that_was_ahead_for_a_moment_does_not_hold_an_account_back(
    n: Notifier, add_customers: Any, clock: FakeClock, mail: FakeMail
) -> None:
    mail.rate = Rate(600, timedelta(minutes=1))
    add_customers(3)
    clock.move(days=1)
    declare(n)
    run(n)
    clock.move(days=-1)
    said = declare(n)
    clock.move(seconds=2)
    run(n)
    assert states(n, said) == {State.ACCEPTED: 3}
