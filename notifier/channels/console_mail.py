"""The terminal as a private channel: shows mails instead of sending them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TextIO

from notifier.channels._console import show
from notifier.domain.delivery import BatchOutcome, Sent
from notifier.domain.health import Rate
from notifier.domain.message import GREETING, UNSUBSCRIBE, Mail, Recipient
from notifier.settings import Table

NAME = "console_mail"
KIND: Literal["mail"] = "mail"


class Config(Table):
    """`[console_mail]`: there is nothing to set."""


def build(_config: Config, stream: TextIO | None = None) -> ConsoleMail:
    """The channel; it writes to `stream`, or to standard error."""
    return ConsoleMail(stream)


class ConsoleMail:
    """Mails that nobody but the operator sees."""

    name = NAME
    batch_size = 100
    rate: Rate | None = None

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def prepare(self, mail: Mail) -> PreparedMail:
        """The mail, ready to be shown."""
        return PreparedMail(mail, self._stream)


class PreparedMail:
    """A mail of which only the readers are missing."""

    def __init__(self, mail: Mail, stream: TextIO | None) -> None:
        self._mail, self._stream = mail, stream

    def send(self, recipients: Sequence[Recipient]) -> BatchOutcome:
        """Show the plain text as each reader would get it. Never raises."""
        outcomes = [show(self._lay_out(reader), self._stream) for reader in recipients]
        return BatchOutcome(Sent(""), dict(enumerate(outcomes)))

    def _lay_out(self, reader: Recipient) -> str:
        mail = self._mail
        text = mail.text.replace(GREETING, mail.greet(reader.name))
        text = text.replace(UNSUBSCRIBE, reader.unsubscribe_url)
        to = f"{reader.name} <{reader.address}>" if reader.name else reader.address
        return f"--- mail ---\nTo: {to}\nSubject: {mail.subject}\n\n{text}\n"
