"""Customers and components, reports about them, and links that stop the mail."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from pydantic import SecretStr

from notifier.app import build
from notifier.domain.audience import Customer, customer
from notifier.domain.delivery import State
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.services import audience
from notifier.services.incidents import NotFound
from notifier.services.reports import report
from notifier.services.unsubscribing import customer_of, unsubscribe, unsubscribe_links
from notifier.settings import Settings
from notifier.store import people
from tests.fakes import FakeMail, FakePosts
from tests.services.saying import declare, deliver, latest_mail


def amina(**changes: Any) -> Customer:
    given = {
        "external_id": "c-17",
        "email": "Amina@example.com",
        "name": "Amina",
        "language": "ur",
        "time_zone": "Asia/Karachi",
        "components": ("heat",),
    }
    return customer(**{**given, **changes})


@pytest.fixture(autouse=True)
def parts(n: Notifier) -> None:
    for slug in ("heat", "water"):
        audience.put_component(n, slug_=slug, name=slug.title(), group="Homes")


def reachable(n: Notifier, *slugs: str) -> int:
    with n.db.read() as connection:
        ids = [c.id for c in people.list_components(connection, slugs=slugs)]
        return people.count_readers(connection, ids, now=n.clock())["reachable"]


def test_a_customer_put_twice_is_one_customer_with_the_newer_data(
    n: Notifier, mail: FakeMail
) -> None:
    first = audience.put_customer(n, amina())
    again = audience.put_customer(
        n, amina(email="amina@elsewhere.example", components=("water",), name="")
    )
    assert first == again
    assert (reachable(n, "heat"), reachable(n, "water")) == (0, 1)
    declare(n, components=("water",))
    deliver(n)
    assert [(r.address, r.name) for r, _ in mail.sent] == [("amina@elsewhere.example", "")]


def test_a_mailbox_belongs_to_one_customer_in_any_letter_case(n: Notifier) -> None:
    audience.put_customer(n, amina())
    with pytest.raises(Invalid) as refusal:
        audience.put_customer(n, amina(external_id="c-18", email="AMINA@EXAMPLE.COM"))
    assert refusal.value.field == "email"
    assert "already the address of customer c-17" in refusal.value.reason
    assert reachable(n, "heat") == 1
    audience.put_customer(n, amina(email="aMINA@example.com"))  # her own, in another case


def test_a_mailbox_asked_for_twice_at_once_goes_to_one_and_the_other_is_told(n: Notifier) -> None:
    together = Barrier(2)

    def put(who: str, mailbox: str) -> str:
        together.wait()
        try:
            audience.put_customer(n, amina(external_id=who, email=mailbox))
        except Invalid as refusal:
            return refusal.reason
        return who

    with ThreadPoolExecutor(2) as pool:
        for turn in range(8):
            names, mailbox = [f"a{turn}", f"b{turn}"], f"same{turn}@example.com"
            answers = set(pool.map(put, names, [mailbox] * 2))
            winner = next(name for name in names if name in answers)
            assert answers == {winner, f"{mailbox} is already the address of customer {winner}"}


def test_an_unknown_component_is_refused_and_nothing_is_kept(n: Notifier) -> None:
    with pytest.raises(Invalid, match="components names no known component: gas, steam"):
        audience.put_customer(n, amina(components=("heat", "gas", "steam")))
    assert reachable(n, "heat") == 0


def test_a_component_put_twice_is_one_component_with_the_newer_name(n: Notifier) -> None:
    before = audience.put_component(n, slug_="heat", name="District heating", group="")
    with n.db.read() as connection:
        listed = people.list_components(connection)
    assert [c.slug for c in listed].count("heat") == 1
    assert next(c for c in listed if c.slug == "heat") == before
    assert (before.name, before.group) == ("District heating", "")


def test_a_wrong_component_is_refused_naming_the_field(n: Notifier) -> None:
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("slug", {"slug_": "Gas", "name": "Gas"}),
        ("name", {"slug_": "gas", "name": ""}),
        ("group", {"slug_": "gas", "name": "Gas", "group": "a\nb"}),
    ]
    for field, given in wrong:
        with pytest.raises(Invalid) as refusal:
            audience.put_component(n, **given)
        assert refusal.value.field == field
    with n.db.read() as connection:
        assert {c.slug for c in people.list_components(connection)} == {"heat", "water"}


def test_a_link_stops_the_mail_to_its_customer_only(n: Notifier, mail: FakeMail) -> None:
    for who in ("a", "b"):
        audience.put_customer(n, amina(external_id=who, email=f"{who}@example.com"))
    declare(n)
    deliver(n)
    links = {recipient.address: recipient.unsubscribe_url for recipient, _ in mail.sent}
    assert len(set(links.values())) == 2
    token = links["a@example.com"].removeprefix("https://status.example.com/u/")
    assert unsubscribe(n, token) == "a@example.com"
    assert unsubscribe(n, token) == "a@example.com"
    declare(n)
    deliver(n)
    assert [recipient.address for recipient, _ in mail.sent[2:]] == ["b@example.com"]


def test_who_is_put_again_stays_unsubscribed(n: Notifier) -> None:
    number = audience.put_customer(n, amina())
    unsubscribe(n, unsubscribe_links(n)(number).rpartition("/")[2])
    audience.put_customer(n, amina(name="Amina K."))
    assert reachable(n, "heat") == 0


def test_a_link_of_another_key_is_not_ours(n: Notifier, settings: Settings) -> None:
    other = settings.model_copy(update={"secret_key": SecretStr("another-secret-0123456789")})
    elsewhere = build(other, posts={"x": FakePosts()}, mail=FakeMail(), database=n.db)
    number = audience.put_customer(n, amina())
    token = unsubscribe_links(elsewhere)(number).rpartition("/")[2]
    assert customer_of(elsewhere, token) == number
    assert unsubscribe(n, token) is None
    assert reachable(n, "heat") == 1


def test_no_forged_link_is_a_customers(n: Notifier) -> None:
    number = audience.put_customer(n, amina())
    token = unsubscribe_links(n)(number).rpartition("/")[2]
    mac = token.partition("-")[2]
    forged = [
        "",
        "-",
        str(number),
        f"{number}-",
        f"{number + 1}-{mac}",
        f"0{token}",
        f"+{token}",
        f" {token}",
        f"{token} ",
        token[:-1],
        token.upper() if token != token.upper() else token + "0",
        f"{number}-{'0' * len(mac)}",
        f"٣-{mac}",
        f"{'9' * 400}-{mac}",
        f"{number}-{mac}\u00e9",
    ]
    assert customer_of(n, token) == number
    assert [customer_of(n, link) for link in forged] == [None] * len(forged)


def test_a_report_counts_whom_a_mail_will_reach_and_whom_it_reached(
    n: Notifier, add_customers: Any, mail: FakeMail
) -> None:
    add_customers(4, components=("heat", "water"))
    said = declare(n, components=("heat", "water"))
    assert latest_mail(n, said).recipients == 4  # none is counted twice
    deliver(n)
    add_customers(3)
    after = latest_mail(n, said)
    assert (after.recipients, after.states) == (4, {State.ACCEPTED: 4})
    assert len(mail.sent) == 4


def test_there_is_no_report_of_what_was_never_declared(n: Notifier) -> None:
    with pytest.raises(NotFound, match="there is no incident 7"):
        report(n, 7)
