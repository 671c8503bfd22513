"""Addresses that get no mail: why, and for how long."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum


class Reason(StrEnum):
    """Why an address gets no mail."""

    BOUNCE = "bounce"
    BLOCKED = "blocked"
    DROPPED = "dropped"
    COMPLAINT = "complaint"
    MANUAL = "manual"

    def until(self, at: datetime) -> datetime | None:
        """Until when an address stays away that gave this reason at `at`; None: for ever."""
        return at + BLOCK_LASTS if self is Reason.BLOCKED else None


#: A block speaks of the sender or of the moment more often than of the address: a provider's
#: reputation, a full mailbox, a name server that is down. SendGrid itself goes on sending to
#: blocked addresses; we spare both sides the tries while a fault of some days lasts.
BLOCK_LASTS = timedelta(days=3)

DETAIL_MAX = 500
