"""The very mail that ours sends, written down for the peers: same words, same values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from notifier.channels._mime import Template
from notifier.domain.delivery import BatchOutcome, Sent
from notifier.domain.message import GREETING, UNSUBSCRIBE, Mail, Recipient
from notifier.services.mailing import MailRun
from tests.bench.house import declare, open_notifier

_TAGS = {
    "greeting_text": "-greeting-text-0123abcd-",
    "greeting_html": "-greeting-html-0123abcd-",
    "link_text": "-link-text-0123abcd-",
    "link_html": "-link-html-0123abcd-",
}


class _Notebook:
    """A mail channel that writes down what it is to send."""

    name = "notebook"
    batch_size = 1_000
    rate = None

    def __init__(self) -> None:
        self.mail: Mail | None = None
        self.readers: list[dict[str, str]] = []

    def prepare(self, mail: Mail) -> _Notebook:
        self.mail = self.mail or mail
        return self

    def send(self, recipients: Sequence[Recipient]) -> BatchOutcome:
        assert self.mail
        for one in recipients:
            greeting = self.mail.greet(one.name)
            self.readers.append(
                {
                    "id": one.delivery_id,
                    "address": one.address,
                    "name": one.name,
                    "greeting": greeting,
                    "greeting_html": escape(greeting),
                    "link": one.unsubscribe_url,
                }
            )
        return BatchOutcome(Sent("noted"))


def take_sample(database: Path) -> dict[str, Any]:
    """{"mail": its words, with `tags` where a reader's values go; "readers": their values;
    "letter_bytes": size of a message through SMTP}.

    The words are those of the first variant; the others differ by the time zone only.
    """
    notebook = _Notebook()
    n = open_notifier(database, mail=notebook)
    declare(n)
    MailRun(n).run()
    n.db.close()
    assert notebook.mail
    return {
        "mail": _words(notebook.mail),
        "tags": _TAGS,
        "readers": notebook.readers,
        "letter_bytes": len(_compose(notebook.mail)),
    }


def _compose(mail: Mail) -> bytes:
    """A whole message as it goes through SMTP."""
    reader = Recipient("1-1", "reader1@example.com", "Reader", "https://status.example.com/u/1")
    return Template(mail, date=datetime.now(UTC)).letter(reader).content


def _words(mail: Mail) -> dict[str, str]:
    def put(text: str, kind: str) -> str:
        text = text.replace(GREETING, _TAGS[f"greeting_{kind}"])
        return text.replace(UNSUBSCRIBE, _TAGS[f"link_{kind}"])

    return {
        "from": mail.sender.address,
        "from_name": mail.sender.name,
        "subject": mail.subject,
        "text": put(mail.text, "text"),
        "html": put(mail.html, "html"),
    }
