"""The sandbox as a whole: in this process for tests, or as a process of its own."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from notifier.sandbox.control import House
from notifier.sandbox.event_key import EventKey
from notifier.sandbox.faults import Faults
from notifier.sandbox.log import Log
from notifier.sandbox.pages import Pages
from notifier.sandbox.sendgrid import SendGrid
from notifier.sandbox.server import HttpServer
from notifier.sandbox.smtp import SmtpServer
from notifier.sandbox.traffic import Traffic
from notifier.sandbox.webhook import EventOrder, Webhook
from notifier.sandbox.x import X
from notifier.settings import SANDBOX_KEY, SANDBOX_X

#: Requests per 15 minutes. The real limit is 100 for posts, which a test run would exceed.
X_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Credentials:
    """The only ones the sandbox takes or uses. SMTP's are those of SendGrid's own relay."""

    x: Mapping[str, str] = field(default_factory=lambda: SANDBOX_X, repr=False)
    sendgrid_key: str = field(default=SANDBOX_KEY, repr=False)
    #: Signs the events of SendGrid.
    event_key: EventKey = field(default_factory=EventKey.make, repr=False)
    smtp_user: str = "apikey"
    smtp_password: str = field(default=SANDBOX_KEY, repr=False)


class Sandbox:
    """A running sandbox, from `start` to `stop`, or for the length of a `with` block.

    Port 0 takes a free port; `http_url` and `smtp_url` say which.
    """

    def __init__(
        self,
        log_path: Path,
        *,
        host: str = "127.0.0.1",
        http_port: int = 0,
        smtp_port: int = 0,
        fsync: bool = True,
        x_limit: int = X_LIMIT,
        events_url: str | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        """`events_url`: where SendGrid's events are posted, to nobody unless it is given."""
        self._log_path = log_path
        self._host = host
        self._ports = http_port, smtp_port
        self._fsync = fsync
        self._x_limit = x_limit
        self._credentials = credentials or Credentials()
        self.faults = Faults()
        self.traffic = Traffic()
        self.events = Webhook(self._credentials.event_key, EventOrder(url=events_url))

    def start(self) -> None:
        """Open the log and listen. Raises OSError; then nothing is left open."""
        self.log = Log(self._log_path, fsync=self._fsync)
        try:
            self._http = self._make_http()
        except BaseException:
            self.log.close()
            raise
        try:
            self._smtp = self._make_smtp()
            self._smtp_port = self._smtp.start((self._host, self._ports[1]))
        except BaseException:
            self._http.server_close()
            self.log.close()
            raise
        self.events.start()
        self._http.start()

    def stop(self) -> None:
        """End every connection, free the ports, close the log."""
        self._http.stop()
        self.events.stop()
        self._smtp.stop()
        self.log.close()

    @property
    def http_url(self) -> str:
        """Base address of X, SendGrid and the pages."""
        return f"http://{self._host}:{self._http.server_port}"

    @property
    def smtp_url(self) -> str:
        """Address of the SMTP server, without credentials."""
        return f"smtp://{self._host}:{self._smtp_port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _make_http(self) -> HttpServer:
        x = X(self.log, credentials=self._credentials.x, limit=self._x_limit)
        house = House(
            log=self.log,
            faults=self.faults,
            events=self.events,
            traffic=self.traffic,
            pages=Pages(log=self.log, x=x),
        )
        sendgrid = SendGrid(self.log, key=self._credentials.sendgrid_key, events=self.events)
        return HttpServer(
            (self._host, self._ports[0]),
            providers={"2": x, "v3": sendgrid},
            house=house.answer,
            faults=self.faults,
            traffic=self.traffic,
        )

    def _make_smtp(self) -> SmtpServer:
        return SmtpServer(
            user=self._credentials.smtp_user,
            password=self._credentials.smtp_password,
            log=self.log,
            faults=self.faults,
            traffic=self.traffic,
        )


def run(sandbox: Sandbox, *, announce: Callable[[Sandbox], None]) -> None:
    """Run until SIGTERM or Ctrl-C; `announce` is called once it listens. Raises OSError."""
    # The kernel may hand a signal to any thread, and one that another thread gets does not wake
    # a main thread that waits for a lock. So all threads block them, and this one asks.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with sandbox:
        announce(sandbox)
        signal.sigwait(ends)
