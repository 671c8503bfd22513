"""What each HTTP fault does to the connection (the list is in `notifier.sandbox.faults`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from notifier.sandbox.faults import Fault, Kind
from notifier.sandbox.wire import Provider, Reply, Request
from notifier.sandbox.x import DUPLICATE

_GARBAGE: Mapping[Kind, tuple[bytes, str]] = {
    "html": (b"<html><body><h1>Welcome to our proxy</h1></body></html>", "text/html"),
    "truncated": (b'{"data":{"id":"19', "application/json"),
    "empty": (b"", "application/json"),
    "binary": (b"\xff\xfe\x00\x81{", "application/json"),
    "no_id": (b'{"data":{}}', "application/json"),
    "list": (b"[]", "application/json"),
}


class Connection(Protocol):
    """The client's connection, as far as it can be ill-treated."""

    def send(self, reply: Reply) -> None:
        """Answer as usual."""

    def write(self, data: bytes) -> None:
        """Send these bytes now."""

    def reset(self) -> None:
        """End the connection by a TCP reset: the client reads an error, not an end."""

    def hang_up(self) -> None:
        """Close the connection without another byte."""

    def pause(self, seconds: float) -> None:
        """Do nothing for a while; ends early when the sandbox stops."""


def misbehave(fault: Fault, provider: Provider, request: Request, connection: Connection) -> None:
    """Let `fault` happen to this request."""
    if fault.status:
        _fail(fault, provider, request, connection)
    else:
        _ACTS[fault.fault](fault, provider, request, connection)


def _fail(fault: Fault, provider: Provider, request: Request, connection: Connection) -> None:
    if fault.accepts:
        provider.answer(request)
    headers = []
    if fault.retry_after is not None:
        headers.append(("Retry-After", str(fault.retry_after)))
    if fault.reset is not None:
        at = fault.reset if isinstance(fault.reset, str) else f"{time.time() + fault.reset:.0f}"
        headers.append(provider.reset_header(at))
    connection.send(provider.failure(fault.status, headers=tuple(headers)))


def _hang(fault: Fault, provider: Provider, request: Request, connection: Connection) -> None:
    if fault.accepts:
        provider.answer(request)
    connection.pause(fault.seconds)
    connection.hang_up()


def _reset(_fault: Fault, _provider: Provider, _request: Request, connection: Connection) -> None:
    connection.reset()


def _accept_then_reset(
    fault: Fault, provider: Provider, request: Request, connection: Connection
) -> None:
    connection.write(provider.answer(request).encode()[: fault.bytes])
    connection.reset()


def _garbage(fault: Fault, provider: Provider, request: Request, connection: Connection) -> None:
    if fault.accepts:
        provider.answer(request)
    body, content_type = _GARBAGE[fault.kind]
    status = 200 if request.method == "GET" else provider.success
    connection.send(Reply(status, body, content_type))


def _lose(_fault: Fault, provider: Provider, request: Request, connection: Connection) -> None:
    connection.send(provider.answer(replace(request, lost=True)))


def _trickle(fault: Fault, provider: Provider, request: Request, connection: Connection) -> None:
    data = provider.answer(request).encode()
    step = max(1, int(fault.bytes_per_second / 20))
    for start in range(0, len(data), step):
        connection.write(data[start : start + step])
        connection.pause(step / fault.bytes_per_second)


def _refuse_as_duplicate(
    _fault: Fault, _provider: Provider, _request: Request, connection: Connection
) -> None:
    connection.send(DUPLICATE)


_ACTS: Mapping[str, Callable[[Fault, Provider, Request, Connection], None]] = {
    "hang": _hang,
    "reset": _reset,
    "reset_before_body": _reset,
    "accept_then_reset": _accept_then_reset,
    "garbage": _garbage,
    "202_then_lost": _lose,
    "slow": _trickle,
    "duplicate": _refuse_as_duplicate,
}
