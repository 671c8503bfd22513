"""The real clients, pointed at a sandbox."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import tweepy
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from sendgrid import SendGridAPIClient

from notifier.sandbox.process import Sandbox
from notifier.settings import SANDBOX_KEY, SANDBOX_X

MAIL: dict[str, Any] = {
    "from": {"email": "status@example.com", "name": "Northvale Heat"},
    "subject": "No hot water",
    "content": [
        {"type": "text/plain", "value": "Dear -name-, no hot water."},
        {"type": "text/html", "value": "<p>Dear -name-, no hot water.</p>"},
    ],
    "personalizations": [{"to": [{"email": "ayesha@example.org"}]}],
}


class Redirect(HTTPAdapter):
    """Sends what tweepy signed for api.twitter.com to a sandbox."""

    def __init__(self, base: str) -> None:
        self.base = urlsplit(base)
        self.timeout = 5.0
        super().__init__()

    def send(self, request: PreparedRequest, *args: Any, **named: Any) -> Response:
        url = urlsplit(str(request.url))
        request.url = urlunsplit((self.base.scheme, self.base.netloc, url.path, url.query, ""))
        named["timeout"] = named.get("timeout") or self.timeout
        return super().send(request, *args, **named)


class Addresses(Protocol):
    """A sandbox, in this process or another."""

    @property
    def http_url(self) -> str: ...

    @property
    def smtp_url(self) -> str: ...


def x_client(box: Addresses, **credentials: str) -> tweepy.Client:
    client = tweepy.Client(**{**SANDBOX_X, **credentials})
    client.session.mount("https://api.twitter.com", Redirect(box.http_url))
    return client


@contextmanager
def posting(box: Addresses) -> Iterator[Callable[[str], str]]:
    """A function that posts a text to X and returns the id."""
    client = x_client(box)
    try:
        yield lambda text: str(client.create_tweet(text=text).data["id"])
    finally:
        client.session.close()


def sendgrid_client(box: Sandbox, key: str = SANDBOX_KEY) -> SendGridAPIClient:
    client = SendGridAPIClient(key, host=box.http_url)
    client.client.timeout = 5
    return client


def call(
    box: Sandbox, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """(status, body, headers in small letters) of one request; JSON is decoded."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        sent.setdefault("Content-Type", "application/json")
    url = urlsplit(box.http_url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=5)
    try:
        connection.request(method, path, data, sent)
        answer = connection.getresponse()
        content = answer.read()
        got = {name.lower(): value for name, value in answer.getheaders()}
        is_json = got.get("content-type", "").startswith("application/json")
        return answer.status, json.loads(content) if is_json and content else content, got
    finally:
        connection.close()


def send_mail(
    box: Sandbox, mail: Any, key: str = SANDBOX_KEY, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    return call(box, "POST", "/v3/mail/send", mail, **{"Authorization": f"Bearer {key}", **headers})


def order(box: Sandbox, service: str, fault: str | int, **options: Any) -> None:
    """Order a fault the way another process does."""
    body = {"service": service, "fault": fault, **options}
    status, answer, _ = call(box, "POST", "/_sandbox/faults", body)
    assert status == 200, answer


def accepted(box: Sandbox) -> list[dict[str, Any]]:
    return list(box.log.accepted())


def raw_lines(box: Sandbox) -> list[dict[str, Any]]:
    return [json.loads(line) for line in box.log.path.read_text("utf-8").splitlines()]


def speak_smtp(box: Sandbox) -> socket.socket:
    """A bare connection to the SMTP server."""
    url = urlsplit(box.smtp_url)
    return socket.create_connection((str(url.hostname), url.port or 0), timeout=5)
