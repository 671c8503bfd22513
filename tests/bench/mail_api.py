"""Rows: mail through SendGrid's API with the ledger, and the memory that takes."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from tests.bench.report import Goal, Row, compare
from tests.bench.workshop import Broken, Sink, Workshop, http_sink, run_module, say

#: Recipients per second at which a million are told in ten seconds.
_PER_SECOND = 100_000
#: What is the same in every request (headers, settings) differs by less than this share.
_ALIKE = 0.01


def measure_speed(shop: Workshop) -> Iterator[Row]:
    """Ours, with all that it does, against the plainest loop and against the SDK's own way."""
    count = shop.sizes.mails
    sample = shop.sample(count)
    ours, plain, helpers = [], [], []
    with http_sink() as sink:
        for number in range(1, shop.sizes.rounds + 1):
            say(f"SendGrid, {count:,} recipients, round {number}")
            run = _deliver(shop, sink, count)
            ours.append(count / run["seconds"])
            plain.append(count / _deliver_plainly(shop, sink, sample, like=run))
            helpers.append(count / run_module("sdk", sink.url, sample)["seconds"])
            sink.take_counts(expected=count)
    yield compare(
        "mail through SendGrid, SQLite ledger [recipients/s]",
        f"MailRun to {count:,} recipients on a SQLite file (WAL, synchronous=FULL), rendering"
        " included, against a loop of INSERT … SELECT, splice, POST and range mark through the"
        " bare driver and http.client (tests/bench/plain.py), with the same words, equally many"
        " bytes, one ledger row per reader and an unsubscribe token computed per reader as ours"
        " is, but without plan, variants, components, leases or retries; 1,000 a request, to one"
        " sink process that reads and counts it all.",
        ours=ours,
        reference=plain,
        goal=Goal("ratio", "at least", 0.4),
    )
    yield compare(
        "the same against the SDK's helper classes [recipients/s]",
        "the same runs; the reference is the sendgrid SDK's helper classes, given ready values"
        " and keeping no ledger, with the same words and values and 1,000 a request.",
        ours=ours,
        reference=helpers,
        goal=Goal("ratio", "at least", 4),
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
        goal=Goal("ours", "at most", many / _PER_SECOND),
    )
    yield Row(
        "first batch of that at SendGrid [ms]",
        "from the start of the fan-out (due and nothing rendered) to the sink having the whole"
        f" first request of 1,000, with {many:,} recipients.",
        ours=statistics.median(run["first_ms"] for run in found[many]),
        goal=Goal("ours", "at most", 100),
    )


def _deliver(shop: Workshop, sink: Sink, count: int) -> dict[str, float]:
    done = run_module("deliver", shop.database(count), "sendgrid", sink.url)
    arrived = sink.take_counts(expected=count)
    first_ms = (arrived["first_ns"] - done["started_ns"]) / 1e6
    return done | {"first_ms": first_ms, "bytes": arrived["bytes"]}


def _deliver_plainly(shop: Workshop, sink: Sink, sample: Path, *, like: dict[str, float]) -> float:
    """Seconds of the plain loop. Raises Broken unless it sends as many bytes as the run `like`."""
    count = int(like["mails"])
    done = run_module("plain", shop.database(count), sink.url, sample)
    sent = sink.take_counts(expected=count)["bytes"]
    if abs(sent / like["bytes"] - 1) > _ALIKE:
        raise Broken(f"the plain loop sent {sent:,} bytes and we {like['bytes']:,}")
    return float(done["seconds"])
