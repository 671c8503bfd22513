"""Events as SendGrid posts them: signed by a key that is made here."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from itertools import count
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from notifier.channels._sendgrid_events import SIGNATURE, TIMESTAMP

_numbers = count(1)


def event(kind: str, delivery_id: str, **fields: Any) -> dict[str, Any]:
    """One event, with an id of its own."""
    return {
        "email": "",
        "timestamp": 1_700_000_000,
        "smtp-id": "<x@ismtpd-1>",
        "event": kind,
        "category": "notifier",
        "sg_event_id": f"event-{next(_numbers)}",
        "sg_message_id": "m.filter0001",
        "notifier_delivery_id": delivery_id,
        **fields,
    }


class EventSender:
    """An account with its key."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public_key(self) -> str:
        """As SendGrid shows it: base64 of DER."""
        public = self._key.public_key()
        raw = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(raw).decode()

    def body(self, *events: Any) -> bytes:
        """As SendGrid sends it, with a line end."""
        return json.dumps(list(events)).encode() + b"\r\n"

    def headers(self, body: bytes, at: datetime) -> dict[str, str]:
        """The signature of `body`, made at that time."""
        timestamp = str(int(at.timestamp()))
        signed = self._key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return {SIGNATURE: base64.b64encode(signed).decode(), TIMESTAMP: timestamp}
