"""SendGrid, API v3: `POST /v3/mail/send`, as strict as `sendgrid_rules` knows how to be.

What became of accepted mail is told by its Event Webhook (`notifier.sandbox.webhook`).
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from typing import Any

from pydantic_core import from_json

from notifier.sandbox.log import Log
from notifier.sandbox.sendgrid_merge import log_entries
from notifier.sandbox.sendgrid_rules import find_problems
from notifier.sandbox.shapes import Problem
from notifier.sandbox.webhook import Webhook
from notifier.sandbox.wire import Refused, Reply, Request, json_reply, phrase

_HELP = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html"
_TOO_LARGE = b"<html><head><title>413 Request Entity Too Large</title></head></html>"


class SendGrid:
    """One account with one API key. Thread-safe."""

    name = "sendgrid"
    success = 202

    def __init__(self, log: Log, *, key: str, events: Webhook) -> None:
        self._log = log
        self._key = key
        self._events = events

    def answer(self, request: Request) -> Reply:
        """Do what SendGrid does."""
        try:
            self._authorize(request)
            if request.path != "/v3/mail/send":
                return _refuse(404, "not found")
            if request.method != "POST":
                return _refuse(405, "method not allowed")
            mail = _read(request)
            if problems := find_problems(mail, now=time.time()):
                return json_reply(400, {"errors": [_shown(problem) for problem in problems]})
            return self._take(mail, request)
        except Refused as refused:
            return refused.reply

    def failure(self, status: int, *, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
        """SendGrid's answer with this error status."""
        if status == 413:  # its front server's own, not the API's
            return Reply(413, _TOO_LARGE, "text/html", headers)
        return _refuse(status, phrase(status).lower(), headers)

    def reset_header(self, value: str) -> tuple[str, str]:
        """SendGrid names the end of a rate limit in unix seconds."""
        return "X-RateLimit-Reset", value

    def _authorize(self, request: Request) -> None:
        given = request.headers.get("Authorization")
        if given is None:
            raise Refused(_refuse(401, "Permission denied, wrong credentials"))
        if not hmac.compare_digest(given.encode(), f"Bearer {self._key}".encode()):
            why = "The provided authorization grant is invalid, expired, or revoked"
            raise Refused(_refuse(401, why))

    def _take(self, mail: dict[str, Any], request: Request) -> Reply:
        if mail.get("mail_settings", {}).get("sandbox_mode", {}).get("enable"):
            return Reply(200)  # valid, and by the sender's own wish not delivered
        message_id = secrets.token_urlsafe(16)
        self._log.append(log_entries(mail, request, message_id), lost=request.lost)
        if not request.lost:
            self._events.take(mail, message_id)
        return Reply(202, headers=(("X-Message-Id", message_id),))


def _read(request: Request) -> Any:
    kind = request.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(_refuse(415, "Content-Type should be application/json."))
    if request.headers.get("Content-Encoding", "identity") != "identity":
        # Compressed bodies are for accounts where the vendor's support has enabled them.
        raise Refused(_refuse(415, "Content-Encoding is not enabled for your account."))
    try:
        return from_json(request.body, allow_inf_nan=False)
    except ValueError:
        raise Refused(_refuse(*_why_unreadable(request.body))) from None


def _why_unreadable(body: bytes) -> tuple[int, str]:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return 415, "Invalid UTF8 in request"
    return 400, "Bad Request"


def _refuse(status: int, message: str, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    return json_reply(
        status, {"errors": [{"message": message, "field": None, "help": None}]}, headers
    )


def _shown(problem: Problem) -> dict[str, str | None]:
    place = re.sub(r"\.\d+", "", problem.field)
    return {
        "message": problem.message,
        "field": problem.field or None,
        "help": f"{_HELP}#message.{place}" if place else None,
    }
