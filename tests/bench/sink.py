"""Process: an HTTP server that takes mail as SendGrid does, as fast as it can read it.

    python -m tests.bench.sink [SECONDS]

Prints its port. Every POST is read to its end and, after SECONDS if they are given, answered 202
with an X-Message-Id. A GET
answers with what came since the last GET, as JSON: {"requests", "recipients", "bytes", "first_ns"},
the last being the time.time_ns() at which the first body was complete. Recipients and bytes are
counted in the bodies, so that a sender cannot win by sending less.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_ACCEPTED = b"HTTP/1.1 202 Accepted\r\nX-Message-Id: %032x\r\nContent-Length: 0\r\n\r\n"
_COUNTS = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"


class Count:
    """What came since it was last asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clear()

    def take(self, body: bytearray, answer: Callable[[bytes], object]) -> None:
        """Answer one request, then count it: its sender need not wait for us to count."""
        with self._lock:
            self._first_ns = self._first_ns or time.time_ns()
            self._requests += 1
            answer(_ACCEPTED % self._requests)
            self._recipients += body.count(b'"to":')
            self._bytes += len(body)

    def read(self) -> bytes:
        """The counts as JSON; they begin anew."""
        with self._lock:
            counts = {
                "requests": self._requests,
                "recipients": self._recipients,
                "bytes": self._bytes,
                "first_ns": self._first_ns,
            }
            self._clear()
        return json.dumps(counts).encode()

    def _clear(self) -> None:
        self._requests = self._recipients = self._bytes = self._first_ns = 0


def main(delay: float = 0.0) -> None:
    """Listen on a free port and print it; serve each connection in a thread, until killed."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    count = Count()
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, count, delay), daemon=True).start()


def serve(connection: socket.socket, count: Count, delay: float) -> None:
    """Answer the requests of one connection until it is closed by either side."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        while request := read_head(connection):
            head, rest = request
            if head.startswith(b"GET"):
                counts = count.read()
                connection.sendall(_COUNTS % (len(counts), counts))
            else:
                body = read_body(connection, head, rest)
                time.sleep(delay)
                count.take(body, connection.sendall)
            if _CLOSE.search(head):
                return


def read_head(connection: socket.socket) -> tuple[bytes, bytes] | None:
    """The next request's head and what came with it of the body; None at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def read_body(connection: socket.socket, head: bytes, rest: bytes) -> bytearray:
    """The whole body, of which `rest` is there already. Raises ConnectionError."""
    length = _LENGTH.search(head)
    body = bytearray(int(length[1]) if length else 0)
    body[: len(rest)] = rest
    missing = memoryview(body)[len(rest) :]
    while missing:
        received = connection.recv_into(missing)
        if not received:
            raise ConnectionError("the sender went away in the middle of a body")
        missing = missing[received:]
    missing.release()
    return body


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
