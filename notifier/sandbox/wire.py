"""What the plumbing hands to a part of the sandbox, and what that part hands back."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qs

from pydantic_core import to_json


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, read to its end.

    `received_ns` is `time.time_ns()` at its first byte, `number` counts the requests of all
    providers. A `lost` request is answered like any other, but its message goes nowhere.
    """

    method: str
    path: str
    query: str
    headers: Message
    body: bytes
    received_ns: int
    number: int
    lost: bool = False

    @property
    def target(self) -> str:
        """Path and query as they stood in the request line."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def parameters(self) -> dict[str, str]:
        """The query's parameters; of a repeated one, the last."""
        return {name: values[-1] for name, values in parse_qs(self.query, True).items()}


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer. Length, date and connection handling are added when it is encoded."""

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self, *, close: bool = False, head: bool = False) -> bytes:
        """Head and body in one piece, so that they leave in one segment."""
        lines = [
            f"HTTP/1.1 {self.status} {phrase(self.status)}",
            f"Date: {formatdate(usegmt=True)}",
            f"Content-Length: {len(self.body)}",
        ]
        if self.content_type:
            lines.append(f"Content-Type: {self.content_type}")
        if close:
            lines.append("Connection: close")
        lines += [f"{name}: {value}" for name, value in self.headers]
        start = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
        return start if head else start + self.body


class Refused(Exception):
    """The request is not taken; `reply` says why, in the provider's own words."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Provider(Protocol):
    """A service that the sandbox plays over HTTP."""

    name: str
    #: The status with which it takes a message.
    success: int

    def answer(self, request: Request) -> Reply:
        """Do what the real service does."""

    def failure(self, status: int, *, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
        """What the real service sends with this error status."""

    def reset_header(self, value: str) -> tuple[str, str]:
        """The header in which it says when a rate limit ends."""


def json_reply(status: int, value: Any, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """A JSON answer."""
    return Reply(status, to_json(value), "application/json; charset=utf-8", headers)


def phrase(status: int) -> str:
    """The reason phrase of a status, also of one that has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
