"""Receipts: what providers tell about mail that they took moves the ledger.

They tell it late, several times and in any order. Each event counts once, and the ledger only
moves forward (`domain.delivery.RANK`), so whatever the order, it ends the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from notifier.domain.audience import address_key
from notifier.domain.delivery import State
from notifier.domain.receipt import SUPPRESSES, Fact, ProviderEvent, strongest
from notifier.ports import Notifier
from notifier.store import finishing, people, receipts, suppressions
from notifier.store.receipts import Line, Place
from notifier.store.suppressions import Suppression

#: How long an event waits for its mail to come into the ledger. We write the ledger before we
#: send, so only a database that shows it late makes an event wait.
WAIT = timedelta(hours=1)

#: How long an event is remembered, so that its repetition is known as one: no provider repeats
#: for longer than a day.
KEEP = timedelta(days=3)

_WAITING_AT_ONCE = 1_000
#: Few enough that a declaration need not wait for the write lock: 20 ms on SQLite.
_FORGOTTEN_AT_ONCE = 5_000


def receive(n: Notifier, source: str, events: Sequence[ProviderEvent]) -> int:
    """Remember what the channel `source` tells and move the ledger; how much of it was new."""
    if not events:
        return 0
    now = n.clock()
    with n.db.transaction() as connection:
        known = receipts.lock_lines(connection, (event.place for event in events))
        ours = [event for event in events if _may_be(event, known.get(event.place))]
        new = receipts.remember(connection, source, ours, known=known, now=now)
        told = [(source, e) for e in ours if e.id in new and e.place in known]
        _apply(connection, told, known, now)
    return len(new)


def apply_waiting(n: Notifier) -> int:
    """Move the ledger by what was told before its mail could be seen there; how many events."""
    now = n.clock()
    # Looked at first without the write lock: usually nothing waits.
    with n.db.read() as connection:
        if not receipts.waiting(connection, since=now - WAIT, limit=1):
            return 0
    with n.db.transaction() as connection:
        told = receipts.waiting(connection, since=now - WAIT, limit=_WAITING_AT_ONCE)
        known = receipts.lock_lines(connection, (event.place for _, event in told))
        _apply(connection, told, known, now)
        receipts.mark_applied(connection, told)
    return len(told)


def forget_old(n: Notifier) -> int:
    """Remove some of the events, and the suppressions, whose time is over; how many events."""
    now = n.clock()
    with n.db.transaction() as connection:
        suppressions.forget_expired(connection, now=now)
        return receipts.forget(connection, before=now - KEEP, limit=_FORGOTTEN_AT_ONCE)


def _may_be(event: ProviderEvent, line: Line | None) -> bool:
    """Whether an event can be about what our ledger has in its place.

    Installations that share a provider's account get each other's events, and their delivery
    ids are alike; the addresses are not.
    """
    if line is None or not event.address:
        return True
    return address_key(event.address) == address_key(line.address)


def _apply(
    connection: Connection,
    told: Sequence[tuple[str, ProviderEvent]],
    known: Mapping[Place, Line],
    now: datetime,
) -> None:
    moved = _move(connection, [event for _, event in told])
    suppressions.suppress(
        connection,
        [
            _suppression(source, event, known[event.place].address, now)
            for source, event in told
            if event.fact in SUPPRESSES
        ],
    )
    for customer_id in sorted(
        {known[e.place].customer_id for _, e in told if e.fact is Fact.UNSUBSCRIBED}
    ):
        people.unsubscribe(connection, customer_id, now=now)
    settled = {place[0] for place in moved if known[place].state == State.UNKNOWN}
    for dispatch_id in sorted(settled):
        finishing.refresh(connection, dispatch_id)


def _move(connection: Connection, events: Sequence[ProviderEvent]) -> list[Place]:
    """Move the lines that these events move forward; which they are."""
    facts: dict[Place, list[tuple[Fact, str]]] = {}
    for event in events:
        facts.setdefault(event.place, []).append((event.fact, event.detail))
    moves: dict[State, dict[Place, str]] = {}
    for place, told in facts.items():
        if found := strongest(told):
            state, detail = found
            moves.setdefault(state, {})[place] = detail
    return [
        place
        for state, details in moves.items()
        for place in receipts.move(connection, state, details)
    ]


def _suppression(source: str, event: ProviderEvent, address: str, now: datetime) -> Suppression:
    reason = SUPPRESSES[event.fact]
    return Suppression(
        address=address,
        reason=reason,
        detail=event.detail,
        source=source,
        created_at=now,
        # From when it happened, so that a repetition does not prolong it.
        until=reason.until(event.happened_at),
    )
