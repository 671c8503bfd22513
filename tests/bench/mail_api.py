"""Rows: mail through SendGrid's API with the ledger, and the memory that takes."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from tests.bench.report import Goal, Row, compare
from tests.bench.workshop import Sink, Workshop, http_sink, run_module, say


def measure_speed(shop: Workshop) -> Iterator[Row]:
    """Ours with a ledger against the SDK's helper classes without one."""
    count = shop.sizes.mails
    sample = shop.sample(count)
    ours, theirs = [], []
    with http_sink() as sink:
        for number in range(1, shop.sizes.rounds + 1):
            say(f"SendGrid, {count:,} recipients, round {number}")
            ours.append(count / _deliver(shop, sink, count)["seconds"])
            done = run_module("sdk", sink.url, sample)
            sink.take_counts(expected=count)
            theirs.append(count / done["seconds"])
    yield compare(
        f"e-mail to {count:,} through SendGrid [recipients/s]",
        "MailRun on a SQLite file (synchronous=FULL), rendering and ledger included, against the"
        " sendgrid SDK's helper classes given ready values and no ledger; both send 1,000 a"
        " request, the same words and values, to one sink process that reads and counts it all.",
        ours=ours,
        reference=theirs,
        goal=Goal("ratio", "at least", 2),
    )


def measure_memory(shop: Workshop) -> Iterator[Row]:
    """Peak memory and speed for few recipients and for many, in fresh processes."""
    few, many = shop.sizes.few, shop.sizes.many
    found: dict[int, list[dict[str, float]]] = {few: [], many: []}
    with http_sink() as sink:
        for number in range(1, shop.sizes.rounds + 1):
            for count in (few, many):
                say(f"memory, {count:,} recipients, round {number}")
                found[count].append(_deliver(shop, sink, count))
    peaks = {count: [run["peak_mb"] for run in runs] for count, runs in found.items()}
    yield compare(
        f"peak memory, {many:,} recipients against {few:,} [MB]",
        "peak resident memory (10^6 bytes) of the process that delivers, SendGrid channel and"
        " ledger on SQLite as above; the reference is ours with few recipients.",
        ours=peaks[many],
        reference=peaks[few],
        goal=Goal("ratio", "at most", 1.1),
    )
    yield Row(
        f"peak memory, {many:,} recipients [MB]",
        "the same figure by itself.",
        ours=statistics.median(peaks[many]),
        goal=Goal("ours", "at most", 150),
    )
    yield compare(
        f"e-mail to {many:,} through SendGrid [s]",
        "the whole fan-out of the runs above; the reference is the time for few recipients,"
        " multiplied by how many times more there are.",
        ours=[run["seconds"] for run in found[many]],
        reference=[run["seconds"] * many / few for run in found[few]],
    )
    yield Row(
        "first batch of that at SendGrid [ms]",
        "from the start of the fan-out (due and nothing rendered) to the sink having the whole"
        f" first request of 1,000, with {many:,} recipients.",
        ours=statistics.median(run["first_ms"] for run in found[many]),
    )


def _deliver(shop: Workshop, sink: Sink, count: int) -> dict[str, float]:
    done = run_module("deliver", shop.database(count), "sendgrid", sink.url)
    arrived = sink.take_counts(expected=count)
    return done | {"first_ms": (arrived["first_ns"] - done["started_ns"]) / 1e6}
