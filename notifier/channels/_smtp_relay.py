"""The mail server we hand our mail to: reading its address, and getting as far as logged in.

smtplib does the greeting, STARTTLS and the log-in; what follows is `_smtp_session`.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Literal
from urllib.parse import unquote, urlsplit

from notifier.domain.delivery import Retry

#: A refused log-in is not tried again at once, lest the account be locked.
REFUSED_FOR = timedelta(minutes=1)

StartTls = Literal["if offered", "required", "never"]

_FORM = "smtp://[user:password@]host[:port][?starttls=required|never] or smtps://…"


@dataclass(frozen=True, slots=True)
class Relay:
    """Where the mail server is and how it is entered."""

    host: str
    port: int
    #: TLS from the first byte (smtps).
    tls: bool
    starttls: StartTls
    user: str = field(repr=False)
    password: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def parse_relay(url: str) -> Relay:
    """Read the setting. Raises ValueError, whose text never repeats the URL: it holds a secret.

    Without a port it is 465 for smtps, 587 with a user (RFC 6409), else 25.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:  # its own text quotes what may be a piece of the password
        raise ValueError(_url_problem("cannot be read")) from None
    if parts.scheme not in ("smtp", "smtps") or not host or parts.path.strip("/") or parts.fragment:
        raise ValueError(_url_problem("is not of the right form"))
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(user) != bool(password) or not (user + password).isascii():
        raise ValueError("needs a user and a password in ASCII letters, or neither of them")
    tls = parts.scheme == "smtps"
    return Relay(
        host=host,
        port=port or (465 if tls else 587 if user else 25),
        tls=tls,
        starttls=_read_starttls(parts.query, secret=bool(password)),
        user=user,
        password=password,
    )


def _url_problem(what: str) -> str:
    return (
        f"{what}: write {_FORM}, and inside the user or the password"
        " %25 %40 %2F %3A %3F %23 for the characters % @ / : ? #"
    )


def _read_starttls(query: str, *, secret: bool) -> StartTls:
    """A password only travels in clear text where somebody has written that it may."""
    if not query:
        return "required" if secret else "if offered"
    if query == "starttls=required":
        return "required"
    if query == "starttls=never":
        return "never"
    raise ValueError("takes only ?starttls=required or ?starttls=never after the host")


class CannotOpen(Exception):
    """There is no session to be had. `outcome` is what that means for every letter waiting."""

    def __init__(self, outcome: Retry) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class _Client(smtplib.SMTP):
    """smtplib limits the time of each read; here a whole reply has to arrive within it."""

    def getreply(self) -> tuple[int, bytes]:
        watchdog = threading.Timer(self.timeout, _hang_up, (self.sock,))
        watchdog.daemon = True
        watchdog.start()
        try:
            return super().getreply()
        finally:
            watchdog.cancel()


class _TlsClient(_Client, smtplib.SMTP_SSL):
    """The same with TLS from the first byte."""


def _hang_up(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


class Dialer:
    """Opens sessions with one relay."""

    def __init__(self, relay: Relay, timeout: float) -> None:
        self.relay = relay
        self.timeout = timeout

    @cached_property
    def _context(self) -> ssl.SSLContext:
        """Kept, because reading the system's certificates takes about as long as 100 letters."""
        return ssl.create_default_context()

    def open(self) -> smtplib.SMTP:
        """A client that is greeted, encrypted and logged in. Raises CannotOpen."""
        try:
            smtp = self._connect()
        # Beside OSError (of which smtplib's errors are a kind), a nonsensical challenge in the
        # log-in and a host name DNS cannot hold are ValueErrors.
        except (OSError, ValueError) as error:
            raise CannotOpen(self._explain(error)) from None
        try:
            self._enter(smtp)
        except (OSError, ValueError) as error:
            smtp.close()
            raise CannotOpen(self._explain(error)) from None
        except CannotOpen:
            smtp.close()
            raise
        return smtp

    def _connect(self) -> smtplib.SMTP:
        # A name of our own is passed because smtplib would ask DNS for it, without a time limit.
        host, port, name = self.relay.host, self.relay.port, "localhost"
        if self.relay.tls:
            return _TlsClient(host, port, name, timeout=self.timeout, context=self._context)
        return _Client(host, port, name, timeout=self.timeout)

    def _enter(self, smtp: smtplib.SMTP) -> None:
        if smtp.sock:
            # Else the end of a letter waits for the acknowledgement of its beginning (Nagle).
            smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        smtp.local_hostname = _own_name(smtp)
        smtp.ehlo_or_helo_if_needed()
        if not self.relay.tls:
            self._encrypt(smtp)
        if self.relay.user:
            self._log_in(smtp)

    def _encrypt(self, smtp: smtplib.SMTP) -> None:
        wanted, offered = self.relay.starttls, smtp.has_extn("starttls")
        if wanted == "never" or (wanted == "if offered" and not offered):
            return
        if not offered:
            raise CannotOpen(
                Retry(
                    f"{self.relay} offers no encryption (STARTTLS), so nothing was"
                    " sent: ask its operator, or allow it with ?starttls=never"
                )
            )
        smtp.starttls(context=self._context)
        smtp.ehlo_or_helo_if_needed()

    def _log_in(self, smtp: smtplib.SMTP) -> None:
        if not smtp.has_extn("auth"):
            raise CannotOpen(
                Retry(
                    f"{self.relay} takes no log-in on this port:"
                    " take user and password out of NOTIFIER_SMTP__URL,"
                    " or write another port or smtps://",
                    REFUSED_FOR,
                    account=True,
                )
            )
        smtp.login(self.relay.user, self.relay.password)

    def _explain(self, error: OSError | ValueError) -> Retry:
        """What a failure to open means. The text of a failed log-in is left out: it may echo."""
        match error:
            case smtplib.SMTPAuthenticationError(smtp_code=code) if code >= 500:
                return Retry(
                    f"{self.relay} refused the user or the password ({code}):"
                    " correct them in NOTIFIER_SMTP__URL",
                    REFUSED_FOR,
                    account=True,
                )
            case smtplib.SMTPAuthenticationError(smtp_code=code):
                return Retry(f"{self.relay} cannot check the log-in at the moment ({code})")
            case smtplib.SMTPResponseException(smtp_code=code, smtp_error=text):
                said = f"{code} {readable(text)}" if code > 0 else "what it said is not SMTP"
                return Retry(f"{self.relay} took no connection: {said}")
            case smtplib.SMTPServerDisconnected():
                return Retry(
                    f"{self.relay} closed the connection or kept silent for"
                    f" {self.timeout:g} seconds"
                )
            case ssl.SSLCertVerificationError(verify_message=text):
                return Retry(
                    f"{self.relay} shows a certificate that cannot be trusted ({text}):"
                    " write the host name the certificate is for, or make its issuer"
                    " known by SSL_CERT_FILE"
                )
        return Retry(f"{self.relay} cannot be reached: {getattr(error, 'strerror', None) or error}")


def _own_name(smtp: smtplib.SMTP) -> str:
    """How we greet: the full host name, or the address literal of RFC 5321 section 4.1.3."""
    name = socket.gethostname()
    if "." in name or smtp.sock is None:
        return name
    address = smtp.sock.getsockname()[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def readable(text: str | bytes) -> str:
    """What a server said, as one line of at most 300 printable characters."""
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    line = " ".join(words.split())
    return "".join(c if c.isprintable() else "\ufffd" for c in line)[:300]
