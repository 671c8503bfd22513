"""What becomes of a mail: each reader gets it once, or the ledger says who did not and why."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from notifier.domain.delivery import (
    USEFUL_FOR,
    BatchOutcome,
    Outcome,
    Rejected,
    Retry,
    Sent,
    State,
    Unknown,
)
from notifier.domain.incident import Severity
from notifier.domain.message import Sender
from notifier.domain.plan import MailTime
from notifier.ports import Notifier
from notifier.rendering.renderer import Renderer
from notifier.services import audience
from notifier.services.mailing import MailRun
from notifier.services.unsubscribing import unsubscribe, unsubscribe_links
from tests.fakes import FakeClock, FakeMail, FakePosts
from tests.services.saying import declare, latest_mail, states
from tests.services.scripted import Scripted, ledger_of, run, state_of

SECOND = timedelta(seconds=1)


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
def mail(script: Scripted) -> FakeMail:
    return FakeMail(answer=script)


def test_every_reader_gets_one_mail(
    n: Notifier, add_customers: Any, mail: FakeMail, script: Scripted
) -> None:
    add_customers(25)
    said = declare(n)
    assert run(n) is None
    assert Counter(mail.addresses) == Counter(f"c{i}@example.com" for i in range(25))
    assert [len(batch) for batch in script.asked] == [10, 10, 5]
    sent = latest_mail(n, said)
    assert (sent.state, sent.recipients) == (State.ACCEPTED, 25)
    assert sent.states == {State.ACCEPTED: 25}
    run(n)
    assert len(mail.sent) == 25


def test_a_delivery_id_is_unique_for_all_time(
    n: Notifier, add_customers: Any, mail: FakeMail
) -> None:
    add_customers(5)
    declare(n)
    declare(n)
    run(n)
    ids = [recipient.delivery_id for recipient, _ in mail.sent]
    assert len(ids) == len(set(ids)) == 10


def test_each_reader_of_a_batch_has_an_own_outcome(
    n: Notifier, add_customers: Any, script: Scripted
) -> None:
    add_customers(5)
    script.outcomes = [
        BatchOutcome(
            Sent("batch-1"),
            {
                1: Rejected("no such mailbox"),
                2: Unknown("the line broke"),
                4: Sent("their-own"),
            },
        )
    ]
    said = declare(n)
    assert run(n) is None
    rows = ledger_of(n, said)
    assert {who: (r.state, r.reason) for who, r in rows.items()} == {
        "c0": (State.ACCEPTED, ""),
        "c1": (State.REJECTED, "no such mailbox"),
        "c2": (State.UNKNOWN, "the line broke"),
        "c3": (State.ACCEPTED, ""),
        "c4": (State.ACCEPTED, ""),
    }
    assert (rows["c0"].reference, rows["c4"].reference) == ("batch-1", "their-own")
    assert latest_mail(n, said).state == State.ACCEPTED


def test_only_those_who_must_be_retried_are_sent_to_again(
    n: Notifier, add_customers: Any, script: Scripted, clock: FakeClock, mail: FakeMail
) -> None:
    add_customers(6)
    script.outcomes = [
        BatchOutcome(
            Sent("first-call"), {1: Retry("greylisted"), 3: Rejected("no"), 4: Retry("busy")}
        ),
        BatchOutcome(Sent("second-call"), {0: Retry("greylisted", 60 * SECOND)}),
        BatchOutcome(Sent("third-call")),
    ]
    said = declare(n)
    while (due := run(n)) is not None:
        assert latest_mail(n, said).state == State.SENDING
        clock.now = due
    assert script.asked == [["c0", "c1", "c2", "c3", "c4", "c5"], ["c1", "c4"], ["c1"]]
    assert max(Counter(mail.addresses).values()) == 1
    assert {who: (row.state, row.reference) for who, row in ledger_of(n, said).items()} == {
        "c0": (State.ACCEPTED, "first-call"),
        "c1": (State.ACCEPTED, "third-call"),
        "c2": (State.ACCEPTED, "first-call"),
        "c3": (State.REJECTED, ""),
        "c4": (State.ACCEPTED, "second-call"),
        "c5": (State.ACCEPTED, "first-call"),
    }


def test_a_whole_batch_can_be_retried_and_keeps_its_readers(
    n: Notifier, add_customers: Any, script: Scripted, clock: FakeClock
) -> None:
    add_customers(3)
    script.outcomes = [BatchOutcome(Retry("503", 30 * SECOND))]
    said = declare(n)
    due = run(n)
    assert due is not None
    assert due >= clock.now + 30 * SECOND
    assert states(n, said) == {State.PLANNED: 3}
    add_customers(2)  # who comes later is not in the batch that is retried
    clock.now = due
    run(n)
    assert script.asked[:2] == [["c0", "c1", "c2"]] * 2
    assert state_of(n, said)["c0"] == State.ACCEPTED


def test_unknown_stays_unknown_when_others_of_the_batch_are_retried(
    n: Notifier, add_customers: Any, script: Scripted, clock: FakeClock
) -> None:
    """The second call says nothing of those who were not in it."""
    for part, second in (("a", Sent("2")), ("b", Rejected("closed")), ("c", Retry("busy"))):
        add_customers(5, components=(part,))
        script.asked.clear()
        script.outcomes = [
            BatchOutcome(Unknown("the line broke"), {1: Retry("busy"), 3: Retry("busy")}),
            BatchOutcome(second),
        ]
        said = declare(n, components=(part,))
        while (due := run(n)) is not None:
            clock.now = due
        first, *others = script.asked
        assert all(batch == [first[1], first[3]] for batch in others)
        state = state_of(n, said)
        assert [state[first[i]] for i in (0, 2, 4)] == [State.UNKNOWN] * 3


def test_a_mail_that_reached_somebody_is_not_called_rejected(
    n: Notifier, add_customers: Any, script: Scripted, clock: FakeClock
) -> None:
    add_customers(3)
    script.outcomes = [
        BatchOutcome(Sent("1"), {1: Retry("busy")}),
        BatchOutcome(Rejected("no such mailbox")),
    ]
    said = declare(n)
    due = run(n)
    clock.now = due
    run(n)
    assert states(n, said) == {State.ACCEPTED: 2, State.REJECTED: 1}
    assert latest_mail(n, said).state == State.ACCEPTED


LUCK: list[tuple[Outcome, dict[int, Outcome], State]] = [
    (Rejected("no"), {}, State.REJECTED),
    (Unknown("lost"), {}, State.UNKNOWN),
    (Unknown("lost"), {0: Rejected("no")}, State.UNKNOWN),
    (Rejected("no"), {2: Unknown("lost")}, State.UNKNOWN),
    (Rejected("no"), {0: Sent("1")}, State.ACCEPTED),
    (Sent("1"), {0: Retry("busy", USEFUL_FOR + SECOND)}, State.ACCEPTED),
    # The last, because nothing is mailed for hours after it.
    (Retry("busy", USEFUL_FOR + SECOND), {}, State.REJECTED),
]


def test_a_mail_stands_as_its_luckiest_reader(
    n: Notifier, add_customers: Any, script: Scripted, clock: FakeClock
) -> None:
    add_customers(3)
    for rest, each, state in LUCK:
        script.outcomes = [BatchOutcome(rest, each)]
        said = declare(n)
        if (blocked_until := run(n)) is not None:
            clock.now = blocked_until
            assert run(n) is None
        assert latest_mail(n, said).state == state, (rest, each)


def test_who_is_given_up_is_rejected_with_the_reason(
    n: Notifier, add_customers: Any, script: Scripted
) -> None:
    add_customers(2)
    script.outcomes = [BatchOutcome(Sent("1"), {1: Retry("full", USEFUL_FOR + SECOND)})]
    said = declare(n)
    assert run(n) is None
    row = ledger_of(n, said)["c1"]
    assert (row.state, row.reason) == (
        State.REJECTED,
        "given up, too late to be of use: full",
    )


def test_mails_leave_at_their_time_and_not_before(
    n: Notifier, add_customers: Any, mail: FakeMail, clock: FakeClock
) -> None:
    add_customers(1)
    said = declare(n, mail=MailTime())
    due = latest_mail(n, said).scheduled_for
    assert run(n) == due
    clock.now = due - SECOND
    assert run(n) == due
    assert mail.sent == []
    clock.now = due
    assert run(n) is None
    assert len(mail.sent) == 1


def test_one_variant_is_rendered_and_encoded_once(
    n: Notifier, add_customers: Any, mail: FakeMail, clock: FakeClock, script: Scripted
) -> None:
    add_customers(25)
    add_customers(12, time_zone="Asia/Karachi")
    script.outcomes = [BatchOutcome(Retry("busy"))]
    declare(n)
    runner = MailRun(n)
    while (due := runner.run()) is not None:
        clock.now = due
    assert len(mail.prepared) == 2
    texts = {m.text for m in mail.prepared}
    assert any("PKT (UTC+5)" in text for text in texts)
    assert any("UTC (UTC+0)" in text for text in texts)


def test_frozen_words_do_not_change_in_the_middle_of_a_fan_out(
    n: Notifier, add_customers: Any, mail: FakeMail, script: Scripted
) -> None:
    add_customers(15)
    declare(n)

    def rename() -> None:
        audience.put_component(n, slug_="heat", name="Renamed")

    script.meanwhile = rename
    run(n)
    assert len({sent for _, sent in mail.sent}) == 1
    assert len(mail.sent) == 15
    assert "This concerns: Heat." in mail.sent[-1][1].text


def test_a_mail_is_retried_in_the_words_of_its_first_try(
    n: Notifier, add_customers: Any, mail: FakeMail, script: Scripted, clock: FakeClock
) -> None:
    add_customers(2)
    script.outcomes = [BatchOutcome(Retry("busy"))]
    declare(n)
    clock.now = run(n)
    first = mail.prepared[0]

    audience.put_component(n, slug_="heat", name="Renamed")
    renamed = Renderer(
        site_name="Renamed", zone=ZoneInfo("Asia/Tokyo"), sender=Sender("other@example.com")
    )
    run(replace(n, renderer=renamed))  # in a new process, which has nothing prepared
    assert mail.prepared == [first, first]
    assert [sent for _, sent in mail.sent] == [first, first]
    assert "This concerns: Heat." in first.text


def test_the_worse_incident_is_mailed_first(
    n: Notifier, add_customers: Any, mail: FakeMail, posts: FakePosts
) -> None:
    add_customers(12)
    for severity in (Severity.MINOR, Severity.CRITICAL, Severity.MAJOR):
        declare(n, severity=severity, impact=f"A {severity} impact.")
    run(n)
    order = [m.text.split("A ")[1].split()[0] for _, m in mail.sent]
    assert order == ["critical"] * 12 + ["major"] * 12 + ["minor"] * 12
    assert posts.sent == []  # each lane for itself


def leave(n: Notifier, customer_id: int) -> None:
    """Follow the link in a customer's mail."""
    assert unsubscribe(n, unsubscribe_links(n)(customer_id).rsplit("/", 1)[1])


def test_who_is_unsubscribed_when_the_mail_leaves_gets_none(
    n: Notifier, add_customers: Any, mail: FakeMail
) -> None:
    add_customers(3)
    said = declare(n)
    leave(n, 2)
    run(n)
    assert sorted(mail.addresses) == ["c0@example.com", "c2@example.com"]
    assert latest_mail(n, said).recipients == 2


def test_a_mail_with_nobody_left_to_read_it_is_settled(
    n: Notifier, add_customers: Any, mail: FakeMail
) -> None:
    add_customers(1)
    said = declare(n)
    leave(n, 1)
    assert run(n) is None
    assert mail.sent == []
    assert latest_mail(n, said).state == State.ACCEPTED
    assert latest_mail(n, said).recipients == 0
