"""Whose turn it is: the worst first, who needs it most first, and nobody waits for ever."""

from typing import Any

import pytest

from notifier.domain.audience import customer
from notifier.domain.incident import Severity
from notifier.ports import Notifier
from notifier.services import audience
from tests.fakes import FakeClock, FakeMail
from tests.services.saying import declare
from tests.services.scripted import Scripted, run


@pytest.fixture
def script() -> Scripted:
    return Scripted()


@pytest.fixture
def mail(script: Scripted) -> FakeMail:
    return FakeMail(answer=script)


def whose(mail: FakeMail) -> list[str]:
    """Of which incident each batch was."""
    found = []
    for batch in mail.batches:
        text = next(sent.text for recipient, sent in mail.sent if recipient is batch[0])
        found.append(text.split("Impact of ")[1].split()[0])
    return found


def test_mails_of_one_severity_take_turns(
    n: Notifier, add_customers: Any, mail: FakeMail, clock: FakeClock, script: Scripted
) -> None:
    add_customers(30)
    script.meanwhile = lambda: clock.move(milliseconds=20)
    declare(n, impact="Impact of one for you.")
    declare(n, impact="Impact of two for you.")
    run(n)
    assert whose(mail) == ["one", "two"] * 3


def test_a_mail_that_comes_due_during_a_fan_out_does_not_wait_for_its_end(
    n: Notifier, add_customers: Any, mail: FakeMail, clock: FakeClock, script: Scripted
) -> None:
    add_customers(50)
    declare(n, impact="Impact of one for you.")

    def second() -> None:
        script.meanwhile = lambda: clock.move(milliseconds=20)
        declare(n, impact="Impact of two for you.")

    script.meanwhile = second
    run(n)
    assert whose(mail)[:3] == ["one", "two", "one"]


def test_the_worst_goes_first_but_starves_nobody(
    n: Notifier, add_customers: Any, mail: FakeMail, clock: FakeClock, script: Scripted
) -> None:
    add_customers(100)
    script.meanwhile = lambda: clock.move(seconds=1)
    declare(n, severity=Severity.MINOR, impact="Impact of minor for you.")
    declare(n, severity=Severity.CRITICAL, impact="Impact of critical for you.")
    run(n)
    order = whose(mail)
    assert order[:6] == ["critical"] * 6
    # It had waited for more than five seconds; then the worse one goes on.
    assert order[6:8] == ["minor", "critical"]
    assert len(mail.sent) == 200


def test_priority_customers_are_told_first(n: Notifier, add_customers: Any, mail: FakeMail) -> None:
    add_customers(15)
    add_customers(3, time_zone="Asia/Karachi")
    for number, zone in ((90, "UTC"), (91, "Asia/Karachi"), (92, "America/Lima")):
        made = customer(
            external_id=f"p{number}",
            email=f"p{number}@example.com",
            name="",
            language="en",
            time_zone=zone,
            components=("heat",),
            priority=True,
        )
        audience.put_customer(n, made)
    declare(n)
    run(n)
    assert sorted(mail.addresses[:3]) == ["p90@example.com", "p91@example.com", "p92@example.com"]
    assert len(mail.sent) == len(set(mail.addresses)) == 21


def test_who_becomes_a_priority_customer_meanwhile_is_told_once(
    n: Notifier, add_customers: Any, mail: FakeMail, script: Scripted
) -> None:
    add_customers(25)

    def promote() -> None:
        script.meanwhile = lambda: None
        for made in (add_customers.made[2], add_customers.made[20]):
            audience.put_customer(
                n,
                customer(
                    external_id=made.external_id,
                    email=made.email,
                    name=made.name,
                    language=made.language,
                    time_zone=made.time_zone,
                    components=made.components,
                    priority=True,
                ),
            )

    script.meanwhile = promote
    declare(n)
    run(n)
    assert len(mail.sent) == len(set(mail.addresses)) == 25
