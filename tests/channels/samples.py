"""Channels and messages for the tests of the channels."""

from __future__ import annotations

from notifier.channels import sendgrid, x
from notifier.domain.message import GREETING, UNSUBSCRIBE, Mail, Recipient, Sender

# Characters that change when encoded, so that a leak in either form is found.
X_KEYS = {
    "consumer_key": "ck/Visible+1=&",
    "consumer_secret": "cs/Visible+2=&",
    "access_token": "at/Visible+3=&",
    "access_token_secret": "as/Visible+4=&",
}
API_KEY = "SG.visible+key/5="
TEXT = "No heat in Northvale until about 16:00 (UTC+05:00). https://s.example/i/1 (INC-1, 14:32)"


def open_x(url: str, *, connect: float = 2.0, exchange: float = 2.0) -> x.X:
    """The X channel, talking to `url`."""
    values = X_KEYS | {"api_url": url, "connect_timeout": connect, "read_timeout": exchange}
    return x.build(x.Config.model_validate(values))


def open_sendgrid(url: str, *, connect: float = 2.0, exchange: float = 2.0) -> sendgrid.SendGrid:
    """The SendGrid channel, talking to `url`."""
    values = {"api_key": API_KEY, "api_url": url, "connect_timeout": connect, "timeout": exchange}
    return sendgrid.build(sendgrid.Config.model_validate(values))


def make_mail(**changes: str) -> Mail:
    """A mail with both slots in both parts."""
    values = {
        "subject": "No heat in Northvale until about 16:00",
        "text": f"{GREETING}\n\nNo heat.\n\nUnsubscribe: {UNSUBSCRIBE}\n",
        "html": f'<p>{GREETING}</p><p>No heat.</p><a href="{UNSUBSCRIBE}">Unsubscribe</a>',
        "language": "en",
        "greeting_named": "Dear {name} & family,",
        "greeting_plain": "Dear customer,",
        "thread": "inc-1",
    }
    sender = Sender("status@example.com", "Northvale Heat, Ltd.", "help@example.com")
    return Mail(**(values | changes), sender=sender)


def make_readers(count: int) -> list[Recipient]:
    """Readers, the first of whom has no name."""
    return [
        Recipient(
            delivery_id=f"d{i}",
            address=f"reader{i}@example.com",
            name=f"Reader {i}" if i else "",
            unsubscribe_url=f"https://status.example.com/u/{i}?k=a&l=b",
        )
        for i in range(count)
    ]
