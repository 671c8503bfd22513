"""What the tests of the SMTP channel share: a mail, its readers, and sending it to a port."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from notifier.channels import smtp
from notifier.domain.delivery import BatchOutcome, Outcome
from notifier.domain.message import GREETING, UNSUBSCRIBE, Mail, Recipient, Sender
from tests.channels.scripted_smtp import Answer, Script

PASSWORD = "S3cret-p/w"
MAIL = Mail(
    subject="No water in the north",
    text=f"{GREETING}\n.\n..\nNo water.\n{UNSUBSCRIBE}\n",
    html=f"<p>{GREETING}</p>\n.\n{'<p>No water.</p>' * 200}<a href='{UNSUBSCRIBE}'>Stop</a>",
    language="en",
    greeting_named="Dear {name},",
    greeting_plain="Hello,",
    sender=Sender("status@example.com", "Aqua Status"),
    thread="incident-7",
)
LARGE = dataclasses.replace(MAIL, html="<p>no</p>\n" * 500_000)
both_ways = pytest.mark.parametrize("extensions", [("PIPELINING",), ()], ids=["grouped", "plain"])


def readers(count: int) -> list[Recipient]:
    return [
        Recipient(
            f"d-{i}", f"reader{i}@example.org", f"Reader {i}", f"https://s.example.com/u/{i:040d}"
        )
        for i in range(count)
    ]


@contextmanager
def channel(port: int, **config: Any) -> Iterator[smtp.SmtpChannel]:
    values = {"url": f"smtp://127.0.0.1:{port}", "timeout": 5.0, **config}
    opened = smtp.build(smtp.Config.model_validate(values))
    yield opened
    opened.close()


def send(port: int, count: int = 1, **config: Any) -> list[Outcome]:
    with channel(port, **config) as opened:
        return outcomes(opened.prepare(MAIL).send(readers(count)), count)


def outcomes(batch: BatchOutcome, count: int) -> list[Outcome]:
    assert all(0 <= index < count for index in batch.each)
    return [batch.each.get(index, batch.rest) for index in range(count)]


def nth(number: int, stage: str, answer: Answer) -> Script:
    """The answer at the nth such stage."""
    seen = [0]

    def script(at: str, _said: str) -> Answer | None:
        seen[0] += at == stage
        return answer if at == stage and seen[0] == number else None

    return script


def log_in(port: int, query: str = "?starttls=never") -> str:
    return f"smtp://user%40x:{PASSWORD.replace('/', '%2F')}@127.0.0.1:{port}{query}"


class Keeper:
    """What aiosmtpd, which is not ours, received."""

    def __init__(self, extensions: Sequence[str] = ()) -> None:
        self._extensions = extensions
        self.received: list[tuple[str, list[str], bytes]] = []

    async def handle_EHLO(  # noqa: N802
        self, _server: Any, session: Any, _envelope: Any, name: str, offers: list[str]
    ) -> list[str]:
        session.host_name = name
        return [*offers[:-1], *(f"250-{offer}" for offer in self._extensions), offers[-1]]

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.received.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 OK"


@contextmanager
def aiosmtpd(keeper: Keeper, **options: Any) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(keeper, hostname="127.0.0.1", port=port, **options)
    controller.start()
    yield port
    controller.stop()
