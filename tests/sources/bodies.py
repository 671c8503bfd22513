"""Requests as tools send them, from files in `samples/` and from the shared collection.

A file is a JSON object: `headers` (an object), `method` ("POST" unless given), `query`, and the
body as `body` (written as JSON), or as `text` or `base64` where it is anything else.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from notifier.domain.signal import Hook

SAMPLES = Path(__file__).parent / "samples"
SHARED = Path(__file__).parents[3] / "shared" / "payloads"
NOW = datetime(2026, 11, 22, 16, 30, tzinfo=UTC)


def sample(source: str, name: str, **changes: Any) -> Hook:
    """The request in samples/`source`/`name`.json."""
    written = json.loads((SAMPLES / source / f"{name}.json").read_text()) | changes
    return Hook(
        method=written.get("method", "POST"),
        headers={k.lower(): v for k, v in written.get("headers", {}).items()},
        query=written.get("query", ""),
        body=_body(written),
        received_at=NOW,
    )


def request(body: bytes | str | dict[str, Any] | list[Any], **headers: str) -> Hook:
    """A POST of `body`; "_" in a header's name stands for "-"."""
    raw = body if isinstance(body, bytes) else _text(body).encode()
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return Hook("POST", {"content-type": "application/json"} | named, "", raw, NOW)


def shared(path: str) -> Any:
    """A file of the shared collection of genuine bodies; skips where that is not at hand."""
    file = SHARED / path
    if not file.exists():
        pytest.skip(f"the collection of genuine bodies is not at hand: {path}")
    return json.loads(file.read_text())


def shared_request(path: str) -> Hook:
    """A recorded request of the shared collection, or a bare body as a POST of JSON."""
    kept = shared(path)
    if not (isinstance(kept, dict) and "body_raw" in kept):
        return request(kept)
    headers = {name.lower(): value for name, value in kept.get("headers", [])}
    query = str(kept.get("path", "")).partition("?")[2]
    body = kept["body_raw"].encode("utf-8", "surrogateescape")
    return Hook(kept.get("method", "POST"), headers, query, body, NOW)


def _body(written: dict[str, Any]) -> bytes:
    if "base64" in written:
        return base64.b64decode(written["base64"])
    if "text" in written:
        return str(written["text"]).encode()
    return _text(written["body"]).encode() if "body" in written else b""


def _text(body: object) -> str:
    return body if isinstance(body, str) else json.dumps(body)
