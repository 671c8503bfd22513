"""Claims whose claimant is gone: what was in flight is unknown."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, update

from notifier.domain.delivery import State
from notifier.store.nodes import lost_owner
from notifier.store.schema import batches, deliveries, dispatches, is_open

_REASON = "the sender stopped before the answer came"


def give_up(
    connection: Connection,
    *,
    now: datetime,
    node: str,
    alone: bool,
    look_at_mail: datetime | None,
) -> tuple[int, int]:
    """Turn what was in flight when its claimant died into `unknown`; (posts, batches).

    A claim is lost as `nodes.lost_owner` says it; and where `node` is `alone` with this
    database, when it is anybody else's. Posts are looked into at once, mail at `look_at_mail`
    (None: only an operator can settle it).
    """

    def is_lost(table: Table) -> ColumnElement[bool]:
        owner = table.c.lease_owner
        gone = owner != node if alone else lost_owner(connection, table, node=node, now=now)
        return owner.is_not(None) & gone

    def in_flight(table: Table) -> list[ColumnElement[bool]]:
        return [is_open(table), table.c.state == State.SENDING, is_lost(table)]

    # Who died while they looked into an unknown post leaves it to the next who looks.
    connection.execute(
        update(dispatches)
        .where(dispatches.c.look_at.is_not(None), is_lost(dispatches))
        .values(look_at=now, lease_owner=None, lease_until=None)
    )
    lost_posts = update(dispatches).where(*in_flight(dispatches))
    posts = connection.execute(lost_posts.values(_gone(now) | {"look_at": now})).rowcount
    lost_batches = update(batches).where(*in_flight(batches))
    found = connection.execute(
        lost_batches.values(_gone(now) | {"look_at": look_at_mail}).returning(
            batches.c.dispatch_id, batches.c.first_seq, batches.c.last_seq
        )
    ).all()
    for dispatch_id, first, last in found:
        connection.execute(
            update(deliveries)
            .where(
                deliveries.c.dispatch_id == dispatch_id,
                deliveries.c.seq.between(first, last),
                deliveries.c.state == State.SENDING,
            )
            .values(state=State.UNKNOWN, reason=_REASON)
        )
    return posts, len(found)


def _gone(now: datetime) -> dict[str, object]:
    return {
        "state": State.UNKNOWN,
        "settled_at": now,
        "lease_owner": None,
        "lease_until": None,
        "reason": _REASON,
    }
