"""Reading the ledger page by page: each reader once, in one order, whatever happens meanwhile."""

from typing import Any

from sqlalchemy import delete

from notifier.domain.delivery import BatchOutcome, Rejected, Sent, State
from notifier.ports import Notifier
from notifier.services.mailing import MailRun
from notifier.store import ledger
from notifier.store.ledger import DeliveryRow
from notifier.store.schema import customers
from tests.fakes import FakeMail
from tests.services.saying import declare


def pages(n: Notifier, incident_id: int, size: int, state: State | None) -> list[DeliveryRow]:
    """The whole ledger of an incident, read in pages of `size`."""
    rows: list[DeliveryRow] = []
    after = (0, 0)
    while True:
        with n.db.read() as connection:
            page = ledger.list_deliveries(
                connection, incident_id, state=state, after=after, limit=size
            )
        assert len(page) <= size
        if not page:
            return rows
        rows += page
        after = page[-1].dispatch_id, page[-1].seq


def test_pages_hold_each_reader_once_in_order(
    n: Notifier, add_customers: Any, mail: FakeMail
) -> None:
    mail._answer = lambda _: BatchOutcome(Sent("call"), {0: Rejected("no such mailbox")})
    add_customers(12)
    add_customers(11, time_zone="Asia/Karachi")
    said, other = declare(n), declare(n)
    MailRun(n).run()

    for size in (1, 4, 1000):
        rows = pages(n, said.incident.id, size, None)
        places = [(row.dispatch_id, row.seq) for row in rows]
        assert places == sorted(set(places))
        assert {row.external_id for row in rows} == {f"c{i}" for i in range(23)}
    rejected = pages(n, said.incident.id, 2, State.REJECTED)
    assert [row.reason for row in rejected] == ["no such mailbox"] * 4
    assert {row.address for row in pages(n, other.incident.id, 5, None)} == {
        made.email for made in add_customers.made
    }
    assert pages(n, 999, 5, None) == []


def test_the_ledger_keeps_the_address_that_was_used(
    n: Notifier, add_customers: Any, clock: Any
) -> None:
    add_customers(2)
    said = declare(n)
    MailRun(n).run()
    with n.db.transaction() as connection:
        connection.execute(delete(customers).where(customers.c.external_id == "c1"))
        connection.execute(
            customers.update()
            .where(customers.c.external_id == "c0")
            .values(email="new@example.com", email_key="new@example.com")
        )
    rows = pages(n, said.incident.id, 10, None)
    assert [(row.external_id, row.address) for row in rows] == [
        ("c0", "c0@example.com"),
        ("", "c1@example.com"),
    ]
    assert all(row.claimed_at == row.settled_at == clock.now for row in rows)
