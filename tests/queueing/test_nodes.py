"""Who delivers is seen; who is not seen any more has lost its leases, by the database's clock."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update

from notifier.domain.delivery import State
from notifier.ports import Notifier
from notifier.services import leases
from notifier.services.nodes import present
from notifier.store import nodes
from notifier.store.schema import dispatches
from notifier.store.schema import nodes as table
from tests.fakes import FakeClock
from tests.services.saying import declare, latest_post

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]


def claim(n: Notifier, *, owner: str) -> None:
    """The waiting post, as `owner` claims it."""
    lease = {"lease_owner": owner, "lease_until": n.clock() + leases.LEASE}
    with n.db.transaction() as connection:
        claimed = update(dispatches).where(dispatches.c.lane == "post")
        connection.execute(claimed.values(state=State.SENDING, **lease))


def see(n: Notifier, node: str, *, seconds_ago: float = 0) -> None:
    with n.db.transaction() as connection:
        nodes.see(connection, node)
        seen_at = nodes.database_now(connection) - timedelta(seconds=seconds_ago)
        connection.execute(update(table).where(table.c.name == node).values(seen_at=seen_at))


def names(n: Notifier) -> set[str]:
    with n.db.read() as connection:
        return set(connection.scalars(select(table.c.name)))


@pytest.mark.parametrize(("seconds_ago", "lost"), [(31, (1, 0)), (25, (0, 0))])
def test_a_node_that_is_silent_for_30_seconds_has_lost_its_leases(
    n: Notifier, add_customers: Any, seconds_ago: float, lost: tuple[int, int]
) -> None:
    add_customers(1)
    said = declare(n)
    claim(n, owner="another")
    see(n, "another", seconds_ago=seconds_ago)
    assert leases.recover(n, alone=False) == lost
    assert latest_post(n, said).state == (State.UNKNOWN if lost[0] else State.SENDING)


def test_nodes_whose_clocks_differ_do_not_take_each_other_for_dead(
    n: Notifier, clock: FakeClock, add_customers: Any
) -> None:
    """A lease is for five minutes, and this node's clock is ten minutes ahead of its owner's."""
    add_customers(1)
    declare(n)
    claim(n, owner="another")
    see(n, "another")
    clock.move(minutes=10)
    assert leases.recover(n, alone=False) == (0, 0)
    see(n, "another", seconds_ago=31)
    assert leases.recover(n, alone=False) == (1, 0)


def test_its_own_leases_a_node_judges_by_its_own_clock(
    n: Notifier, clock: FakeClock, add_customers: Any
) -> None:
    """As when the outcome could not be written, because the disk was full."""
    add_customers(1)
    declare(n)
    see(n, n.node, seconds_ago=3600)  # the database was away, so it could not be seen
    claim(n, owner=n.node)
    assert leases.recover(n, alone=False) == (0, 0)
    clock.move(minutes=6)
    assert leases.recover(n, alone=False) == (1, 0)


def test_who_was_never_seen_has_the_whole_lease(
    n: Notifier, clock: FakeClock, add_customers: Any
) -> None:
    add_customers(1)
    declare(n)
    claim(n, owner="of an older version")
    clock.move(minutes=4)
    assert leases.recover(n, alone=False) == (0, 0)
    clock.move(minutes=2)
    assert leases.recover(n, alone=False) == (1, 0)


def test_a_node_is_seen_from_before_it_claims_until_it_has_ended(n: Notifier) -> None:
    with present(n):
        assert names(n) == {n.node}
    assert names(n) == set()


@pytest.mark.slow
def test_a_node_goes_on_being_seen_also_after_the_database_was_away(n: Notifier) -> None:
    def last_seen() -> Any:
        with n.db.read() as connection:
            return connection.scalars(select(table.c.seen_at)).one()

    with present(n):
        first = last_seen()
        with n.db.transaction() as connection:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            mine = "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            connection.execute(text(f"{others} {mine}"))
        end = time.monotonic() + 12
        while last_seen() == first and time.monotonic() < end:
            time.sleep(0.1)
        assert last_seen() - first > timedelta(seconds=4)


def test_a_node_that_was_silent_for_a_day_is_forgotten(n: Notifier) -> None:
    see(n, "long gone", seconds_ago=86_401)
    see(n, "of today", seconds_ago=86_000)
    see(n, n.node)
    assert names(n) == {"of today", n.node}
