"""The referee's log: one JSON line per accepted message, on disk before the sender is answered.

An accepted message, one line per post and one per recipient of a mail::

    {"seq": 7,                          number of this line, from 1
     "at": "2026-11-22T14:30:00.123456Z", when it was accepted
     "service": "x" | "sendgrid" | "smtp",
     "received_ns": 1795357800123456789, time.time_ns() at the first byte of the request
                                         (SMTP: of MAIL FROM)
     "request": 12,                     which request (SMTP: transaction) to any provider it was
     "id": "…",                         X: the post's id; mail: the reference the sender was
                                        given (X-Message-Id, queue id), a dot, the recipient's
                                        number within the request
     "to": …, "name": …,                the recipient; null for a post
     "role": "to" | "cc" | "bcc",       mail only (SMTP: always "to", an envelope has no roles)
     "subject": …, "text": …, "html": …, as that reader received them: substitutions are applied
     "headers": {…},                    mail: From, To, Cc, Reply-To and every header given
     "delivery_id": …,                  SendGrid: the custom argument whose name ends in
                                        "delivery_id"; else the header X-Notifier-Delivery-Id
     "custom_args": {…},                SendGrid only
     "send_at": …,                      SendGrid only, where it was asked for (unix seconds)
     "weight": …, "reply_to": …}        X only: weighted length, the post it answers

Two other kinds of line have neither "id" nor "to" at their top, so that they cannot be
mistaken for an accepted message::

    {"seq": 8, "at": …, "lost": true, "message": {…}}   answered OK, but it went nowhere
    {"seq": 9, "at": …, "deleted": {"id": …, "received_ns": …, "request": …}}   from X's timeline

Lines are UTF-8, end in LF and contain no other character that some readers take for a line's
end (U+0085, U+2028, U+2029 are escaped). A line being written may be seen without its LF.
After a crash of the sandbox a half-written last line is cut off when the file is opened again:
its sender has not been answered. `seq` continues.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import threading
from array import array
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

#: How a line begins. Its first key after `at` says what it is.
_HEAD = re.compile(rb'\{"seq":\d+,"at":"[^"]*","(?:service":"(\w+)|(lost|deleted))')
_LINE_ENDS = [(end.encode(), b"\\u%04x" % ord(end)) for end in "\u0085\u2028\u2029"]
_POST, _MAIL, _OTHER = b"p", b"m", b"-"


class Log:
    """The log file, open for appending, and where each of its lines begins.

    Nothing but the offset and the kind of a line is kept in memory, so a million mails cost
    nine megabytes. Safe to use from several threads.
    """

    def __init__(self, path: Path, *, fsync: bool = True) -> None:
        """Open `path`, made if needed. Raises OSError, BlockingIOError if it is in use."""
        self.path = path
        self._fsync = fsync
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._offsets = array("Q")
            self._kinds = bytearray()
            self._end = self._scan()
        except BaseException:
            os.close(self._descriptor)
            raise
        self._synced = self._end
        self._append_lock = threading.Lock()
        self._sync_lock = threading.Lock()

    def close(self) -> None:
        """Release the file."""
        os.close(self._descriptor)

    def __len__(self) -> int:
        return len(self._offsets)

    def append(self, bodies: Sequence[bytes], *, lost: bool = False) -> None:
        """Add a line for each of `bodies`, JSON objects whose first key is "service" or "deleted".

        Returns when they are on disk. Raises OSError when they cannot be written; then none is.
        """
        with self._append_lock:
            self._end = mine = self._write(_make_lines(bodies, first=len(self) + 1, lost=lost))
        if self._fsync:
            self._sync(mine)

    def accepted(self, *, after: int = 0, service: str = "") -> Iterator[dict[str, Any]]:
        """The messages below line `after`, oldest first; of one service, if it is named."""
        for line in self._lines(after):
            match = _match(line)
            if match[1] and service.encode() in (b"", match[1]):
                yield json.loads(line)

    def posts_and_deletions(self) -> Iterator[dict[str, Any]]:
        """Every line that says what stands on the timeline of X, oldest first."""
        for line in self._lines(0):
            match = _match(line)
            if match[1] == b"x" or match[2] == b"deleted":
                yield json.loads(line)

    def line(self, seq: int) -> dict[str, Any]:
        """Line number `seq`. Raises IndexError when there is none."""
        if not 0 < seq <= len(self):
            raise IndexError(seq)
        found: dict[str, Any] = json.loads(next(self._lines(seq - 1)))
        return found

    def latest_mails(self, count: int, *, before: int | None = None) -> list[dict[str, Any]]:
        """Up to `count` accepted mails below line `before`, newest first."""
        found: list[dict[str, Any]] = []
        end = len(self._kinds) if before is None else before - 1
        while len(found) < count and (end := self._kinds.rfind(_MAIL, 0, max(end, 0))) >= 0:
            found.append(self.line(end + 1))
        return found

    def count_mails(self) -> int:
        """How many mails were accepted."""
        return self._kinds.count(_MAIL)

    def _lines(self, after: int) -> Iterator[bytes]:
        if after >= len(self):
            return
        with self.path.open("rb") as file:
            file.seek(self._offsets[max(after, 0)])
            for line in file:
                if line.endswith(b"\n"):  # else another thread is still writing it
                    yield line

    def _write(self, lines: list[bytes]) -> int:
        """Write all lines or none; returns the new end of the file."""
        block = memoryview(b"".join(lines))
        try:
            while block:
                block = block[os.write(self._descriptor, block) :]
        except OSError:
            os.ftruncate(self._descriptor, self._end)
            raise
        return self._note(lines, self._end)

    def _note(self, lines: Sequence[bytes], offset: int) -> int:
        for line in lines:
            self._offsets.append(offset)
            self._kinds += _kind(line)
            offset += len(line)
        return offset

    def _sync(self, mine: int) -> None:
        """Wait until the file is on disk up to `mine`; one fsync serves all who wait."""
        with self._sync_lock:
            if self._synced >= mine:
                return
            written = self._end
            os.fsync(self._descriptor)
            self._synced = written

    def _scan(self) -> int:
        """Find the lines that are there already, and cut off one that was never finished."""
        end = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._descriptor, end)
                    break
                end = self._note([line], end)
        return end


def _make_lines(bodies: Sequence[bytes], *, first: int, lost: bool) -> list[bytes]:
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
    if lost:
        bodies = [b'{"lost":true,"message":%b}' % body for body in bodies]
    return [
        b'{"seq":%d,"at":"%b",%b\n' % (seq, at, _one_line(body)[1:])
        for seq, body in enumerate(bodies, first)
    ]


def _one_line(body: bytes) -> bytes:
    if not body.isascii():
        for end, escape in _LINE_ENDS:
            body = body.replace(end, escape)
    return body


def _match(line: bytes) -> re.Match[bytes]:
    match = _HEAD.match(line)
    if match is None:
        raise ValueError(f"this is not a line of a sandbox log: {line[:80]!r}")
    return match


def _kind(line: bytes) -> bytes:
    service = _match(line)[1]
    if service is None:
        return _OTHER
    return _POST if service == b"x" else _MAIL
