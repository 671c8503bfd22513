"""HTTP plumbing: reads requests, hands them to who plays them, writes answers in one piece."""

from __future__ import annotations

import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader
from socketserver import TCPServer
from typing import Any, cast

from notifier.sandbox.faults import Faults
from notifier.sandbox.misbehave import misbehave
from notifier.sandbox.traffic import Traffic
from notifier.sandbox.wire import Provider, Refused, Reply, Request

#: SendGrid takes messages below 30 MB; everybody else is content with less.
BODY_MAX = 30 * 1024 * 1024
#: A TCP close that sends RST instead of FIN: linger on, for no time (socket(7)).
_LINGER_ZERO = struct.pack("ii", 1, 0)


class HttpServer(ThreadingHTTPServer):
    """One thread per connection, kept alive until the client or `stop` ends it."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(
        self,
        address: tuple[str, int],
        *,
        providers: dict[str, Provider],
        house: Callable[[Request], Reply],
        faults: Faults,
        traffic: Traffic,
    ) -> None:
        """`providers` by the first part of the path; everything else goes to `house`.

        Raises OSError when the address is taken.
        """
        self.providers = providers
        self.house = house
        self.faults = faults
        self.traffic = traffic
        self.stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without asking the name service who we are, as http.server does."""
        TCPServer.server_bind(self)
        host, self.server_port = self.server_address[:2]
        self.server_name = str(host)

    def start(self) -> None:
        """Serve in a thread."""
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """End every connection and free the port."""
        self.stopping.set()
        self.shutdown()
        self.server_close()
        with self._connections_lock:
            for connection in self._connections:
                _shut(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that `stop` can end it."""
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection, then close it."""
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of ours; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection; `notifier.sandbox.misbehave.Connection` is its seam to the faults."""

    protocol_version = "HTTP/1.1"
    # Without TCP_NODELAY the second answer on a connection waits for the client's delayed ACK
    # of the first, 40 ms on Linux.
    disable_nagle_algorithm = True
    timeout = 300
    server: HttpServer

    def handle_one_request(self) -> None:
        """Note when the first byte arrives, then read on as usual."""
        try:
            cast(BufferedReader, self.rfile).peek(1)
        except TimeoutError:
            self.close_connection = True
            return
        self._received_ns = time.time_ns()
        super().handle_one_request()

    def _serve(self) -> None:
        path = self.path.partition("?")[0]
        provider = self.server.providers.get(path.split("/")[1])
        try:
            if provider is None:
                self.send(self.server.house(self._read_request(number=0)))
            else:
                self._play(provider)
        except Refused as refused:
            self.close_connection = True
            self.send(refused.reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - http.server's

    def _play(self, provider: Provider) -> None:
        name = provider.name
        entry = self.server.traffic.begin(
            name, f"{self.command} {self.path}", self._received_ns, self.client_address[1]
        )
        fault = self.server.faults.take(name, "head", b"", self.command)
        if fault is not None:
            entry.answer = f"fault {fault.fault}"
            self.reset()
            return
        request = self._read_request(number=entry.request)
        content = request.body or request.target.encode()
        fault = self.server.faults.take(name, "body", content, self.command)
        if fault is None:
            reply = _answer(provider, request)
            entry.answer = str(reply.status)
            self.send(reply)
        else:
            entry.answer = f"fault {fault.fault}"
            misbehave(fault, provider, request, self)

    def _read_request(self, *, number: int) -> Request:
        path, _, query = self.path.partition("?")
        return Request(
            self.command,
            path,
            query,
            self.headers,
            self._read_body(),
            self._received_ns,
            number,
        )

    def _read_body(self) -> bytes:
        if "Transfer-Encoding" in self.headers:
            raise Refused(Reply(411))
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal():
            raise Refused(Reply(400))
        if int(length) > BODY_MAX:
            self._discard(int(length))
            raise Refused(Reply(413, b"<html>413 Request Entity Too Large</html>", "text/html"))
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionAbortedError("the client went away in the middle of its request")
        return body

    def _discard(self, length: int) -> None:
        """Read and forget a body, so that its sender gets to read the answer."""
        while length > 0 and (piece := self.rfile.read(min(length, 65536))):
            length -= len(piece)

    def send(self, reply: Reply) -> None:
        """Answer, in one write."""
        self.write(reply.encode(close=self.close_connection, head=self.command == "HEAD"))

    def write(self, data: bytes) -> None:
        """Send these bytes now."""
        self.wfile.write(data)

    def reset(self) -> None:
        """Close with a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self.hang_up()

    def hang_up(self) -> None:
        """Close without another byte; the reader holds the socket open until it is closed too."""
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end of the server."""
        self.server.stopping.wait(seconds)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: requests are kept in `Traffic`, where a test can ask for them."""


def _answer(provider: Provider, request: Request) -> Reply:
    """The provider's answer; when the log cannot be written, nothing was accepted: 503."""
    try:
        return provider.answer(request)
    except OSError as error:
        print(f"notifier sandbox: the log cannot be written: {error}", file=sys.stderr)  # noqa: T201
        return provider.failure(503)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # its client has closed it already
