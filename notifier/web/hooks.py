"""The door for monitoring tools: `/hooks/<source>/<key>`.

It stands in front of Flask, because a storm of alerts must not cost what a page costs. Whoever
knows the key in the address is let in (and, where the integration asks for it, has the header's
secret, a signature, and an address in its networks): `services.hooks`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from notifier.domain.signal import Hook
from notifier.ports import Notifier
from notifier.services.hooks import Answer, Intake

PREFIX = "/hooks/"

#: The longest request, in bytes. PagerDuty drops what is above 256 KB; a group of Alertmanager
#: with a thousand members has about 1 MB.
HOOK_MAX = 4 * 1024 * 1024

_METHODS = ("GET", "POST", "PUT", "OPTIONS")
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class HookDoor:
    """WSGI: answers what is for the hooks, and hands on everything else."""

    def __init__(self, n: Notifier, inside: Wsgi) -> None:
        self._n, self._inside = n, inside
        self._intake = Intake(n)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """One request."""
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return self._inside(environ, start_response)
        answer = self._answer(environ, path)
        body = _write(answer)
        kind = "application/json" if answer.status < 300 else "application/problem+json"
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **answer.headers}
        status = f"{answer.status} {HTTPStatus(answer.status).phrase}"
        start_response(status, [*headers.items(), ("Cache-Control", "no-store")])
        return [body]

    def _answer(self, environ: dict[str, Any], path: str) -> Answer:
        method = environ["REQUEST_METHOD"]
        if method not in _METHODS:
            return Answer(405, "Use POST.", {"Allow": ", ".join(_METHODS)})
        source, _, key = path.removeprefix(PREFIX).partition("/")
        if environ.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
            return Answer(415, "Send the body as it is, without a Content-Encoding.")
        body = _read(environ)
        if body is None:
            return Answer(413, f"The body is longer than {HOOK_MAX} bytes: send fewer at once.")
        hook = Hook(
            method, _headers(environ), environ.get("QUERY_STRING", ""), body, self._n.clock()
        )
        return self._intake.take(source, key, hook, peer=environ.get("REMOTE_ADDR", ""))


def _read(environ: dict[str, Any]) -> bytes | None:
    """The body; None for one that is too long. The server has put together what came in chunks."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal() or int(length) > HOOK_MAX:
        return None
    body: bytes = environ["wsgi.input"].read(int(length))
    return body


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    found = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    if kind := environ.get("CONTENT_TYPE"):
        found["content-type"] = kind
    return found


def _write(answer: Answer) -> bytes:
    if answer.status < 300:
        return json.dumps({"detail": answer.detail}, ensure_ascii=False).encode()
    problem = {
        "type": "about:blank",
        "title": HTTPStatus(answer.status).phrase,
        "status": answer.status,
        "detail": answer.detail,
    }
    return json.dumps(problem, ensure_ascii=False).encode()
