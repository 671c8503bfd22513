"""Who sends slowly, or without end, holds neither a connection for ever nor much memory."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import sleep

import pytest
import uvicorn

from notifier.ports import Notifier
from notifier.web.application import BODY_MAX, create_app
from notifier.web.connections import Connection
from notifier.web.front import Front


class _Hasty(Connection):
    head_seconds = 0.5


class _HastyFront(Front):
    read_seconds = 0.5
    room = 200_000


@pytest.fixture
def connect(n: Notifier) -> Iterator[Callable[[], socket.socket]]:
    """Makes connections to a real server whose patience is short."""
    front = _HastyFront(n, create_app(n), pages_max=BODY_MAX, threads=2)
    config = uvicorn.Config(
        front, http=_Hasty, lifespan="off", ws="none", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    made: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        serving.start()

        def connect() -> socket.socket:
            made.append(socket.create_connection(listening.getsockname(), timeout=10))
            return made[-1]

        yield connect
        for one in made:
            one.close()
        server.should_exit = True
        serving.join()


def _head(length: int) -> bytes:
    return b"POST /hooks/alertmanager/x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_head_that_does_not_come_is_not_waited_for(
    connect: Callable[[], socket.socket], begun: bytes
) -> None:
    connection = connect()
    connection.sendall(begun)
    assert connection.recv(100) == b""


def test_so_it_is_with_a_second_one(connect: Callable[[], socket.socket]) -> None:
    connection = connect()
    connection.sendall(_head(0))
    assert connection.recv(1_000).startswith(b"HTTP/1.1 404")
    sleep(0.6)  # between requests it may be quiet for longer
    connection.sendall(_head(0))
    assert connection.recv(1_000).startswith(b"HTTP/1.1 404")
    connection.sendall(b"GET / HTTP/1.1\r\n")
    assert connection.recv(1_000) == b""


def test_a_head_without_end_is_refused(connect: Callable[[], socket.socket]) -> None:
    connection = connect()
    sent = 0
    with suppress(ConnectionResetError, BrokenPipeError):  # it may end while we still send
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
        while sent < 50_000_000:
            sent += connection.send(b"X: " + b"a" * 50_000 + b"\r\n")
    assert sent < 50_000_000


def test_a_body_that_does_not_come_is_no_server_error(
    connect: Callable[[], socket.socket],
) -> None:
    connection = connect()
    connection.sendall(_head(10) + b"half")
    assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_long_bodies_hold_so_much_memory_and_no_more(
    connect: Callable[[], socket.socket],
) -> None:
    first, second, third = connect(), connect(), connect()
    first.sendall(_head(190_000) + b" " * 150_000)
    sleep(0.1)
    with suppress(ConnectionResetError, BrokenPipeError):  # it may end while we still send
        second.sendall(_head(190_000) + b" " * 150_000)
    assert second.recv(100).startswith(b"HTTP/1.1 503")
    third.sendall(_head(4) + b"tiny")
    assert third.recv(100).startswith(b"HTTP/1.1 404")
    assert first.recv(100).startswith(b"HTTP/1.1 408")
    second = connect()
    second.sendall(_head(150_000) + b" " * 150_000)
    assert second.recv(100).startswith(b"HTTP/1.1 404")
