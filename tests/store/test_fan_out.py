"""The walk through an audience: everybody affected once, whatever changes meanwhile."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from notifier.domain.audience import Customer, customer
from notifier.domain.delivery import BatchOutcome, Sent, State
from notifier.domain.message import Recipient
from notifier.ports import Notifier
from notifier.services import audience
from notifier.services.mailing import MailRun
from notifier.services.unsubscribing import unsubscribe, unsubscribe_links
from notifier.store.schema import customers
from tests.fakes import FakeMail
from tests.services.saying import declare, latest_mail, states

EARLY, MIDDLE, LATE = "America/St_Johns", "Asia/Karachi", "UTC"  # in the order of the walk
COMPONENTS = ("gas", "heat", "water")


class MeanwhileMail(FakeMail):
    """A channel during whose n-th batch something else happens."""

    def __init__(self, batch_size: int, **at_batch: Callable[[], object]) -> None:
        super().__init__(batch_size=batch_size, answer=self._happen)
        self._at_batch = {int(name.removeprefix("b")): what for name, what in at_batch.items()}

    def _happen(self, _recipients: Sequence[Recipient]) -> BatchOutcome:
        self._at_batch.get(len(self.batches) + 1, lambda: None)()
        return BatchOutcome(Sent("1"))


@pytest.fixture(autouse=True)
def components(n: Notifier) -> None:
    for slug in COMPONENTS:
        audience.put_component(n, slug_=slug, name=slug.title())


def person(
    who: str, zone: str = MIDDLE, language: str = "en", uses: Sequence[str] = ("heat",)
) -> Customer:
    return customer(
        external_id=who,
        email=f"{who}@example.com",
        name="",
        language=language,
        time_zone=zone,
        components=tuple(uses),
    )


def mailed(n: Notifier, mail: FakeMail, **changes: Any) -> Counter[str]:
    """Who gets how many mails of one declaration through `mail`."""
    n = replace(n, mail=mail)
    declare(n, **changes)
    assert MailRun(n).run() is None
    return Counter(address.partition("@")[0] for address in mail.addresses)


def test_everybody_affected_is_reached_once(n: Notifier) -> None:
    dice = random.Random(7)
    people = [
        person(
            f"p{i}",
            zone=dice.choice([EARLY, MIDDLE, LATE, "Europe/Berlin"]),
            language=dice.choice(["en", "ur", "pt-BR"]),
            uses=dice.sample(COMPONENTS, dice.randint(0, 3)),
        )
        for i in range(50)
    ]
    gone = set()
    for one in people:
        number = audience.put_customer(n, one)
        if dice.random() < 0.2:
            gone.add(one.external_id)
            assert unsubscribe(n, unsubscribe_links(n)(number).rpartition("/")[2])

    for size, affected in ((1, ("heat",)), (7, COMPONENTS), (1000, ("gas", "water"))):
        expected = {
            one.external_id
            for one in people
            if set(affected) & set(one.components) and one.external_id not in gone
        }
        mail = FakeMail(batch_size=size)
        assert mailed(n, mail, components=affected) == Counter(expected)
        assert max(map(len, mail.batches)) <= size


def test_each_reader_gets_the_words_of_their_own_zone(n: Notifier) -> None:
    for i, zone in enumerate((EARLY, MIDDLE, LATE, MIDDLE, EARLY)):
        audience.put_customer(n, person(f"p{i}", zone=zone))
    mail = FakeMail(batch_size=2)
    mailed(n, mail)
    told = {r.address[:2]: m.text for r, m in mail.sent}
    for who, offset in (("p0", "-3:30"), ("p1", "+5"), ("p2", "+0"), ("p3", "+5"), ("p4", "-3:30")):
        assert f"(UTC{offset})" in told[who]


def test_who_signs_up_during_a_fan_out_does_not_prolong_it(n: Notifier) -> None:
    for i in range(6):
        audience.put_customer(n, person(f"p{i}", zone=(EARLY, MIDDLE, LATE)[i % 3]))

    def sign_up() -> None:
        for zone in (EARLY, MIDDLE, LATE):
            audience.put_customer(n, person(f"late-{zone.lower()[:2]}", zone=zone))

    mail = MeanwhileMail(2, b1=sign_up)
    assert mailed(n, mail) == Counter(f"p{i}" for i in range(6))
    assert set(mailed(n, FakeMail())) > {"late-am", "late-as", "late-ut"}


def test_who_unsubscribes_during_a_fan_out_before_their_turn_gets_none(n: Notifier) -> None:
    numbers = [audience.put_customer(n, person(f"p{i}")) for i in range(4)]
    token = unsubscribe_links(n)(numbers[3]).rpartition("/")[2]
    mail = MeanwhileMail(2, b1=lambda: unsubscribe(n, token))
    assert mailed(n, mail) == Counter(["p0", "p1", "p2"])


def moving(n: Notifier, who: str, zone: str) -> Callable[[], object]:
    return lambda: audience.put_customer(n, person(who, zone=zone))


def test_who_was_reached_and_then_moves_ahead_gets_no_second_mail(n: Notifier) -> None:
    for who, zone in (("early", EARLY), ("late", LATE)):
        audience.put_customer(n, person(who, zone=zone))
    mail = MeanwhileMail(1, b1=moving(n, "early", LATE))
    assert mailed(n, mail) == Counter(["early", "late"])


def test_a_page_of_readers_who_were_reached_before_hides_nobody_behind_it(n: Notifier) -> None:
    # Yesterday, so that the look at the end, for who has changed since, does not find them.
    earlier = replace(n, clock=lambda: n.clock() - timedelta(days=1))
    for who, zone in (("first", LATE), ("a", EARLY), ("b", EARLY), ("last", LATE)):
        audience.put_customer(earlier, person(who, zone))

    def move() -> None:
        for who in "ab":
            audience.put_customer(n, person(who, LATE))

    assert mailed(n, MeanwhileMail(2, b1=move)) == Counter(["first", "a", "b", "last"])


def test_who_was_not_reached_and_moves_ahead_gets_one_mail(n: Notifier) -> None:
    for who, zone in (("early", EARLY), ("mover", MIDDLE), ("late", LATE)):
        audience.put_customer(n, person(who, zone=zone))
    mail = MeanwhileMail(1, b1=moving(n, "mover", LATE))
    assert mailed(n, mail) == Counter(["early", "mover", "late"])


def test_who_was_not_reached_and_moves_behind_the_walk_gets_one_mail(n: Notifier) -> None:
    for who, zone in (("early", EARLY), ("middle", MIDDLE), ("mover", LATE)):
        audience.put_customer(n, person(who, zone=zone))
    mail = MeanwhileMail(1, b2=moving(n, "mover", EARLY))
    assert mailed(n, mail) == Counter(["early", "middle", "mover"])


def test_a_customer_who_is_erased_during_a_fan_out_stays_in_the_ledger(n: Notifier) -> None:
    for i in range(4):
        audience.put_customer(n, person(f"p{i}"))

    def erase() -> None:
        with n.db.transaction() as connection:
            connection.execute(delete(customers).where(customers.c.external_id.in_(["p0", "p3"])))

    mail = MeanwhileMail(2, b1=erase)
    n = replace(n, mail=mail)
    said = declare(n)
    MailRun(n).run()
    assert sorted(mail.addresses) == [f"p{i}@example.com" for i in range(3)]
    assert states(n, said) == {State.ACCEPTED: 3}


def test_several_mails_at_once_keep_apart(n: Notifier) -> None:
    for slug in COMPONENTS:
        for i in range(5):
            audience.put_customer(n, person(f"{slug}{i}", uses=(slug,)))
    mail = FakeMail(batch_size=2)
    n = replace(n, mail=mail)
    said = [declare(n, components=(slug,), impact=f"No {slug}.") for slug in COMPONENTS]
    MailRun(n).run()
    for recipient, sent in mail.sent:
        assert f"No {recipient.address[:-13]}." in sent.text
    assert [latest_mail(n, one).states for one in said] == [{State.ACCEPTED: 5}] * 3
