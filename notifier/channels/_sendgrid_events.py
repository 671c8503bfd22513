"""SendGrid's Event Webhook: is it SendGrid that speaks, and what does it say of our mail.

Source: Twilio, "Event Webhook Reference" and "Getting Started with the Event Webhook Security
Features". The SDK's own helper wants text where the signature covers bytes, and looks at no time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from notifier.domain.receipt import (
    Fact,
    ProviderEvent,
    Unreadable,
    Untrusted,
    one_line,
    read_delivery_id,
)

#: The argument with which each mail leaves (`_sendgrid_body`) and which its events bring back.
DELIVERY_ID = "notifier_delivery_id"

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"

# SendGrid posts events again for 24 hours until they are taken, and does not say whether it signs
# each try anew. An hour more for clocks and queues. Within that time a repetition is known by its
# event's id, which is kept for longer (`services.receipts.KEEP`).
_OLDEST = timedelta(hours=25)
_AHEAD = timedelta(minutes=10)

_NO_KEY = (
    "Events are not taken, because nothing says who may send them: set events_public_key under"
    " [sendgrid] to the verification key that SendGrid shows under Settings, Mail Settings,"
    " Signed Event Webhook Requests."
)
_NOT_SIGNED = (
    "This is not signed by the account whose key is events_public_key under [sendgrid]: turn on"
    " Signed Event Webhook Requests, and copy the verification key again."
)

# The documented reasons for which SendGrid does not try an address. It does not try for others
# that are not the address's fault either: a quota, a header, what it takes for spam.
_OF_THE_ADDRESS = frozenset(
    {"bounced address", "unsubscribed address", "spam reporting address", "invalid"}
)


def read_public_key(text: str) -> ec.EllipticCurvePublicKey:
    """The key as SendGrid shows it: base64 of DER. Raises ValueError."""
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, UnsupportedAlgorithm):  # binascii.Error is a ValueError
        key = None
    if not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)):
        raise ValueError(
            "is not a verification key of SendGrid's Event Webhook, which begins with MFkwEwYH"
        )
    return key


class EventReader:
    """Reads what is posted to us in SendGrid's name."""

    def __init__(self, public_key: str) -> None:
        """`public_key` is "" when it is not known; then nothing is believed."""
        self._key = read_public_key(public_key) if public_key else None
        self.listens = bool(public_key)

    def read(
        self, headers: Mapping[str, str], body: bytes, *, now: datetime
    ) -> Sequence[ProviderEvent]:
        """The events in `body` that are about our mail. Raises Untrusted or Unreadable.

        Kinds that we do not know, and events of other programs' mail, are left out.
        """
        self._verify(headers.get(SIGNATURE, ""), headers.get(TIMESTAMP, ""), body, now)
        return list(_events(body, now))

    def _verify(self, signature: str, timestamp: str, body: bytes, now: datetime) -> None:
        if self._key is None:
            raise Untrusted(_NO_KEY)
        try:
            signed = base64.b64decode(signature, validate=True)
            self._key.verify(signed, timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, binascii.Error, ValueError):
            raise Untrusted(_NOT_SIGNED) from None
        at = _instant(timestamp)
        if at is None or not now - _OLDEST <= at <= now + _AHEAD:
            raise Untrusted("These events were signed more than a day ago, or our clock is wrong.")


def _events(body: bytes, now: datetime) -> Iterator[ProviderEvent]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise Unreadable("The body is not JSON.") from None
    if not isinstance(given, list):
        raise Unreadable("The body is not a JSON array of events.")
    for event in given:
        if isinstance(event, dict) and (read := _event(event, now)):
            yield read


def _event(event: Mapping[str, Any], now: datetime) -> ProviderEvent | None:
    place = read_delivery_id(event.get(DELIVERY_ID))
    tell = _KINDS.get(str(event.get("event")))
    if place is None or tell is None:
        return None
    fact = tell(event)
    # What a server answers to a mail that it takes helps nobody, and is another for each mail.
    told = "" if fact in (Fact.ACCEPTED, Fact.DELIVERED) else _text(event, "reason", "response")
    return ProviderEvent(
        id=_id(event),
        dispatch_id=place[0],
        seq=place[1],
        fact=fact,
        address=_text(event, "email"),
        detail=told,
        happened_at=min(_instant(event.get("timestamp")) or now, now),
    )


def _bounce(event: Mapping[str, Any]) -> Fact:
    return Fact.BLOCKED if event.get("type") == "blocked" else Fact.BOUNCED


def _dropped(event: Mapping[str, Any]) -> Fact:
    reason = _text(event, "reason").casefold()
    return Fact.DROPPED if reason in _OF_THE_ADDRESS else Fact.REJECTED


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], Fact]] = {
    "processed": lambda _: Fact.ACCEPTED,
    "deferred": lambda _: Fact.DELAYED,
    "delivered": lambda _: Fact.DELIVERED,
    "bounce": _bounce,
    "dropped": _dropped,
    "spamreport": lambda _: Fact.COMPLAINED,
    "unsubscribe": lambda _: Fact.UNSUBSCRIBED,
    "group_unsubscribe": lambda _: Fact.UNSUBSCRIBED,
}


def _id(event: Mapping[str, Any]) -> str:
    """SendGrid's own id, of at most 100 characters; else one that the same event has again."""
    given = event.get("sg_event_id")
    if isinstance(given, str) and given.isascii() and given.isprintable() and 0 < len(given) <= 100:
        return given
    whole = json.dumps(event, sort_keys=True).encode()
    return f"hash-{hashlib.blake2b(whole, digest_size=20).hexdigest()}"


def _text(event: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that is text."""
    return one_line(next((event[n] for n in names if isinstance(event.get(n), str)), ""))


def _instant(seconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(str(seconds)), UTC)
    except (ValueError, OverflowError, OSError):
        return None
