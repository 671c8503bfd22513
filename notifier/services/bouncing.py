"""Mail that came back to a return path of ours: matched by its signature, or ignored."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from enum import StrEnum

from notifier.domain.bounces import read_report
from notifier.domain.receipt import ProviderEvent, read_delivery_id
from notifier.domain.verp import read_verp
from notifier.ports import Notifier
from notifier.services import receipts
from notifier.settings import SettingsError

_log = logging.getLogger(__name__)

#: As a suppression names who said so.
SOURCE = "bounce"

_SHOWN = 5


class Taken(StrEnum):
    """What was done with a message. The value completes the sentence "This message …"."""

    RECORDED = "is recorded"
    REPEATED = "was recorded before"
    NO_REPORT = "reports nothing and is ignored"
    NOT_OURS = "is about no mail of ours and is ignored"


def take(n: Notifier, raw: bytes, *, recipient: str = "") -> Taken:
    """Record what the RFC 5322 message `raw`, sent to `recipient`, reports about our mail.

    Without `recipient`, its own fields say where it was sent to. Nothing is ever answered, and
    nothing is done on the word of a message whose return path we have not signed. Raises
    Unreadable when it is no message, SettingsError when there are no return paths.
    """
    if not n.bounce_address:
        raise SettingsError(
            "smtp.bounce_address is not set, so no mail has a return path by which a bounce"
            " could be matched: set it under [smtp]"
        )
    report = read_report(raw)
    addresses = [recipient, *report.recipients] if recipient else report.recipients
    place = _match(n, addresses)
    if place is None:
        _log.warning("a bounce is ignored, sent to no return path of ours: %s", _told(addresses))
        return Taken.NOT_OURS
    if report.fact is None:
        _log.info("a message to the return path of %s-%s reports nothing", *place)
        return Taken.NO_REPORT
    event = ProviderEvent(
        # Mail servers repeat a message of whose delivery they are not sure, byte by byte.
        id=hashlib.blake2b(raw, digest_size=20).hexdigest(),
        dispatch_id=place[0],
        seq=place[1],
        fact=report.fact,
        address="",
        detail=report.detail,
        happened_at=n.clock(),
    )
    return Taken.RECORDED if receipts.receive(n, SOURCE, [event]) else Taken.REPEATED


def _match(n: Notifier, addresses: Iterable[str]) -> tuple[int, int] | None:
    """(dispatch, seq) of the mail whose return path is among the addresses."""
    for address in addresses:
        if delivery_id := read_verp(address, n.bounce_address, n.settings.key()):
            return read_delivery_id(delivery_id)
    return None


def _told(addresses: Iterable[str]) -> str:
    return ", ".join([repr(address[:100]) for address in addresses][:_SHOWN]) or "nobody"
