"""What runs once per post, page or second is served by an index, never by reading a table."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from notifier.app import build
from notifier.domain.delivery import BatchOutcome, Retry, Sent, State, Unknown
from notifier.domain.incident import Status
from notifier.domain.plan import MailTime
from notifier.domain.receipt import Fact, ProviderEvent
from notifier.ports import Notifier
from notifier.services import pausing, receipts, settling
from notifier.services.leases import recover
from notifier.services.mailing import MailRun
from notifier.services.posting import run_posts
from notifier.services.settling import Ruling
from notifier.services.upkeep import look_after
from notifier.settings import Settings
from notifier.store import ledger, outbox
from notifier.store.db import Database
from tests.fakes import FakeClock, FakeMail, FakePosts
from tests.services.saying import declare, deliver, say, states
from tests.services.scripted import Scripted

#: Tables that grow without end, and those with a row per customer. `older` is dispatches again.
LARGE = {
    "dispatches",
    "older",
    "batches",
    "deliveries",
    "messages",
    "customers",
    "customer_components",
    "provider_events",
    "suppressions",
}

#: Indexes that hold a few rows only, so that reading one from end to end is reading what waits to
#: be sent, looked into, settled or applied.
OF_FEW_ROWS = {
    "ix_dispatches_due",
    "ix_dispatches_look",
    "ix_dispatches_unknown",
    "ix_batches_open",
    "ix_batches_look",
    "ix_deliveries_unknown",
    "ix_provider_events_waiting",
}


@pytest.fixture
def database_url(tmp_path: Path, sqlite_template: Path) -> str:
    """SQLite only: PostgreSQL plans by the size of its tables, which are small here."""
    path = tmp_path / "notifier.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@contextmanager
def recorded(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are executed in the block, with their parameters."""
    statements: list[tuple[str, Any]] = []

    def record(_c: Any, _cursor: Any, sql: str, given: Any, _context: Any, many: bool) -> None:
        statements.append((sql, given[0] if many else given))

    event.listen(database.engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(database.engine, "before_cursor_execute", record)


def scans(database: Database, statements: list[tuple[str, Any]]) -> set[str]:
    """Steps of SQLite's plans that read a large table from end to end."""
    found: set[str] = set()
    with database.engine.connect() as connection:
        for sql, given in statements:
            if sql.split()[0] in ("SELECT", "UPDATE", "INSERT", "DELETE"):
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", given)
                found |= {
                    f"{step.detail}  <-  {sql}" for step in plan if _is_scan(str(step.detail))
                }
    return found


def _is_scan(detail: str) -> bool:
    words = detail.split()
    return words[0] == "SCAN" and words[1] in LARGE and words[-1] not in OF_FEW_ROWS


@pytest.fixture
def script() -> Scripted:
    """What the mail providers answer."""
    return Scripted()


@pytest.fixture
def n(
    settings: Settings, clock: FakeClock, posts: FakePosts, script: Scripted, database: Database
) -> Notifier:
    """A notifier with two mail providers, which sends again what is unknown."""
    email = settings.email.model_copy(update={"unknown_policy": "resend"})
    return build(
        settings.model_copy(update={"email": email}),
        clock=clock,
        posts={"x": posts},
        mail=FakeMail(answer=script),
        backup=FakeMail("backup", answer=script),
        database=database,
    )


def test_delivering_reads_no_large_table_from_end_to_end(
    n: Notifier, add_customers: Any, clock: FakeClock, script: Scripted
) -> None:
    script.outcomes = [BatchOutcome(Sent("1"), {0: Retry("busy")})]
    add_customers(12)
    add_customers(3, time_zone="Asia/Karachi")
    declare(n)
    with recorded(n.db) as statements:
        run_posts(n, "x")
        assert MailRun(n).run() is not None
        clock.move(minutes=5)
        assert MailRun(n).run() is None
        recover(n, alone=False)
        recover(n, alone=True)
    tables = " ".join(sql for sql, _ in statements)
    assert all(name in tables for name in LARGE - {"provider_events"})
    assert scans(n.db, statements) == set()


def test_the_unknown_is_found_and_settled_without_reading_a_large_table_from_end_to_end(
    n: Notifier, add_customers: Any, clock: FakeClock, posts: FakePosts, script: Scripted
) -> None:
    add_customers(12)
    posts.answers = [Unknown("lost")]
    posts.found = [Unknown("nobody can tell")]
    script.outcomes = [BatchOutcome(Unknown("lost"))] * 4
    with recorded(n.db) as statements:
        said = declare(n)
        deliver(n)
        assert settling.count_unknown(n) == 2
        unknown = settling.list_unknown(n)
        assert len(unknown.posts) == len(unknown.mails) == 1
        clock.move(minutes=16)
        deliver(n)  # the post is looked for, and the mail is sent again
        settling.settle(n, unknown.mails[0].dispatch_id, Ruling.SEND_AGAIN, by="Olga")
        deliver(n)
        look_after(n, None)
    assert states(n, said) == {State.ACCEPTED: 12}
    assert scans(n.db, statements) == set()


def test_what_stops_is_ended_without_reading_a_large_table_from_end_to_end(
    n: Notifier, add_customers: Any, clock: FakeClock, script: Scripted
) -> None:
    add_customers(12)
    script.outcomes = [BatchOutcome(Sent("1"), {0: Retry("busy")})] * 4
    with recorded(n.db) as statements:
        said = declare(n)
        deliver(n)
        say(n, said, Status.IDENTIFIED)
        deliver(n)
        clock.move(hours=5)
        look_after(n, None)
        late = states(n, said)
        script.outcomes = [BatchOutcome(Sent("1"), {0: Retry("busy")})] * 2
        stopped = declare(n)
        deliver(n)
        pausing.pause(n, by="Olga", reason="a drill")
        pausing.look(n)
        pausing.resume(n, by="Olga", cancel_waiting=True)
    assert late == {State.ACCEPTED: 10, State.REJECTED: 2}
    assert states(n, stopped) == {State.ACCEPTED: 10, State.CANCELLED: 2}
    assert scans(n.db, statements) == set()


def test_publishing_and_looking_read_no_large_table_from_end_to_end(
    n: Notifier, add_customers: Any
) -> None:
    add_customers(3)
    with recorded(n.db) as statements:
        said = declare(n, mail=MailTime(delay=timedelta(minutes=5)))
        MailRun(n).run()
        with n.db.read() as connection:
            outbox.waiting_mails(connection, said.incident.id)
            outbox.list_dispatches(connection, said.incident.id)
            mail_id = outbox.list_dispatches(connection, said.incident.id)[0].id
            ledger.count_states(connection, mail_id)
            for state in (None, State.UNKNOWN):
                ledger.list_deliveries(
                    connection, said.incident.id, state=state, after=(0, 0), limit=50
                )
    assert scans(n.db, statements) == set()


def test_the_walk_through_an_audience_sorts_nothing(n: Notifier, add_customers: Any) -> None:
    add_customers(12)
    declare(n)
    with recorded(n.db) as statements:
        MailRun(n).run()
    walk = [(sql, given) for sql, given in statements if "customers.time_zone" in sql]
    assert len(walk) > 2
    with n.db.engine.connect() as connection:
        for sql, given in walk:
            plan = [
                str(step.detail)
                for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", given)
            ]
            # The second is for who was left behind; it is asked once, at the end.
            indexes = ("ix_customers_variant", "ix_customers_updated")
            assert any(index in step for index in indexes for step in plan), plan
            assert not any("TEMP B-TREE" in step for step in plan), plan


def test_receipts_read_no_large_table_from_end_to_end(
    n: Notifier, add_customers: Any, clock: FakeClock
) -> None:
    add_customers(4)
    declare(n)
    MailRun(n).run()
    told = [
        ProviderEvent(f"e{seq}", 2, seq, fact, "", "550", clock())
        for seq, fact in enumerate([Fact.DELIVERED, Fact.BOUNCED, Fact.UNSUBSCRIBED], start=1)
    ]
    early = ProviderEvent("early", 2, 9, Fact.DELIVERED, "", "", clock())
    with recorded(n.db) as statements:
        assert receipts.receive(n, "sendgrid", [*told, early]) == 4
        receipts.apply_waiting(n)
        clock.move(days=4)
        assert receipts.forget_old(n) == 4
    tables = " ".join(sql for sql, _ in statements)
    assert all(name in tables for name in ("provider_events", "deliveries", "suppressions"))
    assert scans(n.db, statements) == set()


def test_a_scan_would_be_seen(database: Database) -> None:
    statement = ("SELECT address FROM deliveries WHERE name = ?", ("Amina",))
    assert len(scans(database, [statement])) == 1
