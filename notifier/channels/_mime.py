"""The message on the wire: encoded once per mail, cut at its slots, joined once per reader.

Building a message of 20 KB with the email package takes about 1.7 ms, joining ready pieces a few
microseconds, and building it was nearly the whole cost of a fan-out. Two properties keep the
joining safe:

- Every piece and every spliced value begins at the start of a line and, unless its text ends
  there, closes with a soft line break (RFC 2045 section 6.7). So no spliced line grows beyond
  76 columns, and dots can be doubled (RFC 5321 section 4.5.2) piece by piece.
- "=_" never occurs in quoted-printable text, so the boundary cannot occur in a body.

The headers are folded here, because the email package folds subjects with spaces lost or added in
some releases of Python (python/cpython issues 92081 and 120930), and folds a long link into
RFC 2047 words, which no mail program reads as a link.
"""

from __future__ import annotations

import re
from binascii import b2a_qp
from dataclasses import dataclass
from datetime import datetime
from email.charset import Charset
from email.utils import format_datetime, quote
from html import escape
from itertools import repeat

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from notifier.domain.message import GREETING, SLOTS, UNSUBSCRIBE, Mail, Recipient

_BOUNDARY = "=_notifier"
_PART = (
    f"--{_BOUNDARY}\r\n"
    'Content-Type: text/%s; charset="utf-8"\r\n'
    "Content-Transfer-Encoding: quoted-printable\r\n"
    "\r\n"
)
_END = f"\r\n--{_BOUNDARY}--\r\n.\r\n"

_SLOT = re.compile("(" + "|".join(map(re.escape, SLOTS)) + ")")
# b2a_qp encodes white space before a line break without looking at the room that is left, so
# that a line can reach 77 columns. A soft break right behind the white space keeps it as well.
_LOOSE_END = re.compile(r"(?<=[ \t])(?=\n)")
_UTF8 = Charset("utf-8")

# A line break ends a header and starts the next one; parsers of mail take more characters for
# line breaks than CR and LF. None of these belongs into a name or a subject.
_NOT_IN_HEADERS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# What our own ids consist of, and what can stand between < and > without quoting. The lengths
# keep the header lines that hold them under 998 characters (RFC 5322 section 2.1.1).
_ID = re.compile(r"[A-Za-z0-9_.=+-]{1,200}")
_URL = re.compile(r"[!-;=?-~]{1,900}")
# Deliberately narrow: whatever else is a legal address goes through email_validator.
_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}")
_PLAIN_NAME = re.compile(r"(?=.{1,60}$)[A-Za-z0-9]+(?: [A-Za-z0-9]+)*")


class Unsendable(ValueError):
    """A mail or a reader that no message can be made for. The text is one sentence saying why."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One reader's message. `content` has its dots doubled and ends with the line "."."""

    sender: bytes
    address: bytes
    content: bytes
    #: The address has letters outside ASCII before the @, which takes SMTPUTF8 (RFC 6531).
    utf8: bool


class Template:
    """One mail, encoded for all its readers."""

    def __init__(self, mail: Mail, *, date: datetime) -> None:
        """Encode `mail`; raises Unsendable where its subject or sender cannot stand in a header."""
        self._mail = mail
        self._sender = _ascii_sender(mail.sender.address)
        self._domain = self._sender.rpartition("@")[2]
        self._pieces: list[bytes] = [b"", self._shared_headers(date)]
        #: Where a reader's own value goes: its place among the pieces, its slot, in the HTML?
        self._holes: list[tuple[int, str, bool]] = []
        self._add_body(mail.text, html=False)
        self._pieces.append(b"\r\n" + (_PART % "html").encode())
        self._add_body(mail.html, html=True)
        self._pieces.append(_END.encode())

    def letter(self, recipient: Recipient) -> Letter:
        """The message to one reader; raises Unsendable where there can be none."""
        address, utf8 = _envelope_address(recipient.address)
        pieces = self._pieces.copy()
        pieces[0] = self._own_headers(recipient, address)
        values = {
            GREETING: _in_text_and_html(self._mail.greet(recipient.name)),
            UNSUBSCRIBE: _in_text_and_html(recipient.unsubscribe_url),
        }
        for place, slot, html in self._holes:
            pieces[place] = values[slot][html]
        sender = self._envelope_sender(recipient)
        return Letter(sender.encode(), address.encode(), b"".join(pieces), utf8)

    def _envelope_sender(self, recipient: Recipient) -> str:
        path = recipient.return_path
        if not path:
            return self._sender
        if not _PLAIN_ADDRESS.fullmatch(path):
            raise Unsendable(f"bounces cannot come back to {path!r}: it is no plain address")
        return path

    def _own_headers(self, recipient: Recipient, address: str) -> bytes:
        identity, url = recipient.delivery_id, recipient.unsubscribe_url
        if not _ID.fullmatch(identity):
            raise Unsendable(f"the delivery id {identity!r} cannot stand in a header")
        if not _URL.fullmatch(url):
            raise Unsendable("the unsubscribe address is missing, too long or not a URL")
        return (
            f"To: {_mailbox(recipient.name, address, whose='reader')}\r\n"
            f"Message-ID: <{identity}@{self._domain}>\r\n"
            f"X-Notifier-Delivery-Id: {identity}\r\n"
            # One line however long: a link cannot be cut, and some parsers keep the white space
            # of a fold in front of it.
            f"List-Unsubscribe: <{url}>\r\n"
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        ).encode()

    def _shared_headers(self, date: datetime) -> bytes:
        mail, sender = self._mail, self._mail.sender
        if not _ID.fullmatch(mail.thread):
            raise Unsendable(f"the thread id {mail.thread!r} cannot stand in a header")
        reply_to = f"Reply-To: {_ascii_sender(sender.reply_to)}\r\n" if sender.reply_to else ""
        thread = f"<{mail.thread}@{self._domain}>"
        return (
            f"From: {_mailbox(sender.name, self._sender, whose='sender')}\r\n"
            f"{reply_to}"
            f"Subject: {_unstructured(_words(mail.subject, 'subject'))}\r\n"
            f"Date: {format_datetime(date)}\r\n"
            f"In-Reply-To: {thread}\r\n"
            f"References: {thread}\r\n"
            f"List-Id: <incidents.{self._domain}>\r\n"
            "Auto-Submitted: auto-generated\r\n"
            "MIME-Version: 1.0\r\n"
            f'Content-Type: multipart/alternative; boundary="{_BOUNDARY}"\r\n'
            "\r\n"
            f"{_PART % 'plain'}"
        ).encode()

    def _add_body(self, text: str, *, html: bool) -> None:
        *before, last = _SLOT.split(text)
        for part in before:
            if part in SLOTS:
                self._holes.append((len(self._pieces), part, html))
            self._pieces.append(_breakable(part))
        *before, last = _LOOSE_END.split(_with_plain_breaks(last))
        self._pieces.extend(map(_breakable, before))
        self._pieces.append(_stuff(b2a_qp(_utf8(last))))


def _in_text_and_html(value: str) -> tuple[bytes, bytes]:
    """A reader's own value, encoded for either part; most need no escaping, and one encoding."""
    encoded, escaped = _breakable(value), escape(value)
    return encoded, encoded if escaped == value else _breakable(escaped)


def _breakable(text: str) -> bytes:
    """Quoted-printable lines that other text may follow: it will start on a line of its own."""
    lines = _with_plain_breaks(text)
    if "\n" not in lines:  # nearly every value, thousands of times a second
        return _stuff(_with_soft_end(lines))
    return _stuff(b"".join(map(_with_soft_end, _LOOSE_END.split(lines))))


def _with_soft_end(text: str) -> bytes:
    # b2a_qp leaves room for a soft break only before a character of the same line, and encodes
    # a final space: so a character follows while it works, and is taken off again.
    encoded = b2a_qp(_utf8(text) + b"x")[:-1]
    return encoded if not encoded or encoded.endswith(b"\n") else encoded + b"=\n"


def _with_plain_breaks(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Unsendable("the text has half a character in it (a lone surrogate)") from None


def _stuff(lines: bytes) -> bytes:
    """The lines as they are sent: ended by CR LF, and a leading dot doubled."""
    if lines.startswith(b"."):
        lines = b"." + lines
    return lines.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")


def _words(text: str, what: str) -> str:
    """`text` as header words: parsers read a run of white space as one space, so it is one."""
    if _NOT_IN_HEADERS.search(text):
        raise Unsendable(f"the {what} has a line break or another control character in it")
    return " ".join(text.split())


def _mailbox(name: str, address: str, *, whose: str) -> str:
    """`name <address>` for a header, in lines of less than 78 columns where that can be."""
    phrase = _phrase(_words(name, f"{whose}'s name"))
    fold = "\r\n" if len(phrase) + len(address) > 68 else ""
    return f"{phrase}{fold} <{address}>" if phrase else address


def _phrase(words: str) -> str:
    """A display name: as it is, between quotes, or encoded."""
    if not words or _PLAIN_NAME.fullmatch(words):
        return words
    return f'"{quote(words)}"' if _can_stay(words) else _encode_words(words)


def _unstructured(words: str) -> str:
    return words if _can_stay(words) else _encode_words(words)


def _can_stay(words: str) -> bool:
    return words.isascii() and len(words) <= 60 and "=?" not in words


def _encode_words(words: str) -> str:
    """RFC 2047 words, each on a line of its own and short enough for one (section 2)."""
    word = _UTF8.header_encode(words)
    if len(word) <= 65:
        return word
    lines = _UTF8.header_encode_lines(words, repeat(65))  # ten times slower
    return "\r\n ".join(filter(None, lines))


def _envelope_address(address: str) -> tuple[str, bool]:
    """The address as MAIL and RCPT take it, and whether that takes SMTPUTF8."""
    if _PLAIN_ADDRESS.fullmatch(address):
        return address, False
    checked = _validate(address)
    if checked.ascii_email:
        return checked.ascii_email, False
    return f"{checked.local_part}@{checked.ascii_domain}", True


def _ascii_sender(address: str) -> str:
    plain = _validate(address).ascii_email
    if plain is None:
        raise Unsendable(f"the sender's address {address!r} has letters outside ASCII before the @")
    return plain


def _validate(address: str) -> ValidatedEmail:
    try:
        # Relays inside a company know domains such as "status.internal".
        return validate_email(address, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        raise Unsendable(f"{address!r} is not an address mail can go to: {error}") from None
