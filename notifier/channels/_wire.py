"""HTTP calls that end in time, and that tell afterwards whether anything of them was sent.

Two facts about a failed call decide whether a message may be sent again:

- Did a byte of the request leave? If not, the message is certainly not out.
- When does the call end? The timeouts of `requests` and `urllib` are per read: a server that
  answers one byte a second holds a thread for ever. Here every lookup, connect, handshake,
  write and read gets only the time that is left of the whole call.

`Adapter` brings both into a `requests` session, which is how tweepy and the SendGrid SDK call.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

import urllib3
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

# A provider's longest honest answer is SendGrid's 400 with one error for each of 1,000
# recipients, about 300 KB. What is longer is cut and never parsed.
_BODY_MAX = 1 << 20

# A connection that stood idle longer is closed instead of used again: a firewall may have
# forgotten it, and then the request would vanish without an error, which leaves the first
# message of a disruption "unknown". nginx closes idle connections after 75 s, AWS after 60 s.
_IDLE_MAX = 30.0

_Addresses = list[tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: header names in any case, the body unpacked and cut at 1 MiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire(threading.local):
    """One call at a time, per thread: when it ends, what was sent, what came back.

    `connect` seconds are for lookup, connecting and TLS together, `exchange` seconds for
    writing the request and reading the whole answer.
    """

    def __init__(
        self,
        *,
        connect: float,
        exchange: float,
        look_up: Callable[..., Any] = socket.getaddrinfo,
    ) -> None:
        self._connect, self._exchange, self._look_up = connect, exchange, look_up
        self.start()

    def start(self) -> None:
        """A new call begins."""
        self._ends = time.monotonic() + self._connect
        self.connecting = False
        self.sent = False
        self.answer: Answer | None = None
        #: What went wrong, when the call failed in the network.
        self.failure: Exception | None = None

    def sending(self) -> None:
        """The first or a further part of the request is about to leave.

        What a proxy is told while connecting is not part of the request.
        """
        if not self.connecting and not self.sent:
            self.sent = True
            self._ends = time.monotonic() + self._exchange

    def left(self) -> float:
        """Seconds left. Raises TimeoutError when there are none."""
        seconds = self._ends - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        return seconds

    def dial(self, host: str, port: int) -> socket.socket:
        """A connected socket. Raises OSError.

        Each address of the host gets its share of the time, so that one that never answers
        (IPv6 without a route, often) leaves time for the next.
        """
        addresses = self._addresses(host, port)
        failure = OSError(f"{host} has no address")
        for position, (family, kind, protocol, _, address) in enumerate(addresses):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(self.left() / (len(addresses) - position))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(self.left())
            except OSError as error:
                sock.close()
                failure = error
            else:
                return sock
        raise failure

    def _addresses(self, host: str, port: int) -> _Addresses:
        """Look `host` up. A lookup cannot be interrupted, so a slow one is left to its thread."""
        found: queue.SimpleQueue[_Addresses | Exception] = queue.SimpleQueue()
        resolver = self._look_up  # `self` is another one in the thread

        def look_up() -> None:
            try:
                found.put(resolver(host, port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                found.put(error)

        threading.Thread(target=look_up, daemon=True, name=f"look up {host}").start()
        try:
            answer = found.get(timeout=self.left())
        except queue.Empty:
            raise TimeoutError("timed out") from None
        if isinstance(answer, Exception):
            raise answer
        return answer


def read_environment_once(session: Session, url: str) -> None:
    """Take the proxies and certificates for `url` from the environment now, not at each call.

    `requests` goes through all variables for each call, which keeps a post back for 0.2 ms.
    """
    found = session.merge_environment_settings(url, {}, None, None, None)
    session.proxies, session.verify = found["proxies"], found["verify"]
    session.trust_env = False


class Adapter(HTTPAdapter):
    """A transport for a `requests` session, with the limits of `wire`.

    `base` replaces scheme and host of each request's address. It is needed where a library
    knows only one host (tweepy); what was signed stays signed for the original address.
    A connection that stood idle for more than `idle` seconds is not used again.
    """

    def __init__(self, wire: Wire, base: str = "", *, idle: float = _IDLE_MAX) -> None:
        self._wire, self._base, self._idle = wire, base, idle
        self._classes = _pool_classes(wire)
        self._used = time.monotonic()
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make connections that obey the wire."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._classes

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Likewise for connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._classes
        return manager

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send, and read the whole answer. Leaves the answer in the wire."""
        if time.monotonic() - self._used > self._idle:
            self.close()
        if self._base:
            request.url = self._base + request.path_url
        if _is_loopback(request.url or ""):
            kwargs["proxies"] = {}  # a proxy for the internet does not reach the sandbox
        response = super().send(request, *args, **(kwargs | {"stream": True, "timeout": None}))
        body = _read(response.raw)
        response.raw = io.BytesIO(body)
        self._wire.answer = Answer(response.status_code, response.headers, body)
        self._used = time.monotonic()
        return response


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(raw: urllib3.HTTPResponse) -> bytes:
    """The body, or nothing when it was not complete: status and headers still tell something."""
    try:
        body = raw.read(_BODY_MAX, decode_content=True)
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError):
        body = b""
        raw.close()
    if len(body) == _BODY_MAX:
        raw.close()
    return body


def _pool_classes(wire: Wire) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """Connection pools by scheme, whose connections obey `wire`."""

    class Plain(_Connection):
        pass

    class Secure(_Connection, HTTPSConnection):
        pass

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    Plain.wire = Secure.wire = wire
    return {"http": PlainPool, "https": SecurePool}


class _Connection(HTTPConnection):
    """A connection of urllib3 that dials, writes and reads by its wire."""

    wire: ClassVar[Wire]

    def _new_conn(self) -> socket.socket:
        return self.wire.dial(self._dns_host, self.port)

    def connect(self) -> None:
        self.wire.connecting = True
        try:
            super().connect()
        except (OSError, http.client.HTTPException) as error:
            self.wire.failure = error
            raise
        finally:
            self.wire.connecting = False

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        self.wire.sending()
        try:
            self.sock.settimeout(self.wire.left())
            super().send(data)
        except OSError as error:
            self.wire.failure = error
            raise

    # http.client calls this for each answer; that it is a class matters to nobody.
    def response_class(  # type: ignore[override]
        self, sock: socket.socket, **kwargs: Any
    ) -> http.client.HTTPResponse:
        timed: Any = _TimedSocket(sock, self.wire)
        return http.client.HTTPResponse(timed, **kwargs)


class _TimedSocket:
    """As much of a socket as http.client needs to read an answer."""

    def __init__(self, sock: socket.socket, wire: Wire) -> None:
        self._sock, self._wire = sock, wire

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock, self._wire))


class _TimedReader(io.RawIOBase):
    """A socket as a file, in which every read ends with the call."""

    def __init__(self, sock: socket.socket, wire: Wire) -> None:
        super().__init__()
        self._sock, self._wire = sock, wire
        # This file, not the socket, is what http.client keeps open until the body is read.
        self._file = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        try:
            self._sock.settimeout(self._wire.left())
            return self._file.readinto(buffer)
        except OSError as error:
            self._wire.failure = error
            raise

    def close(self) -> None:
        self._file.close()
        super().close()
