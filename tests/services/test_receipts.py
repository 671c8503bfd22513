"""Events move the ledger forward, once, whatever their order; on each kind of database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, update

from notifier.domain.delivery import BatchOutcome, Retry, Sent, State, Unknown
from notifier.domain.receipt import Fact, ProviderEvent
from notifier.ports import Notifier
from notifier.services import receipts
from notifier.services.incidents import Published
from notifier.store.schema import (
    batches,
    customers,
    deliveries,
    dispatches,
    provider_events,
    suppressions,
)
from tests.fakes import FakeClock, FakeMail
from tests.services.saying import declare, latest_mail
from tests.services.scripted import ledger_of, run, state_of

Tell = Callable[..., int]
_numbers = count(1)


@pytest.fixture
def said(n: Notifier, add_customers: Any) -> Published:
    """A disruption of which four readers are told, c0 to c3."""
    add_customers(4)
    return declare(n)


@pytest.fixture
def tell(n: Notifier, said: Published) -> Tell:
    """Have the provider tell facts about readers: `tell(c0=Fact.DELIVERED)`; how many are new."""

    def tell(*given: ProviderEvent, **facts: Fact) -> int:
        made = [about(n, said, reader, fact) for reader, fact in facts.items()]
        return receipts.receive(n, "sendgrid", [*given, *made])

    return tell


def about(n: Notifier, said: Published, reader: str, fact: Fact, **changes: Any) -> ProviderEvent:
    row = ledger_of(n, said)[reader]
    given = {
        "id": f"e{next(_numbers)}",
        "dispatch_id": row.dispatch_id,
        "seq": row.seq,
        "fact": fact,
        "address": row.address.upper(),
        "detail": f"{fact} it is",
        "happened_at": n.clock(),
    }
    return ProviderEvent(**{**given, **changes})


def suppressed(n: Notifier) -> dict[str, str]:
    with n.db.read() as connection:
        return {row.address: row.reason for row in connection.execute(select(suppressions))}


def test_events_move_each_reader_and_say_why(n: Notifier, said: Published, tell: Tell) -> None:
    run(n)
    told = {"c0": Fact.DELIVERED, "c1": Fact.BOUNCED, "c2": Fact.DROPPED, "c3": Fact.COMPLAINED}
    assert tell(**told) == 4
    rows = ledger_of(n, said)
    assert {reader: row.state for reader, row in rows.items()} == {
        "c0": State.DELIVERED,
        "c1": State.BOUNCED,
        "c2": State.REJECTED,
        "c3": State.COMPLAINED,
    }
    assert rows["c1"].reason == "bounced it is"
    assert suppressed(n) == {
        "c1@example.com": "bounce",
        "c2@example.com": "dropped",
        "c3@example.com": "complaint",
    }


def test_a_repeated_event_counts_once(n: Notifier, said: Published, tell: Tell) -> None:
    run(n)
    event = about(n, said, "c0", Fact.BOUNCED)
    assert tell(event, event) == 1
    with n.db.transaction() as connection:
        connection.execute(suppressions.delete())
    assert tell(event) == 0
    assert suppressed(n) == {}, "an operator lifted it since"


def test_a_refusal_without_blame_suppresses_nobody(
    n: Notifier, said: Published, tell: Tell
) -> None:
    run(n)
    tell(c0=Fact.REJECTED, c1=Fact.DELAYED, c2=Fact.ACCEPTED)
    assert state_of(n, said) == {
        "c0": State.REJECTED,
        "c1": State.ACCEPTED,
        "c2": State.ACCEPTED,
        "c3": State.ACCEPTED,
    }
    assert suppressed(n) == {}


def test_who_unsubscribes_at_the_provider_is_unsubscribed(
    n: Notifier, said: Published, tell: Tell
) -> None:
    run(n)
    tell(c1=Fact.UNSUBSCRIBED)
    again = declare(n)
    run(n)
    assert set(state_of(n, again)) == {"c0", "c2", "c3"}
    assert state_of(n, said)["c1"] is State.ACCEPTED


def test_suppressed_addresses_are_left_out_of_every_later_mail(
    n: Notifier, tell: Tell, clock: FakeClock
) -> None:
    run(n)
    tell(c0=Fact.BOUNCED, c1=Fact.BLOCKED, c2=Fact.DELIVERED)
    later = declare(n)
    assert latest_mail(n, later).recipients == 2
    run(n)
    assert set(state_of(n, later)) == {"c2", "c3"}
    clock.move(days=3, seconds=1)
    much_later = declare(n)
    run(n)
    assert set(state_of(n, much_later)) == {"c1", "c2", "c3"}, "a block passes by itself"


def test_a_block_lasts_from_when_it_happened(n: Notifier, said: Published, tell: Tell) -> None:
    run(n)
    tell(about(n, said, "c0", Fact.BLOCKED, happened_at=n.clock() - timedelta(days=2)))
    with n.db.read() as connection:
        until = connection.scalars(select(suppressions.c.until)).one()
    assert until == n.clock() + timedelta(days=1)


def test_a_weaker_fact_takes_nothing_back(n: Notifier, said: Published, tell: Tell) -> None:
    run(n)
    tell(c0=Fact.COMPLAINED, c1=Fact.BOUNCED)
    tell(c0=Fact.BOUNCED, c1=Fact.DELIVERED)
    rows = ledger_of(n, said)
    assert (rows["c0"].state, rows["c0"].reason) == (State.COMPLAINED, "complained it is")
    assert (rows["c1"].state, rows["c1"].reason) == (State.BOUNCED, "bounced it is")


def test_nobody_left_means_no_mail(n: Notifier, tell: Tell) -> None:
    run(n)
    tell(c0=Fact.BOUNCED, c1=Fact.BOUNCED, c2=Fact.COMPLAINED, c3=Fact.DROPPED)
    later = declare(n)
    assert later.skips[0].lane == "mail"


def test_a_lost_answer_is_settled_by_events(
    n: Notifier, said: Published, tell: Tell, mail: FakeMail
) -> None:
    mail._answer = lambda _: BatchOutcome(Unknown("the answer was lost"))
    run(n)
    assert latest_mail(n, said).state is State.UNKNOWN
    with n.db.transaction() as connection:
        connection.execute(update(batches).values(look_at=n.clock() + timedelta(minutes=15)))
    tell(c0=Fact.ACCEPTED, c1=Fact.ACCEPTED)
    assert look_at(n) is not None, "two are unknown still"
    tell(c2=Fact.DELIVERED, c3=Fact.BOUNCED)
    assert look_at(n) is None
    assert latest_mail(n, said).state is State.ACCEPTED
    rows = ledger_of(n, said)
    assert {r.state for r in rows.values()} == {State.ACCEPTED, State.DELIVERED, State.BOUNCED}
    assert rows["c0"].reason == "accepted it is"


def look_at(n: Notifier) -> Any:
    with n.db.read() as connection:
        return connection.scalars(select(batches.c.look_at)).one()


def test_an_answer_that_is_slower_than_its_events_takes_nothing_back(
    n: Notifier, said: Published, mail: FakeMail
) -> None:
    def answer(_recipients: object) -> BatchOutcome:
        told = [
            about(n, said, "c0", Fact.DELIVERED),
            about(n, said, "c1", Fact.BOUNCED),
            about(n, said, "c2", Fact.ACCEPTED),
        ]
        assert receipts.receive(n, "sendgrid", told) == 3
        return BatchOutcome(Sent("slow"))

    mail._answer = answer
    run(n)
    assert state_of(n, said) == {
        "c0": State.DELIVERED,
        "c1": State.BOUNCED,
        "c2": State.ACCEPTED,
        "c3": State.ACCEPTED,
    }


def test_who_was_reached_after_all_is_not_tried_again(
    n: Notifier, said: Published, mail: FakeMail, clock: FakeClock
) -> None:
    answers = [BatchOutcome(Retry("busy"))]
    mail._answer = lambda _: answers.pop() if answers else BatchOutcome(Sent("later"))
    run(n)
    receipts.receive(n, "sendgrid", [about(n, said, "c0", Fact.DELIVERED)])
    clock.move(minutes=5)
    run(n)
    assert sorted(mail.addresses) == ["c1@example.com", "c2@example.com", "c3@example.com"]


def test_an_event_about_another_address_is_not_about_our_mail(
    n: Notifier, said: Published, tell: Tell
) -> None:
    run(n)
    foreign = about(n, said, "c0", Fact.BOUNCED, address="somebody@else.example")
    assert tell(foreign) == 0
    assert state_of(n, said)["c0"] is State.ACCEPTED
    assert suppressed(n) == {}


def test_an_event_waits_for_a_row_that_is_not_there_yet(
    n: Notifier, said: Published, tell: Tell, clock: FakeClock
) -> None:
    run(n)
    event = about(n, said, "c0", Fact.COMPLAINED)
    with n.db.transaction() as connection:
        row = connection.execute(
            deliveries.delete()
            .where(deliveries.c.dispatch_id == event.dispatch_id, deliveries.c.seq == event.seq)
            .returning(*deliveries.c)
        ).one()
    assert tell(event) == 1
    assert receipts.apply_waiting(n) == 0
    clock.move(minutes=59)
    with n.db.transaction() as connection:
        connection.execute(insert(deliveries).values(**row._mapping))
    assert receipts.apply_waiting(n) == 1
    assert receipts.apply_waiting(n) == 0
    assert state_of(n, said)["c0"] is State.COMPLAINED
    assert suppressed(n) == {"c0@example.com": "complaint"}


def test_what_was_told_before_a_mail_was_planned_is_not_about_it(
    n: Notifier, said: Published, tell: Tell, clock: FakeClock
) -> None:
    """Ids come again after a backup was restored, and two installations have the same."""
    run(n)
    early = about(n, said, "c0", Fact.BOUNCED)
    later = {"dispatch_id": early.dispatch_id + 2, "address": ""}
    tell(about(n, said, "c0", Fact.BOUNCED, **later))
    clock.move(minutes=1)
    next_one = declare(n)
    run(n)
    assert ledger_of(n, next_one)["c0"].dispatch_id == later["dispatch_id"]
    assert receipts.apply_waiting(n) == 0
    assert state_of(n, next_one)["c0"] is State.ACCEPTED


def test_old_events_and_expired_blocks_are_forgotten(
    n: Notifier, tell: Tell, clock: FakeClock
) -> None:
    run(n)
    tell(c0=Fact.DELIVERED, c1=Fact.BLOCKED, c2=Fact.BOUNCED)
    clock.move(days=2)
    tell(c3=Fact.DELIVERED)
    assert receipts.forget_old(n) == 0
    clock.move(days=1, seconds=1)
    assert receipts.forget_old(n) == 3
    with n.db.read() as connection:
        kept = connection.scalars(select(func.count()).select_from(provider_events)).one()
    assert kept == 1
    assert suppressed(n) == {"c2@example.com": "bounce"}


@pytest.fixture
def crowd(n: Notifier) -> list[tuple[int, int]]:
    """Places of many readers whose answer was lost, written without sending."""
    with n.db.transaction() as connection:
        dispatch_id = connection.scalars(select(dispatches.c.id).where(dispatches.c.lane == "mail"))
        place = dispatch_id.one()
        rows = [
            {
                "dispatch_id": place,
                "seq": 1000 + i,
                "customer_id": 1000 + i,
                "address": f"r{i}@example.com",
                "name": "",
                "state": State.UNKNOWN,
            }
            for i in range(200)
        ]
        connection.execute(insert(deliveries), rows)
    return [(place, 1000 + i) for i in range(200)]


def test_any_order_and_any_repetition_end_in_the_same_state(
    n: Notifier, said: Published, crowd: list[tuple[int, int]]
) -> None:
    assert said
    fresh = iter(crowd)

    def end(posts: list[list[Fact]]) -> tuple[str, Any]:
        place = next(fresh)
        ids = {fact: f"{place[1]}-{fact}" for fact in Fact}
        for post in posts:
            told = [ProviderEvent(ids[fact], *place, fact, "", "", n.clock()) for fact in post]
            receipts.receive(n, "sendgrid", told)
        key = f"r{place[1] - 1000}@example.com"
        with n.db.read() as connection:
            state = connection.scalars(
                select(deliveries.c.state).where(
                    deliveries.c.dispatch_id == place[0], deliveries.c.seq == place[1]
                )
            ).one()
            until = connection.execute(
                select(suppressions.c.until).where(suppressions.c.address_key == key)
            ).one_or_none()
        return state, None if until is None else until.until

    @settings(
        max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        st.lists(st.sampled_from(list(Fact)), min_size=1, max_size=6, unique=True).flatmap(
            lambda facts: st.tuples(
                st.just(facts),
                st.permutations(facts),
                st.lists(st.sampled_from(facts), max_size=4),
                st.integers(0, 6),
            )
        )
    )
    def check(
        told: tuple[list[Fact], list[Fact], list[Fact], int],
    ) -> None:
        facts, mixed, repeated, cut = told
        once = end([facts])
        assert end([mixed[:cut], repeated, mixed[cut:]]) == once
        assert end([[fact] for fact in reversed(mixed)]) == once

    check()
    with n.db.read() as connection:
        left = connection.scalars(
            select(func.count()).select_from(customers).where(customers.c.unsubscribed_at.is_(None))
        ).one()
    assert left == 4, "the crowd are no customers"
