"""Reads a mail as it came over SMTP, and refuses what a big provider refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
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
        message = message_from_bytes(content, policy=policy.default)
        return _read(message)
    except Unacceptable:
        raise
    except Exception as error:
        # The standard library's header parser fails in many ways on hostile input, among them
        # IndexError and AttributeError; a bad mail must not end the session.
        raise Unacceptable(f"The message cannot be parsed: {error}".splitlines()[0]) from None


def _read(message: EmailMessage) -> ReadMail:
    _check_headers(message)
    headers: dict[str, str] = {}
    for name, value in message.items():
        headers[name] = f"{headers[name]}\n{value}" if name in headers else str(value)
    subject = message["Subject"]
    fields = {
        "subject": None if subject is None else str(subject),
        "text": _part(message, "plain"),
        "html": _part(message, "html"),
        "headers": headers,
        "delivery_id": message["X-Notifier-Delivery-Id"],
    }
    boxes = getaddresses([str(value) for value in message.get_all("To", [])])
    return ReadMail(fields, {address.lower(): name for name, address in boxes if name})


def _check_headers(message: EmailMessage) -> None:
    for name in _REQUIRED:
        if name not in message:
            raise Unacceptable(f"The message has no {name} header (RFC 5322 section 3.6)")
    for name in _AT_MOST_ONCE:
        if len(message.get_all(name, [])) > 1:
            raise Unacceptable(
                f"The message has more than one {name} header (RFC 5322 section 3.6)"
            )
    if message.defects:
        raise Unacceptable(f"The message is malformed: {type(message.defects[0]).__name__}")


def _part(message: EmailMessage, subtype: str) -> str | None:
    body = message.get_body((subtype,))
    if body is None:
        return None
    content: str = body.get_content()
    return content.replace("\r\n", "\n")  # line ends are the wire's, not the writer's
