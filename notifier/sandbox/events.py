"""What becomes of a mail that SendGrid accepted, as its Event Webhook tells it.

The address decides: by what stands before its @, or after the last plus sign there, in any
letter case. So `bounce@example.com` and `reader+bounce@example.com` bounce.

========== ==================================================================
bounce     processed, bounce (type "bounce": there is no such mailbox)
blocked    processed, bounce (type "blocked": refused this time)
dropped    dropped (SendGrid never tried, the address having bounced before)
complaint  processed, delivered, spamreport
deferred   processed, deferred, delivered
========== ==================================================================

Everybody else: processed, delivered.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_IP = "192.0.2.25"
#: The fields by which the kinds differ (SendGrid's Event Webhook Reference).
_OWN: Mapping[str, Mapping[str, Any]] = {
    "processed": {},
    "deferred": {"response": "450 4.2.1 try again later", "attempt": "1", "ip": _IP, "tls": 0},
    "delivered": {"response": "250 2.0.0 OK", "ip": _IP, "tls": 1},
    "bounce": {
        "reason": "550 5.1.1 The email account that you tried to reach does not exist.",
        "status": "5.1.1",
        "type": "bounce",
        "bounce_classification": "Invalid Address",
        "ip": _IP,
        "tls": 1,
    },
    "blocked": {
        "reason": "421 4.7.0 Try again later, the rate of mail from your address is unusual.",
        "status": "4.7.0",
        "type": "blocked",
        "bounce_classification": "Reputation",
        "ip": _IP,
        "tls": 1,
    },
    "dropped": {"reason": "Bounced Address", "status": "5.0.0"},
    "spamreport": {},
}
_USUAL = ("processed", "delivered")
_FATES: Mapping[str, Sequence[str]] = {
    "bounce": ("processed", "bounce"),
    "blocked": ("processed", "blocked"),
    "dropped": ("dropped",),
    "complaint": ("processed", "delivered", "spamreport"),
    "deferred": ("processed", "deferred", "delivered"),
}


def list_events(mail: Mapping[str, Any], message_id: str, now: int) -> Iterator[dict[str, Any]]:
    """The events of each recipient of `mail`, a request body that was accepted.

    `message_id` is the X-Message-Id it was answered with, `now` the unix time of the events.
    """
    number = 0
    for one in mail["personalizations"]:
        common = {
            # Arguments stand among the fields; one of the same name as a field is lost.
            **mail.get("custom_args", {}),
            **one.get("custom_args", {}),
            "timestamp": now,
            "smtp-id": f"<{message_id}@sandbox.notifier.invalid>",
            **_category(mail.get("categories")),
        }
        for role in ("to", "cc", "bcc"):
            for box in one.get(role, ()):
                number += 1
                yield from _list_own(common, box["email"], message_id, number)


def _list_own(
    common: Mapping[str, Any], address: str, message_id: str, number: int
) -> Iterator[dict[str, Any]]:
    word = address.rpartition("@")[0].rpartition("+")[2].lower()
    for kind in _FATES.get(word, _USUAL):
        yield {
            **common,
            **_OWN[kind],
            "email": address,
            "event": "bounce" if kind == "blocked" else kind,
            "sg_event_id": _make_id(f"{kind}-{number}-{message_id}"),
            "sg_message_id": f"{message_id}.recvd-sandbox-{number}.0",
        }


def _make_id(text: str) -> str:
    """SendGrid's are base64 of such texts too ("drop-10994919-LRzXl_NHStOGhQ4kofSm_A-0")."""
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _category(categories: Sequence[str] | None) -> dict[str, Any]:
    """One category comes as a string, several come as a list."""
    if not categories:
        return {}
    return {"category": categories[0] if len(categories) == 1 else list(categories)}
