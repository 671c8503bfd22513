"""The front of the web server: reads each request whole, answers what must be fast by itself, and
hands everything else to Flask's threads.

What monitoring tools post to `/hooks/<source>/<key>` is answered here, because a storm of alerts
must not cost what pages cost. Whoever knows the key in the address is let in (and, where the
integration asks for it, has the header's secret, a signature, and an address in its networks):
`services.hooks`.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from notifier.domain.signal import Hook
from notifier.ports import Notifier
from notifier.services.hooks import Answer, Intake, Slip

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
#: Status, headers in bytes, body.
Reply = tuple[int, list[tuple[bytes, bytes]], bytes]

PREFIX = "/hooks/"

#: The longest body of a hook, in bytes. PagerDuty drops what is above 256 KB; a group of
#: Alertmanager with a thousand members has about 1 MB. To read JSON takes up to 25 times as much.
HOOK_MAX = 2 * 1024 * 1024

#: Above this, understanding a body may take longer than other requests should wait for: 64 KiB of
#: small alerts took up to 90 ms.
_QUICK_MAX = 16 * 1024

_DRAINED_MAX = 16 * 1024 * 1024

T = TypeVar("T")
_METHODS = ("GET", "POST", "PUT", "OPTIONS")


class Front:
    """ASGI 3. `pages` is the WSGI application behind it, which `threads` requests use at a time."""

    #: For how long a body may take to come, however slowly.
    read_seconds = 30.0
    #: What bodies of more than 16 KiB hold together, in bytes: anybody may send some.
    room = 64 * 1024 * 1024

    def __init__(self, n: Notifier, pages: Wsgi, *, pages_max: int, threads: int) -> None:
        self._n, self._pages, self._pages_max = n, pages, pages_max
        self._intake = Intake(n)
        self._desk = _Desk(self._intake.write)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._room = _Room(self.room)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        share = _Share(self._room)
        try:
            status, headers, answer = await self._answer(scope, receive, share)
        except ConnectionError:
            return  # nobody is left who could be answered
        finally:
            share.give_back()
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _answer(self, scope: Scope, receive: Receive, share: _Share) -> Reply:
        is_hook = scope["path"].startswith(PREFIX)
        limit = HOOK_MAX if is_hook else self._pages_max
        try:
            body = await _read(scope, receive, limit, share, seconds=self.read_seconds)
        except TimeoutError:
            return _write(_TOO_SLOW)
        except _NoRoomError:
            return _write(_FULL)
        return await (self._take if is_hook else self._show)(scope, body)

    async def _take(self, scope: Scope, body: bytes | None) -> Reply:
        if scope["method"] not in _METHODS:
            return _write(Answer(405, "Use POST.", {"Allow": ", ".join(_METHODS)}))
        if body is None:
            return _write(Answer(413, f"The body is longer than {HOOK_MAX} bytes: send less."))
        headers = _headers(scope)
        if headers.get("content-encoding", "identity") != "identity":
            return _write(Answer(415, "Send the body as it is, without a Content-Encoding."))
        query = scope["query_string"].decode("latin-1")
        hook = Hook(scope["method"], headers, query, body, self._n.clock())
        source, _, key = scope["path"].removeprefix(PREFIX).partition("/")
        peer = scope["client"][0] if scope.get("client") else ""
        if len(body) > _QUICK_MAX or not self._intake.is_quick(source):
            return _write(await self._in_thread(self._intake.take, source, key, hook, peer))
        if not self._intake.knows(key):
            await self._in_thread(self._intake.look_up, key)
        begun = self._intake.begin(source, key, hook, peer)
        if isinstance(begun, Answer):
            return _write(begun)
        await self._desk.write(begun)
        return _write(self._intake.end(begun))

    async def _show(self, scope: Scope, body: bytes | None) -> Reply:
        environ = _environ(scope, body, too_long=self._pages_max + 1)
        return await self._in_thread(_run, self._pages, environ)

    async def _in_thread(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)


class _Desk:
    """Has what comes at one time written at one time: while one commit is made, the next gathers.

    Of the event loop alone. A thread is woken once for each commit and not for each request, which
    took a third of the time.
    """

    _TOGETHER_MAX = 256

    def __init__(self, write: Callable[[Sequence[Slip]], None]) -> None:
        self._write = write
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="hooks")
        self._waiting: list[tuple[Slip, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, slip: Slip) -> None:
        """Return once the slip is written, or says why it cannot be."""
        loop = asyncio.get_running_loop()
        written = loop.create_future()
        self._waiting.append((slip, written))
        if self._writing is None:
            self._writing = loop.create_task(self._write_all())
        await written

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            mine = self._waiting[: self._TOGETHER_MAX]
            del self._waiting[: self._TOGETHER_MAX]
            await loop.run_in_executor(self._writer, self._write, [slip for slip, _ in mine])
            for _, written in mine:
                if not written.done():  # whoever waited for it may be gone
                    written.set_result(None)
        self._writing = None


_TOO_SLOW = Answer(408, "The body did not come in time: send it again.", {"Connection": "close"})
_FULL = Answer(
    503,
    "Too many long requests come at this time: send it again.",
    {"Connection": "close", "Retry-After": "5"},
)


@dataclass
class _Room:
    """How many bytes of bodies are held, by all requests together."""

    size: int
    held: int = 0


class _NoRoomError(Exception):
    """The bodies that are here already leave no room."""


@dataclass
class _Share:
    """What one request holds of it."""

    room: _Room
    length: int = 0

    def take(self, length: int) -> None:
        """Hold so many bytes more. Raises _NoRoomError; never for a short body."""
        self.length += length
        self.room.held += length
        if self.length > _QUICK_MAX and self.room.held > self.room.size:
            raise _NoRoomError

    def give_back(self) -> None:
        """Hold nothing any more."""
        self.room.held -= self.length
        self.length = 0


async def _read(
    scope: Scope, receive: Receive, limit: int, share: _Share, *, seconds: float
) -> bytes | None:
    """The body; None for one that is too long, of which nothing is kept.

    Up to 16 MiB of that are read all the same: a sender who is answered while it still sends often
    sees a broken connection and no answer. Raises ConnectionError when the sender goes away before,
    TimeoutError when it is too slow, and _NoRoomError.
    """
    declared = next((v for name, v in scope["headers"] if name == b"content-length"), b"")
    if declared.isdigit() and int(declared) > _DRAINED_MAX:
        return None
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        whole: bytes = message.get("body", b"")  # nearly always, and then nothing can be late
        return whole if len(whole) <= limit else None
    async with asyncio.timeout(seconds):
        return await _put_together(message, receive, limit, share)


async def _put_together(
    message: dict[str, Any], receive: Receive, limit: int, share: _Share
) -> bytes | None:
    pieces: list[bytes] = []
    length = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ConnectionError("the sender went away in the middle of a body")
        piece = message.get("body", b"")
        length += len(piece)
        if length <= limit:
            share.take(len(piece))
            pieces.append(piece)
        else:
            pieces.clear()
            share.give_back()
        if not message.get("more_body") or length > _DRAINED_MAX:
            return b"".join(pieces) if length <= limit else None
        message = await receive()


def _headers(scope: Scope) -> dict[str, str]:
    """Headers by name in lower case; what came twice is joined as RFC 9110 §5.3 has it.

    A name with "_" is left out: behind WSGI it could pass for one with "-".
    """
    found: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        if "_" in name:
            continue
        glue = "; " if name == "cookie" else ", "
        found[name] = f"{found[name]}{glue}{text}" if name in found else text
    return found


def _environ(scope: Scope, body: bytes | None, *, too_long: int) -> dict[str, Any]:
    """The request as PEP 3333 has it; without a body for one that is too long."""
    host, port = scope.get("server") or ("localhost", 80)
    client = scope.get("client") or ("", 0)
    environ: dict[str, Any] = {
        f"HTTP_{name.upper().replace('-', '_')}": value for name, value in _headers(scope).items()
    }
    environ.pop("HTTP_CONTENT_LENGTH", None)
    environ.pop("HTTP_TRANSFER_ENCODING", None)  # the body is together by now
    return environ | {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "CONTENT_TYPE": environ.pop("HTTP_CONTENT_TYPE", ""),
        "CONTENT_LENGTH": str(too_long if body is None else len(body)),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or 0),
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(body or b""),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def _run(pages: Wsgi, environ: dict[str, Any]) -> Reply:
    """One request through a WSGI application, whose answer is put together here."""
    told: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
        told[:] = [int(status[:3]), headers]

    pieces = pages(environ, start_response)
    try:
        body = b"".join(pieces)
    finally:
        if close := getattr(pieces, "close", None):
            close()
    status, headers = told
    return status, [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in headers], body


def _write(answer: Answer) -> Reply:
    told: Mapping[str, object] = {"detail": answer.detail}
    kind = "application/json"
    if answer.status >= HTTPStatus.BAD_REQUEST:
        kind = "application/problem+json"
        title = HTTPStatus(answer.status).phrase
        told = {"type": "about:blank", "title": title, "status": answer.status, **told}
    body = json.dumps(told, ensure_ascii=False).encode()
    headers = {
        "content-type": kind,
        "content-length": str(len(body)),
        "cache-control": "no-store",
        **answer.headers,
    }
    return (
        answer.status,
        [(n.lower().encode("latin-1"), v.encode("latin-1", "replace")) for n, v in headers.items()],
        body,
    )
