"""Rows: PostgreSQL. Two workers beside one, and how soon a ring is answered."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue

from notifier.app import start_engine
from notifier.domain.delivery import State
from notifier.ports import Notifier, Step
from notifier.queueing.embedded import EmbeddedEngine
from notifier.services import audience
from notifier.store import ledger, outbox
from tests.bench.clocked_worker import SilentPosts
from tests.bench.house import COMPONENT, declare, environment, open_at, publish
from tests.bench.postgres import add_customers, create_database, open_server
from tests.bench.report import Goal, Row, compare
from tests.bench.workshop import Broken, Workshop, http_sink, running, say
from tests.processes import worker

_ANSWER_SECONDS = 0.05
#: Rings before those that count: connections, caches, compiled statements.
_WARM_UP = 10
_REST_SECONDS = 0.05
_PATIENCE_SECONDS = 120.0


def measure(shop: Workshop) -> Iterator[Row]:
    """Both, on the PostgreSQL of the wheel as it comes: each commit is on disk."""
    with open_server(shop.folder / "postgres") as server:
        yield _compare_workers(shop, create_database(server, "fan_out"))
        yield from _measure_doorbells(shop, server)


def _compare_workers(shop: Workshop, url: str) -> Row:
    count = 2 * shop.sizes.few
    rates: dict[int, list[float]] = {1: [], 2: []}
    with http_sink(_ANSWER_SECONDS) as sink:
        n = open_at(url, queue="distributed", posts={})
        add_customers(n, count)
        environ = environment(url, peer=sink.url, queue="distributed")
        with worker(shop.folder, environ, "first", concurrency=1):
            for number in range(1, shop.sizes.rounds + 1):
                say(f"PostgreSQL, {count:,} recipients, one worker and two, round {number}")
                with worker(shop.folder, environ, "second", concurrency=1):
                    _fan_out(n)  # connections, caches and compiled statements of both
                    rates[2].append(count / _fan_out(n))
                rates[1].append(count / _fan_out(n))
        n.db.close()
        sink.take_counts(expected=count * 3 * shop.sizes.rounds)
    return compare(
        f"e-mail to {count:,}, PostgreSQL, 2 workers beside 1 [recipients/s]",
        "`notifier work --concurrency 1` as processes that share one incident, from its"
        " declaration to its last outcome in the ledger; 1,000 a request, to a sink that answers"
        f" after {_ANSWER_SECONDS * 1000:.0f} ms, as a provider does that is not on this machine.",
        ours=rates[2],
        reference=rates[1],
        goal=Goal("ratio", "at least", 1.6),
    )


def _fan_out(n: Notifier) -> float:
    """Seconds from the declaration until every mail of it is settled as accepted."""
    begun = time.monotonic()
    dispatch_id = declare(n)
    while time.monotonic() < begun + _PATIENCE_SECONDS:
        with n.db.read() as connection:
            dispatch = outbox.find_dispatch(connection, dispatch_id)
            if dispatch and dispatch.settled_at:
                seconds = time.monotonic() - begun
                states = ledger.count_states(connection, dispatch_id)
                if set(states) != {State.ACCEPTED}:
                    raise Broken(f"the ledger does not say that all was accepted: {states}")
                return seconds
        time.sleep(0.02)
    raise Broken(f"a fan-out took more than {_PATIENCE_SECONDS} s")


def _measure_doorbells(shop: Workshop, server: str) -> Iterator[Row]:
    method = (
        "from the end of the transaction that declares to the committed claim of the post,"
        f" PostgreSQL, {shop.sizes.declares} declarations one after the other; "
    )
    say(f"{shop.sizes.declares} rings in one process")
    yield _row(
        "doorbell to claim, embedded, p99 [ms]",
        method + "the lane of the same process, which is handed what it is to send.",
        _ring_embedded(create_database(server, "embedded"), shop.sizes.declares),
        at_most=20,
    )
    say(f"{shop.sizes.declares} rings to another process")
    yield _row(
        "doorbell to claim, distributed, p99 [ms]",
        method + "another process, `notifier work`.",
        _ring_distributed(create_database(server, "distributed"), shop.sizes.declares),
        at_most=50,
    )


def _row(name: str, method: str, delays_ms: list[float], *, at_most: float) -> Row:
    p99 = statistics.quantiles(delays_ms, n=100, method="inclusive")[98]
    median = f" The median is {statistics.median(delays_ms):.1f} ms."
    return Row(name, method + median, ours=p99, goal=Goal("ours", "at most", at_most))


class _Steps:
    """A failpoint that notes when a declaration was committed, and when a post was claimed."""

    def __init__(self) -> None:
        self.committed_ns = 0
        self.claimed: SimpleQueue[int] = SimpleQueue()

    def __call__(self, step: Step) -> None:
        if step == "declare.after_commit":
            self.committed_ns = time.time_ns()
        elif step == "post.claimed":
            self.claimed.put(time.time_ns())


def _ring_embedded(url: str, count: int) -> list[float]:
    engine, steps = EmbeddedEngine(), _Steps()
    n = open_at(url, doorbell=engine, failpoint=steps, posts={"x": SilentPosts()})
    start_engine(n, engine, alone=True)
    try:
        return _ring(n, count, steps, lambda: steps.claimed.get(timeout=5))
    finally:
        engine.stop()
        n.db.close()


def _ring_distributed(url: str, count: int) -> list[float]:
    steps = _Steps()
    n = open_at(url, queue="distributed", failpoint=steps, posts={"x": SilentPosts()})
    try:
        with running([sys.executable, "-m", "tests.bench.clocked_worker", url]) as process:
            lines = process.stdout
            assert lines
            if lines.readline() != "ready\n":
                raise Broken("the worker did not start")
            return _ring(n, count, steps, lambda: int(lines.readline()))
    finally:
        n.db.close()


def _ring(n: Notifier, count: int, steps: _Steps, read_claim: Callable[[], int]) -> list[float]:
    """Milliseconds from each declaration's commit to its post's claim."""
    audience.put_component(n, slug_=COMPONENT, name="District heating")
    delays = []
    for _ in range(_WARM_UP + count):
        publish(n)
        delays.append((read_claim() - steps.committed_ns) / 1e6)
        time.sleep(_REST_SECONDS)
    return delays[_WARM_UP:]
