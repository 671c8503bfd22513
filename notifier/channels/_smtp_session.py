"""The bytes of an open SMTP session. Nothing here waits: one thread can hold several sessions."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, cast

#: One reply, its lines joined: three digits, a space, the text.
Reply = bytes

_FIRST_LINE: Final = re.compile(rb"[2-5][0-9][0-9](?:[ -]|$)")
_READ_AT_ONCE: Final = 65536
_LONGEST_LINE: Final = 8192
_MOST_LINES: Final = 100

# A TLS record holds at most this much (RFC 8446 section 5.1). OpenSSL is given one record at a
# time: it takes it whole or not at all, and a peer cannot read a record of which a part is
# missing. So the count of sent bytes is exact with TLS as well.
_TLS_RECORD: Final = 16384
_ANY_AMOUNT: Final = 1 << 30

_WOULD_WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Lost(Exception):
    """The session is over: closed by the server, silent for too long, or making no sense."""


class Session:
    """A session that is greeted, encrypted and logged in. Its socket does not block."""

    def __init__(self, smtp: smtplib.SMTP) -> None:
        self._smtp = smtp
        self.sock = cast(socket.socket, smtp.sock)
        self.pipelining = smtp.has_extn("pipelining")
        self.smtputf8 = smtp.has_extn("smtputf8")
        self.size = smtp.has_extn("size")
        self._most = _TLS_RECORD if isinstance(self.sock, ssl.SSLSocket) else _ANY_AMOUNT
        self._rest = b""
        self._continued: list[bytes] = []
        self._used_at = time.monotonic()
        self.sock.setblocking(False)

    def send(self, data: memoryview) -> int:
        """Hand over what the connection takes now; the number of bytes it took. Raises Lost."""
        try:
            return self.sock.send(data[: self._most])
        except _WOULD_WAIT:
            return 0
        except OSError as error:
            raise Lost(_broken(error)) from None

    def receive(self) -> Iterator[Reply]:
        """The replies that are complete by now. Raises Lost, after the replies that came before."""
        try:
            # One read is enough: OpenSSL does not read ahead of the record it is asked for, so
            # whatever is left still makes the socket readable.
            data = self.sock.recv(_READ_AT_ONCE)
        except _WOULD_WAIT:
            return
        except OSError as error:
            raise Lost(_broken(error)) from None
        if not data:
            raise Lost("the mail server closed the connection")
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            reply = self._add_line(line.rstrip(b"\r"))
            if reply:
                yield reply
        if len(self._rest) > _LONGEST_LINE or len(self._continued) > _MOST_LINES:
            raise Lost("the mail server sent an endless reply")

    def _add_line(self, line: bytes) -> Reply | None:
        if not _FIRST_LINE.match(line):
            raise Lost("the mail server sent something that is not SMTP")
        if line[3:4] == b"-":
            self._continued.append(line[4:])
            return None
        if not self._continued:
            return line
        reply = b"%b %b" % (line[:3], b" ".join([*self._continued, line[4:]]))
        self._continued.clear()
        return reply

    def is_usable(self, longest_idle: float) -> bool:
        """Whether the session was used lately and the server has not said good-bye since."""
        if time.monotonic() - self._used_at > longest_idle:
            return False
        try:
            self.sock.recv(1)
        except _WOULD_WAIT:
            return True
        except OSError:
            return False
        return False

    def rest(self) -> None:
        """Note that the session is idle from now on."""
        self._used_at = time.monotonic()

    def quit(self) -> None:
        """Say good-bye, without waiting for the answer, and close. Only between letters."""
        with suppress(OSError):
            self.sock.send(b"QUIT\r\n")
        self.close()

    def close(self) -> None:
        """Close without a word, which is all one may do inside a letter."""
        self._smtp.close()


def _broken(error: OSError) -> str:
    return f"the connection broke ({error.strerror or error})"
