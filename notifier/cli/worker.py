"""A process that delivers and does nothing else."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from notifier.app import build, start_worker
from notifier.cli.endpoints import describe_endpoints
from notifier.cli.server import settle_memory
from notifier.ports import Notifier
from notifier.services.nodes import present
from notifier.settings import Settings, SettingsError


@contextmanager
def open_worker(
    settings: Settings, *, concurrency: int, build: Callable[..., Notifier] = build
) -> Iterator[Sequence[str]]:
    """Deliver until the end of the block; what to tell whoever started it.

    `build` makes the notifier as `notifier.app.build` does. Raises SettingsError or
    DatabaseError.
    """
    settings.key()
    if settings.queue == "embedded":
        raise SettingsError(
            "queue is 'embedded', so `notifier serve` delivers by itself: set"
            " NOTIFIER_QUEUE=distributed for `serve` and `work` alike to have workers"
        )
    # As in cli/server.py: a post waits for no thread that is busy with mail.
    sys.setswitchinterval(0.0005)
    n = build(settings)
    try:
        # Not before `build` has made sure that Procrastinate is installed.
        from notifier.queueing.distributed import DistributedEngine

        engine = DistributedEngine(settings.database_url, concurrency=concurrency)
        settle_memory()
        with present(n):
            start_worker(n, engine)
            try:
                yield [f"notifier works as {n.node}", *describe_endpoints(settings)]
            finally:
                engine.stop()
    finally:
        n.db.close()


def wait() -> None:
    """Until a signal ends the process (`notifier.cli.server.end_on_signals`)."""
    threading.Event().wait()
