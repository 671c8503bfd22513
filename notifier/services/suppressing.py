"""Addresses that get no mail: put one there by hand, or let it get mail again."""

from __future__ import annotations

from notifier.domain.audience import address, address_key
from notifier.domain.suppression import DETAIL_MAX, Reason
from notifier.domain.text import line
from notifier.ports import Notifier
from notifier.store import suppressions
from notifier.store.suppressions import Suppression


def suppress(n: Notifier, given: str, *, detail: str, by: str) -> Suppression:
    """Send no more mail to an address; how it stands then. Raises Invalid naming the field.

    One that gets none for ever already stays as it is.
    """
    now = n.clock()
    wanted = Suppression(
        address=address("address", given),
        reason=Reason.MANUAL,
        detail=line("detail", detail, limit=DETAIL_MAX) if detail.strip() else "",
        source=by,
        created_at=now,
        until=None,
    )
    with n.db.transaction() as connection:
        suppressions.suppress(connection, [wanted])
        return suppressions.find_suppression(connection, wanted.key, now=now) or wanted


def lift(n: Notifier, given: str) -> bool:
    """Let an address get mail again, from the next update on; False when it already did.

    Its provider may have a list of its own and go on refusing; then it comes back here.
    """
    with n.db.transaction() as connection:
        return suppressions.lift(connection, address_key(given.strip()))
