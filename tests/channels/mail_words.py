"""Mails whose words are anything at all, and what has to be read from them on arrival."""

from __future__ import annotations

from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses
from html import escape

from hypothesis import strategies as st

from notifier.domain.message import GREETING, SLOTS, UNSUBSCRIBE, Mail, Recipient, Sender

#: The headers of every mail, in order.
HEADERS = [
    "To",
    "Message-ID",
    "X-Notifier-Delivery-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "From",
    "Reply-To",
    "Subject",
    "Date",
    "In-Reply-To",
    "References",
    "List-Id",
    "Auto-Submitted",
    "MIME-Version",
    "Content-Type",
]

# Lone surrogates cannot be encoded, and the slots' own characters cannot come from people
# (`notifier.domain.message`). Everything else may stand in a body, dots at the start included.
_body_characters = st.characters(exclude_categories=["Cs"], exclude_characters="\ue000\ue001")
_words = st.text(_body_characters, max_size=120)
_lines = st.sampled_from(["\n", "\r\n", "\r", ".", "\n.", "\n..", "=", " \n", "\t\n", "\t"])
_full_lines = st.integers(72, 77).map("x".__mul__)  # about as long as a line may be
_pieces = st.one_of(_words, _lines, _full_lines, st.sampled_from(SLOTS))
bodies = st.lists(_pieces, max_size=12).map("".join)

# Headers cannot hold control characters, and a parser reads white space as single spaces.
_header_characters = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])
_header_pieces = st.sampled_from(["=?utf-8?q?a?=", "=?", "?=", " ", '"', "\\", ",", "<a@b.c>", "é"])
header_words = st.one_of(
    st.text(_header_characters, max_size=150), st.lists(_header_pieces, max_size=20).map("".join)
).map(lambda words: " ".join(words.split()))
greetings = st.lists(st.one_of(_words, _lines, _full_lines), max_size=4).map("".join)
tokens = st.text("abcXYZ0189-_", min_size=1, max_size=40)
urls = st.text("abcXYZ0189-_.~/?=&%+", max_size=300).map("https://example.com/u/".__add__)


def make_mail(**changes: object) -> Mail:
    values: dict[str, object] = {
        "subject": "No water in the north",
        "text": f"{GREETING}\n\nNo water.\n\nUnsubscribe: {UNSUBSCRIBE}\n",
        "html": f'<p>{GREETING}</p><p>No water.</p><a href="{UNSUBSCRIBE}">Unsubscribe</a>\n',
        "language": "en",
        "greeting_named": "Dear {name},",
        "greeting_plain": "Hello,",
        "sender": Sender("status@example.com", "Aqua Status", "help@example.com"),
        "thread": "incident-7",
    }
    return Mail(**{**values, **changes})  # type: ignore[arg-type]


def make_recipient(**changes: str) -> Recipient:
    values = {
        "delivery_id": "d-1",
        "address": "ali@example.org",
        "name": "Ali Khan",
        "unsubscribe_url": "https://status.example.com/u/abc",
    }
    return Recipient(**{**values, **changes})


def plain_breaks(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def spliced(body: str, mail: Mail, recipient: Recipient, *, html: bool) -> str:
    quote = escape if html else str
    greeting = plain_breaks(quote(mail.greet(recipient.name)))
    filled = plain_breaks(body).replace(GREETING, greeting)
    return filled.replace(UNSUBSCRIBE, quote(recipient.unsubscribe_url))


def bodies_of(message: EmailMessage) -> tuple[str, str]:
    plain, html = message.iter_parts()
    assert plain.get_content_type() == "text/plain"
    assert html.get_content_type() == "text/html"
    return plain_breaks(plain.get_content()), plain_breaks(html.get_content())


def mailboxes(header: str) -> list[tuple[str, str]]:
    """Names and addresses, by the older functions of the email package.

    The newer ones put a space between two RFC 2047 words of one name (cpython issue 128110).
    """
    return [(str(make_header(decode_header(n))), a) for n, a in getaddresses([header])]
