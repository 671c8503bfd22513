"""Rows: growth. A million readers beside ten thousand, and a ledger that is full beside a new one.

Each on both databases, SQLite (WAL, synchronous=FULL) and the PostgreSQL of the wheel as it
comes, so that a commit is on disk.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import chain
from typing import Any

from sqlalchemy import text

from notifier.domain.delivery import BatchOutcome, Sent, State
from notifier.domain.message import Mail, Recipient
from notifier.ports import Notifier, Step
from notifier.services.mailing import MailRun
from notifier.store import ledger
from tests.bench.house import declare, open_at, publish
from tests.bench.postgres import (
    add_customers,
    create_database,
    open_server,
    skip_checks,
    tidy_up,
)
from tests.bench.report import Goal, Row, compare
from tests.bench.workshop import Broken, Sink, Workshop, http_sink, say

#: Opens a notifier on a new database, given its name, how many customers, and other parts.
_Open = Callable[..., Notifier]

#: Fan-outs to few, before and again after each one to many.
_FEW_TIMES = 2
#: Pages that leave from one database before it is the other's turn.
_SLICE = 20
_BATCH = 1_000
_SAID_EVERY = 2_000_000

# One mail that all customers have got, as it stands in the tables long afterwards.
_OLD_MAIL = [
    text(statement)
    for statement in (
        "INSERT INTO messages (dispatch_id, language, time_zone, mail)"
        " VALUES (:dispatch, 'en', 'UTC', '{}')",
        "INSERT INTO deliveries (dispatch_id, seq, customer_id, address, name, state)"
        " SELECT CAST(:dispatch AS BIGINT), id, id, email, name, 'accepted'"
        " FROM customers ORDER BY id",
        "INSERT INTO batches (dispatch_id, message_id, first_seq, last_seq, state, channel,"
        " due_at, claimed_at, settled_at)"
        " SELECT d.id, m.id, c.id, c.id + :batch - 1, 'accepted', 'sendgrid',"
        " d.due_at, d.due_at, d.due_at"
        " FROM dispatches d JOIN messages m ON m.dispatch_id = d.id, customers c"
        " WHERE d.id = :dispatch AND c.id % :batch = 1",
        "UPDATE dispatches SET state = 'accepted', exhausted = true, settled_at = due_at"
        " WHERE id = :dispatch",
    )
]


def measure(shop: Workshop) -> Iterator[Row]:
    """The rows of SQLite, then those of PostgreSQL."""
    yield from _measure_on("SQLite", shop, partial(_sqlite, shop))
    with open_server(shop.folder / "postgres-growth") as server:
        yield from _measure_on("PostgreSQL", shop, partial(_postgres, server))


def _sqlite(shop: Workshop, name: str, customers: int, **parts: Any) -> Notifier:
    path = shop.folder / f"{name}.db"
    shop.database(customers).rename(path)
    return open_at(f"sqlite:///{path}", posts={}, **parts)


def _postgres(server: str, name: str, customers: int, **parts: Any) -> Notifier:
    n = open_at(create_database(server, name), posts={}, **parts)
    say(f"making a PostgreSQL database of {customers:,} customers")
    add_customers(n, customers)
    return n


def _measure_on(database: str, shop: Workshop, open_new: _Open) -> Iterator[Row]:
    yield _compare_sizes(database, shop, open_new)
    yield from _compare_ledgers(database, shop, open_new)


def _compare_sizes(database: str, shop: Workshop, open_new: _Open) -> Row:
    few, many = shop.sizes.few, shop.sizes.many
    seconds: dict[int, list[float]] = {few: [], many: []}
    with http_sink() as sink, ExitStack() as stack:
        opened = {}
        for count in (few, many):
            opened[count] = open_new(f"readers{count}", count, peer=sink.url)
            stack.enter_context(closing(opened[count].db))
        _fan_out(opened[few], sink, few)  # what is done once in a process
        for number in range(1, shop.sizes.growth_rounds + 1):
            say(f"{database}, {few:,} recipients and {many:,}, round {number}")
            around = [_fan_out(opened[few], sink, few) for _ in range(_FEW_TIMES)]
            seconds[many].append(_fan_out(opened[many], sink, many))
            around += [_fan_out(opened[few], sink, few) for _ in range(_FEW_TIMES)]
            seconds[few].append(statistics.median(around))
    return compare(
        f"time per recipient, {many:,} against {few:,}, {database} [µs]",
        "the whole fan-out in one process, from the declaration's commit to the last outcome in"
        " the ledger, 1,000 a request, to one sink process that reads and counts it all; the"
        f" reference is the median of {2 * _FEW_TIMES} fan-outs to {few:,}, half of them before"
        " and half after each of the others.",
        ours=[1e6 * taken / many for taken in seconds[many]],
        reference=[1e6 * taken / few for taken in seconds[few]],
        goal=Goal("ratio", "at most", 1.2),
    )


def _fan_out(n: Notifier, sink: Sink, count: int) -> float:
    """Seconds of a fan-out to `count` readers. Raises Broken unless all are accepted."""
    dispatch_id = declare(n)
    begun = time.perf_counter()
    MailRun(n).run()
    seconds = time.perf_counter() - begun
    sink.take_counts(expected=count)
    _check(n, dispatch_id, count)
    return seconds


def _check(n: Notifier, dispatch_id: int, count: int) -> None:
    """Raise Broken unless all readers of a mail are accepted."""
    with n.db.read() as connection:
        states = ledger.count_states(connection, dispatch_id)
    if states != {State.ACCEPTED: count}:
        raise Broken(f"the ledger does not say that all {count:,} were accepted: {states}")


def _compare_ledgers(database: str, shop: Workshop, open_new: _Open) -> Iterator[Row]:
    sizes = shop.sizes
    pages: dict[str, list[list[float]]] = {"old": [], "new": []}
    with ExitStack() as stack:
        runs = {}
        for name in pages:
            runs[name] = _ClockedRun(open_new, name, sizes.old_customers)
            stack.enter_context(closing(runs[name].n.db))
        _fill(runs["old"].n, database, sizes.old_mails, sizes.old_customers)
        for number in range(1, sizes.growth_rounds + 1):
            say(f"{database}, {sizes.old_mails:,} rows in the ledger and none, round {number}")
            _take_turns(list(runs.values()), sizes.old_customers)
            for name, run in runs.items():
                pages[name].append(run.take_pages())
        say(f"{database}, {sizes.growth_rounds} times {sizes.declares} declarations on both")
        declared = [_declare_by_turns(runs, sizes.declares) for _ in range(sizes.growth_rounds)]
    turns = (
        "by turns on two databases with the same customers, of which one holds the old rows:"
        f" {sizes.old_mails // sizes.old_customers} mails to each of {sizes.old_customers:,}."
    )
    yield _compare_p99(
        f"p99 of a page with {sizes.old_mails:,} old rows in the ledger, {database} [ms]",
        "the one transaction between two calls of the provider, which marks the readers of a page"
        f" of {_BATCH:,} and claims the next; {sizes.old_customers // _BATCH} pages a round, "
        + turns,
        ours=pages["old"],
        reference=pages["new"],
    )
    yield _compare_p99(
        f"p99 of a declaration with {sizes.old_mails:,} old rows, {database} [ms]",
        f"the call that declares, {sizes.declares} a round, " + turns,
        ours=[times["old"] for times in declared],
        reference=[times["new"] for times in declared],
    )


def _compare_p99(
    name: str,
    method: str,
    *,
    ours: Sequence[Sequence[float]],
    reference: Sequence[Sequence[float]],
) -> Row:
    """The row of the rounds' 99th percentiles; the medians are said beside them."""
    medians = [statistics.median(chain(*rounds)) for rounds in (ours, reference)]
    return compare(
        name,
        f"{method} The medians are {medians[0]:.1f} and {medians[1]:.1f} ms.",
        ours=[_p99(times) for times in ours],
        reference=[_p99(times) for times in reference],
        goal=Goal("ratio", "at most", 2),
    )


def _p99(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[98]


class _SilentMail:
    """A provider that takes everything and does nothing, so that only our own time is measured."""

    name = "silent"
    batch_size = _BATCH
    rate = None

    def prepare(self, _mail: Mail) -> _SilentMail:
        """Nothing to do."""
        return self

    def send(self, _recipients: Sequence[Recipient]) -> BatchOutcome:
        """Taken."""
        return BatchOutcome(Sent("1"))


class _ClockedRun:
    """Fan-outs that stop now and then, and note how long the database took for each page.

    That is the transaction which marks the readers of a page and claims the next ones. The first
    slice does not count: it opens connections and builds statements.
    """

    def __init__(self, open_new: _Open, name: str, customers: int) -> None:
        self.n = open_new(name, customers, mail=_SilentMail(), failpoint=self._note)
        self._run = MailRun(self.n, goes_on=self._goes_on)
        self._pages_left = 0
        self._answered = 0.0
        self._pages: list[float] = []
        self._is_warm = False

    def advance(self) -> bool:
        """Send `_SLICE` pages; whether any is left."""
        self._pages_left = _SLICE
        more = self._run.run() is not None
        if not self._is_warm:
            self._pages.clear()
            self._is_warm = True
        return more

    def take_pages(self) -> list[float]:
        """Milliseconds of each page since the last time."""
        found, self._pages = self._pages, []
        return found

    def _goes_on(self) -> bool:
        self._pages_left -= 1
        return self._pages_left >= 0

    def _note(self, step: Step) -> None:
        if step == "mail.answered":
            self._answered = time.perf_counter()
        elif step == "mail.settled" and self._pages_left >= 0:  # else nothing was claimed
            self._pages.append(1e3 * (time.perf_counter() - self._answered))


def _take_turns(runs: list[_ClockedRun], count: int) -> None:
    """One fan-out to `count` readers on each, some pages at a time."""
    begun = [(run, declare(run.n)) for run in runs]
    left = runs
    while left:
        left = [run for run in left if run.advance()]
    for run, dispatch_id in begun:
        _check(run.n, dispatch_id, count)


def _declare_by_turns(runs: dict[str, _ClockedRun], count: int) -> dict[str, list[float]]:
    """Milliseconds of each of `count` declarations on each."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(count):
        for name, run in runs.items():
            begun = time.perf_counter()
            publish(run.n)
            times[name].append(1e3 * (time.perf_counter() - begun))
    return times


def _fill(n: Notifier, database: str, rows: int, customers: int) -> None:
    """Let all customers have got so many old mails that the ledger holds `rows` of them."""
    for made in range(0, rows, customers):
        if made % _SAID_EVERY == 0:
            say(f"{database}, {made:,} of {rows:,} old rows are in the ledger")
        dispatch_id = declare(n)
        with n.db.transaction() as connection:
            if n.db.dialect == "postgresql":
                skip_checks(connection)
            for statement in _OLD_MAIL:
                connection.execute(statement, {"dispatch": dispatch_id, "batch": _BATCH})
    if n.db.dialect == "postgresql":
        tidy_up(n)
    n.db.close()  # SQLite's last connection leaves no journal behind; others are opened when needed
