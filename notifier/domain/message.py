"""What travels: one frozen mail per variant, and the few values that differ per recipient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# Slots stand in a rendered mail where a recipient's own value goes. They are private-use
# characters, which `domain.text` refuses in everything people write, so that no text can
# contain one by accident or on purpose.
GREETING = "\ue000greeting\ue001"
UNSUBSCRIBE = "\ue000unsubscribe\ue001"
SLOTS = (GREETING, UNSUBSCRIBE)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who a mail is from."""

    address: str
    name: str = ""
    reply_to: str = ""

    @property
    def domain(self) -> str:
        """The domain of the address, for Message-ID and List-Id."""
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Mail:
    """One variant of a mail (language, time zone, template), rendered once and then unchanged.

    `text` and `html` contain `SLOTS`; `subject` contains none, so it is the same for everybody.
    `greeting_named` holds "{name}" where the reader's name goes.
    `thread` is a stable id of the incident: mails of one incident form one thread (RFC 5322
    References).
    """

    subject: str
    text: str
    html: str
    language: str
    greeting_named: str
    greeting_plain: str
    sender: Sender
    thread: str

    def greet(self, name: str) -> str:
        """The greeting line for a reader, who may have no name."""
        return self.greeting_named.replace("{name}", name) if name else self.greeting_plain


class Recipient(NamedTuple):
    """One reader of a batch. `delivery_id` is our own id, unique for all time.

    A named tuple because one is made per mail: 0.3 µs against 0.9 µs for a frozen dataclass.
    """

    delivery_id: str
    address: str
    name: str
    unsubscribe_url: str
    #: Where a bounce of this very mail comes back to (`domain.verp`); "": the sender's address.
    return_path: str = ""
