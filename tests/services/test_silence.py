"""Mail that a provider took and of which it tells nothing: counted, where somebody tells us."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from notifier.channels.sendgrid import Config, build_event_reader
from notifier.domain.delivery import BatchOutcome, Rejected
from notifier.domain.receipt import Fact
from notifier.ports import Notifier
from notifier.sandbox.event_key import EventKey
from notifier.services import health, receipts
from notifier.services.incidents import Published
from tests.fakes import FakeClock, FakeMail
from tests.services.saying import declare
from tests.services.scripted import run
from tests.services.test_receipts import about


@pytest.fixture
def told(n: Notifier, mail: FakeMail, add_customers: Any) -> Notifier:
    """A notifier whose mail provider tells what became of it, two readers in a request."""
    mail.batch_size = 2
    add_customers(4)
    return listening(n, EventKey.make().public)


def listening(n: Notifier, key: str) -> Notifier:
    reader = build_event_reader(Config.model_validate({"events_public_key": key}))
    return replace(n, event_readers={n.mail.name: reader})


def look(n: Notifier) -> health.ChannelReport:
    with n.db.read() as connection:
        reports = health.report(connection, n, n.clock())
    return next(one for one in reports if one.name == n.mail.name)


def tell(n: Notifier, said: Published, reader: str, fact: Fact) -> None:
    receipts.receive(n, n.mail.name, [about(n, said, reader, fact)])


def test_what_nothing_is_told_of_for_15_minutes_is_counted(
    told: Notifier, clock: FakeClock
) -> None:
    said = declare(told)
    run(told)
    tell(told, said, "c0", Fact.DELIVERED)
    clock.now += timedelta(minutes=14)
    assert look(told).silent == 0, "it may still come"
    clock.now += timedelta(minutes=2)
    found = look(told)
    assert found.silent == 2, "the request that c0 was in has arrived, the other one has not"
    assert "2 mails accepted more than 15 minutes ago" in found.silence


@pytest.mark.parametrize("fact", [Fact.DELIVERED, Fact.BOUNCED, Fact.COMPLAINED, Fact.DROPPED])
def test_an_event_that_comes_late_ends_it(told: Notifier, clock: FakeClock, fact: Fact) -> None:
    said = declare(told)
    run(told)
    clock.now += timedelta(minutes=16)
    assert look(told).silent == 4
    tell(told, said, "c1", fact)
    tell(told, said, "c2", fact)
    assert (look(told).silent, look(told).silence) == (0, "")


def test_what_was_not_accepted_is_not_waited_for(told: Notifier, clock: FakeClock) -> None:
    refusing = FakeMail(answer=lambda _recipients: BatchOutcome(Rejected("no")))
    sick = replace(told, mail=refusing)
    declare(sick)
    run(sick)
    clock.now += timedelta(minutes=16)
    assert look(sick).silent == 0


def test_after_a_day_no_event_will_come_and_nobody_is_told_any_more(
    told: Notifier, clock: FakeClock
) -> None:
    declare(told)
    run(told)
    clock.now += timedelta(hours=25)
    assert look(told).silent == 0


def test_where_nobody_may_tell_us_nothing_is_counted(told: Notifier, clock: FakeClock) -> None:
    declare(told)
    run(told)
    clock.now += timedelta(minutes=16)
    assert look(listening(told, "")).silent is None
    assert look(replace(told, event_readers={})).silent is None
