"""Places in long lists, as links and programs carry them from one page to the next."""

from __future__ import annotations

import base64
from datetime import datetime

from notifier.domain.text import Invalid


def write_place(at: datetime, key: str) -> str:
    """The place behind the entry of this time and key."""
    place = f"{at.isoformat()} {key}".encode()
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


def read_place(cursor: str) -> tuple[datetime, str] | None:
    """(time, key) of the entry before; None for "", the beginning. Raises Invalid."""
    if not cursor:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        place = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        said, _, key = place.partition(" ")
        at = datetime.fromisoformat(said)
    except ValueError:  # as binascii.Error and UnicodeDecodeError are
        at, key = datetime.min, ""
    if at.tzinfo is None or not key.isprintable():
        raise Invalid("cursor", "is not one that this API gave: take next_cursor of the last page")
    return at, key
