"""Links that stop the mail to one customer (RFC 8058): signed, and needing no sign-in.

The link carries the customer's number and 128 bits of HMAC-SHA256 over it. It is made for every
mail of a fan-out, so it costs about a microsecond and no row in the database.
"""

from __future__ import annotations

import base64
import hmac

from notifier.ports import Notifier
from notifier.store import people

_PURPOSE = b"notifier/unsubscribe/1:"
_MAC_BYTES = 16


def unsubscribe_url(n: Notifier, customer_id: int) -> str:
    """The address that a mail's List-Unsubscribe header and its last line show."""
    return f"{n.settings.base_url}/u/{_token(n.settings.key(), customer_id)}"


def customer_of(n: Notifier, token: str) -> int | None:
    """The customer a link is for, or None when it is not one of ours."""
    number, _, _mac = token.partition("-")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    expected = _token(n.settings.key(), int(number))
    return int(number) if hmac.compare_digest(expected.encode(), token.encode()) else None


def unsubscribe(n: Notifier, token: str) -> str | None:
    """Stop the mail; the address it went to, or None for a link that is not ours.

    Doing it twice is doing it once.
    """
    customer_id = customer_of(n, token)
    if customer_id is None:
        return None
    with n.db.transaction() as connection:
        return people.unsubscribe(connection, customer_id, now=n.clock())


def _token(key: bytes, customer_id: int) -> str:
    mac = hmac.digest(key, _PURPOSE + b"%d" % customer_id, "sha256")[:_MAC_BYTES]
    return f"{customer_id}-{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
