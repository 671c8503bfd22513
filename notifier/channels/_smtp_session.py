"""Sessions with a mail server: where it is, opening one, and its bytes once it is open.

smtplib does the greeting, STARTTLS and the log-in. From then on the socket does not block, so
that one thread can hold several sessions (`notifier.channels._smtp_batch`).
"""

from __future__ import annotations

import logging
import re
import smtplib
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Final, Literal, cast
from urllib.parse import parse_qs, unquote, urlsplit

from notifier.domain.delivery import Rejected, Retry

log = logging.getLogger(__name__)

#: One reply line, or the lines of one reply joined: its three digits, then the text.
Reply = bytes

_SETTING = "NOTIFIER_SMTP__URL"
_FORM = "smtp://[user:password@]host[:port][?starttls=required|never] or smtps://…"

# A TLS record holds at most this much (RFC 8446 section 5.1). Handing OpenSSL one record at a
# time keeps the count of sent bytes exact: a peer cannot read a record of which a part is missing.
_TLS_RECORD: Final = 16384
_LONGEST_REPLY: Final = 65536
_STATUS = re.compile(rb"[2-5][0-9][0-9]([ -]|$)")


@dataclass(frozen=True, slots=True)
class Relay:
    """A mail server that takes our mail, as the setting describes it."""

    host: str
    port: int
    #: TLS from the first byte (smtps).
    tls: bool
    starttls: Literal["if offered", "required", "never"]
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> Relay:
        """Read the setting. Raises ValueError, whose text never repeats the URL: it is secret."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            host.encode("idna")
        except ValueError:  # the original text quotes what may be a part of the password
            raise ValueError(_url_problem("cannot be read")) from None
        if parts.scheme not in ("smtp", "smtps") or not host or parts.path.strip("/"):
            raise ValueError(_url_problem("is not complete"))
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if bool(user) != bool(password) or not (user + password).isascii():
            raise ValueError("needs both a user and a password, in ASCII letters, or neither")
        tls = parts.scheme == "smtps"
        starttls = _read_starttls(parts.query, secret=bool(password))
        return cls(host, port or _default_port(tls, user), tls, starttls, user, password)


def _url_problem(what: str) -> str:
    return (
        f"{what}: write it as {_FORM},"
        " with %40 %2F %3A %3F %23 for @ / : ? # inside the user or the password"
    )


def _default_port(tls: bool, user: str) -> int:
    """465 and 587 are where a log-in is expected (RFC 8314, RFC 6409), 25 where it is not."""
    if tls:
        return 465
    return 587 if user else 25


def _read_starttls(query: str, *, secret: bool) -> Literal["if offered", "required", "never"]:
    """A password only travels in clear text where somebody wrote that it may."""
    match parse_qs(query, keep_blank_values=True):
        case {} as none if not none:
            return "required" if secret else "if offered"
        case {"starttls": ["required"], **other} if not other:
            return "required"
        case {"starttls": ["never"], **other} if not other:
            return "never"
    raise ValueError("only takes ?starttls=required or ?starttls=never after the host")


class CannotOpen(Exception):
    """No session could be opened. `outcome` is what that means for every letter waiting."""

    def __init__(self, outcome: Retry | Rejected) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class Lost(Exception):
    """The session is over: closed by the server, silent for too long, or talking nonsense."""


class Session:
    """An open session: greeted, encrypted and logged in as the relay wants it."""

    def __init__(self, smtp: smtplib.SMTP) -> None:
        self._smtp = smtp
        self.sock = cast(socket.socket, smtp.sock)
        self.pipelining = smtp.has_extn("pipelining")
        self.smtputf8 = smtp.has_extn("smtputf8")
        self.used_at = time.monotonic()
        self._record = _TLS_RECORD if isinstance(self.sock, ssl.SSLSocket) else sys_maxsize()
        self._unread = b""
        self._lines: list[bytes] = []
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
