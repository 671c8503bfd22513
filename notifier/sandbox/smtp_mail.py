"""Reads a mail as it came over SMTP, and refuses what a big provider refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import Message
from email.utils import getaddresses
from typing import Any

#: What stands in an address without quotes: letters of any script (whether they may is up to
#: SMTPUTF8), but no surrogates, which stand for bytes that were no UTF-8.
_ATOM = r"[^\s@.<>()\[\],;:\\\"\ud800-\udfff]"
ADDRESS = re.compile(rf"(?=.{{1,64}}@)(?:{_ATOM}+\.)*{_ATOM}+@(?:{_ATOM}+\.)+{_ATOM}+")
#: RFC 5322 §3.6: what must be there, and what may be there once. Gmail refuses a mail without
#: Message-ID or with repeated headers (550 5.7.1); many relays would repair it, silently.
_REQUIRED = ("From", "Date", "Message-ID")
_AT_MOST_ONCE = (*_REQUIRED, "Sender", "Reply-To", "To", "Cc", "Subject", "In-Reply-To")

_FOLD = re.compile(r"\r?\n(?=[ \t])")


class Unacceptable(ValueError):
    """The mail is refused; the message says why."""


@dataclass(frozen=True, slots=True)
class ReadMail:
    """`fields` are those of a log entry that are the same for all recipients."""

    fields: Mapping[str, Any]
    names: Mapping[str, str]


def read_mail(content: bytes) -> ReadMail:
    """Parse a mail. Raises Unacceptable."""
    try:
        return _read(message_from_bytes(content))
    except Unacceptable:
        raise
    except Exception as error:
        # The standard library's header parser fails in many ways on hostile input, among them
        # IndexError and AttributeError; a bad mail must not end the session.
        raise Unacceptable(f"The message cannot be parsed: {error}".splitlines()[0]) from None


def _read(message: Message) -> ReadMail:
    headers: dict[str, str] = {}
    for name, value in message.raw_items():
        text = _decode(name, value)
        headers[name] = f"{headers[name]}\n{text}" if name in headers else text
    _check(message)
    by_name = {name.lower(): text for name, text in headers.items()}
    fields = {
        "subject": by_name.get("subject"),
        "text": _part(message, "text/plain"),
        "html": _part(message, "text/html"),
        "headers": headers,
        "delivery_id": by_name.get("x-notifier-delivery-id"),
    }
    boxes = getaddresses([by_name.get("to", "")])
    return ReadMail(fields, {address.lower(): name for name, address in boxes if name})


def _decode(name: str, value: str) -> str:
    """A header as a reader sees it: unfolded, encoded words (RFC 2047) and raw UTF-8 decoded.

    The parser that knows all rules takes 0.1 ms a header, so it only sees those that need it.
    """
    text = _FOLD.sub("", value).encode("ascii", "surrogateescape").decode("utf-8", "replace")
    return str(policy.default.header_fetch_parse(name, text)) if "=?" in text else text


def _check(message: Message) -> None:
    for name in _REQUIRED:
        if name not in message:
            raise Unacceptable(f"The message has no {name} header (RFC 5322, 3.6)")
    for name in _AT_MOST_ONCE:
        if len(message.get_all(name, [])) > 1:
            raise Unacceptable(f"The message has more than one {name} header (RFC 5322, 3.6)")
    if message.defects:
        raise Unacceptable(f"The message is malformed: {type(message.defects[0]).__name__}")


def _part(message: Message, kind: str) -> str | None:
    """The first part of this kind that is not an attachment."""
    for part in message.walk():
        if part.get_content_type() == kind and part.get_content_disposition() != "attachment":
            content = part.get_payload(decode=True)
            text = bytes(content).decode(part.get_content_charset("ascii"), "replace")
            return text.replace("\r\n", "\n")  # line ends are the wire's, not the writer's
    return None
