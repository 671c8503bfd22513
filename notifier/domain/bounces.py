"""Mail that came back: what a mail server, or a reader's provider, reports about one of our mails.

Delivery status notifications (RFC 3464) say it in fields. Of older servers' letters flufl.bounce
knows dozens. Complaints come as feedback reports (RFC 5965).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses

from flufl.bounce import all_failures

from notifier.domain.receipt import Fact, Unreadable, one_line

# RFC 3463: the second number of a status says whose fault it is, 0 nobody's, 1 the address's.
# 5.1.7 and 5.1.8 are the sender's address. 5.2.1 is a mailbox that was closed; the other 5.2 are
# a full one and the like. What is left is the network's, or somebody's opinion of the sender:
# nobody should for ever go without our mail because our relay stood on a list for an hour.
_FOR_EVER = ("5.0.", "5.1.", "5.2.1")
_OF_THE_SENDER = ("5.1.7", "5.1.8")

#: The feedback types by which a reader complains; others praise, or speak of viruses and keys.
_COMPLAINTS = frozenset({"abuse", "fraud"})

# Bytes; enough to see whether there is a header at all.
_HEADER_MAX = 10_000

#: Where the address stands to which a report was sent: what the last server notes comes first.
_RECIPIENT_FIELDS = ("Delivered-To", "X-Original-To", "To")


@dataclass(frozen=True, slots=True)
class Report:
    """What a message reports.

    `fact` is None when it reports nothing: an out-of-office note, a mail to the wrong place.
    `recipients` are addresses it may have been sent to, one of which is a mail's return path.
    """

    fact: Fact | None
    detail: str
    recipients: tuple[str, ...]


def read_report(raw: bytes) -> Report:
    """What an RFC 5322 message reports. Raises Unreadable when it is no message."""
    if not BytesHeaderParser().parsebytes(raw[:_HEADER_MAX]).keys():
        raise Unreadable("This is not a mail: it has no header.")
    try:
        message = message_from_bytes(raw)
        fact, detail = _complaint(message) or _status(message) or _letter(message)
        return Report(fact, one_line(detail), tuple(_recipients(message)))
    except Exception as error:  # what a stranger has written meets what others guess about it
        return Report(None, f"cannot be read ({type(error).__name__})", ())


def _complaint(message: Message) -> tuple[Fact | None, str] | None:
    report = _feedback(message)
    if report is None:
        return None
    kind = str(report.get("Feedback-Type", "")).strip().lower()
    by = str(report.get("User-Agent", ""))
    return (Fact.COMPLAINED if kind in _COMPLAINTS else None), f"feedback: {kind} {by}"


def _feedback(message: Message) -> Message | None:
    """The fields of a feedback report."""
    for part in message.walk():
        if part.get_content_type() == "message/feedback-report" and part.is_multipart():
            return _blocks(part)[0]
    return None


def _status(message: Message) -> tuple[Fact | None, str] | None:
    """What the fields of a delivery status notification say; None when it is not one."""
    found = [
        _judge(block)
        for part in message.walk()
        if part.get_content_type() == "message/delivery-status" and part.is_multipart()
        for block in _blocks(part)
        if "Action" in block
    ]
    worst = {Fact.BOUNCED: 3, Fact.BLOCKED: 2, Fact.DELAYED: 1, None: 0}
    return max(found, key=lambda judged: worst[judged[0]], default=None)


def _judge(block: Message) -> tuple[Fact | None, str]:
    # Some servers write "failed (…)", OpenSMTPD "error".
    action = str(block["Action"]).strip().lower()
    status = str(block.get("Status", "")).split("(")[0].strip()
    detail = f"{status} {block.get('Diagnostic-Code', '')}"
    if action.startswith("delayed"):
        return Fact.DELAYED, detail
    if not action.startswith(("fail", "error")):
        return None, detail
    for_ever = status.startswith(_FOR_EVER) and not status.startswith(_OF_THE_SENDER)
    return (Fact.BOUNCED if for_ever or not status else Fact.BLOCKED), detail


def _letter(message: Message) -> tuple[Fact | None, str]:
    """What a server says that knows no fields."""
    temporary, permanent = all_failures(message)
    if permanent:
        return Fact.BOUNCED, str(message.get("Subject", ""))
    return (Fact.DELAYED if temporary else None), str(message.get("Subject", ""))


def _blocks(part: Message) -> list[Message]:
    blocks = part.get_payload()
    return [block for block in blocks if isinstance(block, Message)] if blocks else []


def _recipients(message: Message) -> Iterator[str]:
    fields = [str(value) for name in _RECIPIENT_FIELDS for value in message.get_all(name, ())]
    report = _feedback(message)
    if report is not None:
        # A complaint is sent to whoever registered for it; the mail's return path is told in it.
        fields.append(str(report.get("Original-Mail-From", "")))
    yield from (address for _name, address in getaddresses(fields) if address)
