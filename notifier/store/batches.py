"""What a claim of mail gives: the readers whom the claimant alone may mail now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from notifier.store.schema import deliveries

#: One row of a claimed batch: `seq`, `customer_id`, `address`, `name`. A plain tuple, because
#: SQLAlchemy's row around what the driver gives costs as much as marking it in the ledger.
Reader: TypeAlias = tuple[int, int, str, str]

READER = (
    deliveries.c.seq,
    deliveries.c.customer_id,
    deliveries.c.address,
    deliveries.c.name,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """Who claims, for which provider and how many readers, and until when nobody else may."""

    node: str
    channel: str
    size: int
    now: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """Readers of one variant whom we alone may mail now. `readers` are in order of `seq`."""

    id: int
    dispatch_id: int
    message_id: int
    channel: str
    attempt: int
    first_due: datetime
    fence: int
    lease_until: datetime
    readers: Sequence[Reader]

    @property
    def seqs(self) -> list[int]:
        """The readers' places in the ledger."""
        return [seq for seq, *_ in self.readers]


@dataclass(frozen=True, slots=True)
class Unrendered:
    """The next readers' variant has no frozen words yet; freeze them and claim again."""

    dispatch_id: int
    language: str
    time_zone: str
