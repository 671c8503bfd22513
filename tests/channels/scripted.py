"""A small HTTP server that answers as it is told, over real sockets.

A script is a list of steps; each request takes the next one, and the last one serves all
further requests. A step writes to the connection and says whether the connection stays open.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO

Step = Callable[[socket.socket], bool]


@dataclass(frozen=True)
class Captured:
    """A request as it arrived; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


def answer(status: int, body: bytes | str = b"", headers: Mapping[str, str] | None = None) -> Step:
    """A whole answer, after which the connection stays open."""
    return raw(respond(status, body, headers), stay=True)


def respond(status: int, body: bytes | str, headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a whole answer."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def raw(data: bytes, *, stay: bool = False) -> Step:
    """These very bytes."""

    def step(connection: socket.socket) -> bool:
        connection.sendall(data)
        return stay

    return step


def drip(data: bytes, every: float) -> Step:
    """These bytes, one at a time."""

    def step(connection: socket.socket) -> bool:
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(every)
        return False

    return step


def endless(head: bytes, piece: bytes) -> Step:
    """`head`, and then `piece` for as long as anybody reads."""

    def step(connection: socket.socket) -> bool:
        connection.sendall(head)
        while True:
            connection.sendall(piece)

    return step


def hang(seconds: float) -> Step:
    """Nothing at all."""

    def step(_connection: socket.socket) -> bool:
        time.sleep(seconds)
        return False

    return step


def reset(first: bytes = b"") -> Step:
    """Some bytes, and then RST instead of an orderly end."""

    def step(connection: socket.socket) -> bool:
        if first:
            connection.sendall(first)
            time.sleep(0.05)  # an RST overtakes what the other side has not read yet
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    return step


class Server:
    """The server; runs between `with` and its end. `url` is where it listens.

    `first` is sent as soon as somebody connects, as a server of another protocol would.
    """

    def __init__(
        self, *script: Step, tls: ssl.SSLContext | None = None, first: bytes = b""
    ) -> None:
        self.requests: list[Captured] = []
        self.connections = 0
        self._script: Sequence[Step] = script
        self._tls = tls
        self._first = first
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if tls else "http"
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"{scheme}://{self.address}"

    def __enter__(self) -> Server:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(connection)
                number = self.connections
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            connection.sendall(self._first)
            with connection, connection.makefile("rb") as reader:
                while (request := _read(reader, number)) and self._next(request)(connection):
                    pass
        except (OSError, ValueError):
            connection.close()  # the other side went away, which is what some tests are about

    def _next(self, request: Captured) -> Step:
        with self._lock:
            self.requests.append(request)
            return self._script[min(len(self.requests), len(self._script)) - 1]


def _read(reader: BinaryIO, number: int) -> Captured | None:
    line = reader.readline().decode("latin-1").split()
    if len(line) < 2:
        return None
    headers: dict[str, str] = {}
    while header := reader.readline().decode("latin-1").strip():
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", 0)))
    return Captured(line[0], line[1], headers, body, number)
