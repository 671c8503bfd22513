"""Requests to the front of the web server without a socket between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from notifier.web.front import Front


@dataclass(frozen=True)
class Told:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def detail(self) -> str:
        """What it says in one sentence."""
        return str(json.loads(self.body)["detail"])


def ask(
    front: Front,
    path: str,
    body: Any = b"",
    *,
    method: str = "POST",
    peer: str = "127.0.0.1",
    headers: Mapping[str, str] | None = None,
    pieces: int = 1,
) -> Told:
    """One request, whose body (bytes, or a value to be written as JSON) comes in pieces."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"content-type": "application/json"} | dict(headers or {})
    route, _, query = path.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": route,
        "query_string": query.encode(),
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in named.items()],
        "client": (peer, 4711) if peer else None,
        "server": ("127.0.0.1", 8000),
    }
    size = max(1, -(-len(raw) // pieces))
    cut = [raw[at : at + size] for at in range(0, len(raw), size)] or [b""]
    return asyncio.run(_ask(front, scope, cut))


async def _ask(front: Front, scope: dict[str, Any], pieces: list[bytes]) -> Told:
    waiting = list(pieces)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        piece = waiting.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await front(scope, receive, send)
    start, *rest = sent
    headers = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
    return Told(start["status"], headers, b"".join(m["body"] for m in rest))
