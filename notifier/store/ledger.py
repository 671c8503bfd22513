"""The ledger of mail: who got which words, when, and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, literal, select, tuple_, update

from notifier.domain.delivery import State
from notifier.domain.message import Mail, Sender
from notifier.store.batches import ClaimedBatch
from notifier.store.db import upsert
from notifier.store.schema import batches, customers, deliveries, dispatches, messages


def freeze(
    connection: Connection, *, dispatch_id: int, language: str, time_zone: str, mail: Mail
) -> None:
    """Keep the words of one variant. Who comes second keeps the words of who came first."""
    row = {
        "dispatch_id": dispatch_id,
        "language": language,
        "time_zone": time_zone,
        "mail": asdict(mail),
    }
    variant = ["dispatch_id", "language", "time_zone"]
    upsert(connection, messages, [row], key=variant, update=[])


def thaw(connection: Connection, dispatch_id: int) -> None:
    """Forget the words of a mail that has not begun to leave."""
    connection.execute(delete(messages).where(messages.c.dispatch_id == dispatch_id))


def frozen_mail(connection: Connection, message_id: int) -> Mail:
    """The words of one variant. Raises sqlalchemy.exc.NoResultFound."""
    stored = connection.scalars(select(messages.c.mail).where(messages.c.id == message_id)).one()
    return Mail(**{**stored, "sender": Sender(**stored["sender"])})


# Built once, because they run once per batch (see `fanout`). What they set is what they are
# executed with.

_IN_FLIGHT = [State.SENDING, State.UNKNOWN]

_SETTLE_BATCH = update(batches).where(
    batches.c.id == bindparam("batch"),
    batches.c.fence == bindparam("our_fence"),
    batches.c.state == bindparam("found"),
)

# Whom an event has moved on meanwhile stays there.
_MARK_READERS = update(deliveries).where(
    deliveries.c.dispatch_id == bindparam("dispatch"),
    deliveries.c.seq.between(bindparam("first"), bindparam("last")),
    deliveries.c.state.in_(_IN_FLIGHT),
)


def mark(
    connection: Connection,
    batch: ClaimedBatch,
    *,
    rest: tuple[State, str, str],
    each: Mapping[int, tuple[State, str, str]],
    retry_at: datetime | None,
    look_at: datetime | None,
    now: datetime,
) -> State | None:
    """Write what became of a batch; the state it was found in, None when its fence is old.

    A batch that was given up for unknown is found so, and its dispatch may be settled already.

    `rest` and `each` (by seq) are (state, reference, reason). With `retry_at`, the readers
    whose state is `planned` are tried again then; with `look_at`, those who are `unknown` are
    looked into then.
    """
    state, reference, reason = rest
    outcome = {
        "batch": batch.id,
        "our_fence": batch.fence,
        "state": State.PLANNED if retry_at else state,
        "reference": reference,
        "reason": reason,
        "due_at": retry_at or now,
        "lease_owner": None,
        "lease_until": None,
        "settled_at": None if retry_at else now,
    }
    if look_at:  # else it keeps the time of those who were unknown before
        outcome["look_at"] = look_at
    found = _settle_batch(connection, outcome)
    if found is None:
        return None
    told: dict[str, Any] = {"state": state, "reason": reason or None}
    if retry_at:
        # The next call will have a reference of its own, and the batch keeps the last one.
        told["reference"] = reference
    for first, last in _ranges(batch, each):
        place = {"dispatch": batch.dispatch_id, "first": first, "last": last}
        connection.execute(_MARK_READERS, place | told)
    for seq, (its_state, its_reference, its_reason) in each.items():
        connection.execute(
            _MARK_READERS,
            {
                "dispatch": batch.dispatch_id,
                "first": seq,
                "last": seq,
                "state": its_state,
                "reference": its_reference,
                "reason": its_reason or None,
            },
        )
    return found


def _settle_batch(connection: Connection, outcome: Mapping[str, Any]) -> State | None:
    for found in _IN_FLIGHT:
        if connection.execute(_SETTLE_BATCH, {**outcome, "found": found}).rowcount == 1:
            return found
    return None


def _ranges(batch: ClaimedBatch, each: Collection[int]) -> Iterator[tuple[int, int]]:
    """The ranges of `seq` in which there is nobody but the rest of this call.

    Of a batch that is retried, others stand in between who were not in this call.
    """
    if batch.attempt > 1:
        yield from ((seq, seq) for seq in batch.seqs if seq not in each)
        return
    (first, *_), (last, *_) = batch.readers[0], batch.readers[-1]
    for seq in sorted(each):
        if first < seq:
            yield first, seq - 1
        first = seq + 1
    if first <= last:
        yield first, last


def count_states(connection: Connection, dispatch_id: int) -> dict[State, int]:
    """How many readers of a dispatch are in which state."""
    query = (
        select(deliveries.c.state, func.count())
        .where(deliveries.c.dispatch_id == dispatch_id)
        .group_by(deliveries.c.state)
    )
    return {State(state): count for state, count in connection.execute(query)}


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One reader's line in the ledger. `external_id` is "" once the customer is erased."""

    dispatch_id: int
    seq: int
    external_id: str
    address: str
    channel: str
    state: State
    reference: str
    reason: str
    claimed_at: datetime
    settled_at: datetime | None


def list_deliveries(
    connection: Connection,
    incident_id: int,
    *,
    state: State | None,
    after: tuple[int, int],
    limit: int,
) -> list[DeliveryRow]:
    """A page of an incident's ledger, in order of (dispatch, seq), after that place."""
    query = (
        select(
            deliveries,
            customers.c.external_id,
            batches.c.channel,
            batches.c.reference.label("batch_reference"),
            batches.c.claimed_at,
            batches.c.settled_at,
        )
        .join(dispatches, dispatches.c.id == deliveries.c.dispatch_id)
        .outerjoin(customers, customers.c.id == deliveries.c.customer_id)
        .join(
            batches,
            (batches.c.dispatch_id == deliveries.c.dispatch_id)
            & deliveries.c.seq.between(batches.c.first_seq, batches.c.last_seq),
        )
        .where(
            dispatches.c.incident_id == incident_id,
            tuple_(deliveries.c.dispatch_id, deliveries.c.seq) > tuple_(*map(literal, after)),
        )
        .order_by(deliveries.c.dispatch_id, deliveries.c.seq)
        .limit(limit)
    )
    if state is not None:
        query = query.where(deliveries.c.state == state)
    return [_delivery(row) for row in connection.execute(query)]


def _delivery(row: Row[Any]) -> DeliveryRow:
    return DeliveryRow(
        dispatch_id=row.dispatch_id,
        seq=row.seq,
        external_id=row.external_id or "",
        address=row.address,
        channel=row.channel,
        state=State(row.state),
        reference=row.batch_reference if row.reference is None else row.reference,
        reason=row.reason or "",
        claimed_at=row.claimed_at,
        settled_at=row.settled_at,
    )
