"""What has to be looked after from time to time, besides what is due."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from notifier.ports import Notifier
from notifier.services import correlating, health, leases, pausing, receipts

#: Each is short, and may be done by any number of nodes at the same time.
_TASKS: Sequence[Callable[[Notifier], object]] = (
    health.balance,
    receipts.apply_waiting,
    receipts.forget_old,
    correlating.look_for_silence,
)


def look_after(n: Notifier, mark: Path | None) -> None:
    """Take over from who died, weigh the providers, and let late events and old rows go.

    `mark` is the file by which a restored database is known (see `pausing`).
    """
    leases.recover(n, alone=False)
    for task in _TASKS:
        task(n)
    pausing.keep_mark(n, mark)
