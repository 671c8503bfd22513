"""A site that is up: the web server, the engine that delivers, and the lock on the database."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

import click
import uvicorn

from notifier.app import build, start_engine
from notifier.cli.endpoints import describe_endpoints
from notifier.cli.one_server import hold
from notifier.ports import Notifier
from notifier.queueing.embedded import EmbeddedEngine
from notifier.services import pausing
from notifier.services.nodes import present
from notifier.settings import Settings
from notifier.web.application import create_front
from notifier.web.connections import Connection
from notifier.web.front import Front

#: What requests that are under way when we are asked to end still have.
_LAST_REQUESTS_SECONDS = 10


def start_logging(level: str) -> None:
    """Plain lines to stderr, one an event: time, level, module, what happened."""
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # APScheduler and Procrastinate report every job they run, and ours run twice a second;
    # Alembic reports that it looked.
    for chatty in ("apscheduler", "alembic", "procrastinate", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Site:
    """A site that listens. Requests wait until `run` answers them."""

    n: Notifier
    url: str
    _server: uvicorn.Server
    _listening: socket.socket

    def describe(self) -> Sequence[str]:
        """Where it listens, and what it talks to."""
        return [f"notifier listens on {self.url}", *describe_endpoints(self.n.settings)]

    def run(self) -> None:
        """Answer until SIGTERM or Ctrl-C, then finish the requests under way.

        Raises SystemExit after a signal, where `end_on_signals` was called.
        """
        if hangup := getattr(signal, "SIGHUP", None):  # the others are uvicorn's own business
            signal.signal(hangup, self._server.handle_exit)
        self._server.run(sockets=[self._listening])


def settle_memory() -> None:
    """Let the garbage collector pass over what is there from now on: all of it stays.

    Python looks through every object again and again, and a process that serves has 300,000 of them
    before its first request: requests waited up to 100 ms for that, and a mail cost 0.5 µs more.
    """
    gc.collect()
    gc.freeze()


def end_on_signals() -> None:
    """Let SIGTERM, Ctrl-C and a closed terminal end this process by SystemExit.

    So every block is left in order. What whoever started us ignores (nohup) stays ignored.
    """
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


@contextmanager
def open_site(
    settings: Settings,
    *,
    host: str,
    port: int,
    threads: int,
    build: Callable[..., Notifier] = build,
) -> Iterator[Site]:
    """Listen, and deliver unless other processes do, until the end of the block.

    `build` makes the notifier as `notifier.app.build` does; the fault suite hands in one with
    another clock or with failpoints. Raises SettingsError, DatabaseError, or ClickException when
    the port is taken.
    """
    settings.key()
    # A thread that has work gets its turn after 0.5 ms instead of 5: the lane of a post waits for
    # the thread that declared it, which still has an answer to write.
    sys.setswitchinterval(0.0005)
    engine = EmbeddedEngine() if settings.queue == "embedded" else None
    with _listen(host, port) as listening, hold(settings.database_url) as alone:
        n = build(settings, doorbell=engine)
        try:
            server = make_server(create_front(n, threads=threads))
            settle_memory()
            with _delivering(n, engine, alone=alone):
                yield Site(n, _url(host, listening), server, listening)
        finally:
            n.db.close()


def make_server(front: Front) -> uvicorn.Server:
    """What serves `front` on the sockets that its `run` is given."""
    config = uvicorn.Config(
        front,
        http=Connection,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # Longer than what proxies keep an idle connection for (nginx: 60 s), or they meet a closed
        # one now and then.
        timeout_keep_alive=65,
        timeout_graceful_shutdown=_LAST_REQUESTS_SECONDS,
    )
    return uvicorn.Server(config)


@contextmanager
def _delivering(n: Notifier, engine: EmbeddedEngine | None, *, alone: bool) -> Iterator[None]:
    """Deliver in this process, or leave it to `notifier work` (no engine)."""
    if engine is None:
        yield
        return
    with present(n):
        start_engine(n, engine, alone=alone)
        try:
            yield
        finally:
            engine.stop()
            pausing.keep_mark(n, pausing.mark_of(n))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise click.ClickException(f"cannot listen on {host}:{port}: {reason}") from None


def _url(host: str, listening: socket.socket) -> str:
    port = listening.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _end(number: int, _frame: object) -> NoReturn:
    # Who asks a second time does not want to wait for what is under way.
    signal.signal(number, signal.SIG_DFL)
    raise SystemExit(0)
