"""Posts on their way: claiming one, and writing down what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, exists, select, update

from notifier.domain.delivery import State
from notifier.store.metadata import Instant
from notifier.store.schema import dispatches, is_open
from notifier.store.site import is_paused


@dataclass(frozen=True, slots=True)
class ClaimedPost:
    """A post that we alone may send now, or look into: with `is_unknown`, it may be out."""

    id: int
    text: str
    attempt: int
    first_due: datetime
    fence: int
    lease_until: datetime
    is_unknown: bool = False


_older = dispatches.alias("older")

# Another node may be making its call; ours could be faster, and the older words be read last.
_IS_BEHIND_OLDER = exists().where(
    _older.c.incident_id == dispatches.c.incident_id,
    _older.c.channel == dispatches.c.channel,
    _older.c.id < dispatches.c.id,
    _older.c.state == State.SENDING,
)

# Built once, like those of store/incidents.py: they stand between the press and the post.
_NEXT_POST: Select[int] = (
    select(dispatches.c.id)
    .where(
        dispatches.c.lane == "post",
        dispatches.c.channel == bindparam("to_channel"),
        is_open(dispatches),
        dispatches.c.state == State.PLANNED,
        dispatches.c.due_at <= bindparam("now", type_=Instant),
        ~is_paused(),
        ~_IS_BEHIND_OLDER,
    )
    .order_by(dispatches.c.priority.desc(), dispatches.c.id)
    .limit(1)
    .correlate(None)  # with the UPDATE of the same table around it
)

_CLAIM_POST = (
    update(dispatches)
    .where(dispatches.c.id == _NEXT_POST.with_for_update(skip_locked=True).scalar_subquery())
    .values(
        state=State.SENDING,
        attempt=dispatches.c.attempt + 1,
        fence=dispatches.c.fence + 1,
        lease_owner=bindparam("node"),
        lease_until=bindparam("until"),
    )
    .returning(
        dispatches.c.id,
        dispatches.c.text,
        dispatches.c.attempt,
        dispatches.c.first_due,
        dispatches.c.fence,
    )
)


def find_due(connection: Connection, channel: str, *, now: datetime) -> int | None:
    """The post of this channel that should leave first; None when none is due.

    One waits for its time, for the end of a pause, and for an older one of its incident that is in
    flight.
    """
    return connection.scalars(_NEXT_POST, {"to_channel": channel, "now": now}).one_or_none()


def claim_post(
    connection: Connection, channel: str, *, node: str, now: datetime, until: datetime
) -> ClaimedPost | None:
    """Take the post that `find_due` finds; None when others have taken all of them."""
    taken = {"to_channel": channel, "node": node, "now": now, "until": until}
    row = connection.execute(_CLAIM_POST, taken).one_or_none()
    if row is None:
        return None
    return ClaimedPost(row.id, row.text, row.attempt, row.first_due, row.fence, until)


def channels_in_flight(connection: Connection, incident_id: int) -> set[str]:
    """The channels on which a post of this incident is being sent."""
    flying = select(dispatches.c.channel).where(
        dispatches.c.incident_id == incident_id,
        dispatches.c.lane == "post",
        dispatches.c.state == State.SENDING,
    )
    return set(connection.scalars(flying))


_NEXT_UNKNOWN = (
    select(dispatches.c.id)
    .where(
        dispatches.c.channel == bindparam("channel"),
        dispatches.c.look_at.is_not(None),
        dispatches.c.look_at <= bindparam("now"),
        dispatches.c.state == State.UNKNOWN,
        ~is_paused(),
    )
    .order_by(dispatches.c.look_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)


def claim_unknown(
    connection: Connection, channel: str, *, node: str, now: datetime, until: datetime
) -> ClaimedPost | None:
    """Take the unknown post of this channel that should be looked into first.

    It stays unknown. Who takes it again after `until`, or because `node` died, has a newer fence.
    """
    dispatch_id = connection.scalars(_NEXT_UNKNOWN, {"channel": channel, "now": now}).one_or_none()
    if dispatch_id is None:
        return None
    row = connection.execute(
        update(dispatches)
        .where(dispatches.c.id == dispatch_id)
        .values(fence=dispatches.c.fence + 1, look_at=until, lease_owner=node, lease_until=until)
        .returning(
            dispatches.c.text, dispatches.c.attempt, dispatches.c.first_due, dispatches.c.fence
        )
    ).one()
    return ClaimedPost(
        dispatch_id, row.text, row.attempt, row.first_due, row.fence, until, is_unknown=True
    )


def settle_post(
    connection: Connection,
    post: ClaimedPost,
    *,
    state: State,
    reference: str,
    reason: str,
    due_at: datetime,
    look_at: datetime | None,
    now: datetime,
) -> bool:
    """Write what became of a claimed post; False when somebody else has taken it since.

    A post whose lease ran out meanwhile is `unknown`; the late answer is the truth and wins.
    What should be tried again is superseded instead where a newer update was published since:
    nothing older is posted after something newer. `look_at` is when an unknown post is looked
    into.
    """
    stands: Any = state
    if state is State.PLANNED:
        stands = case((dispatches.c.replaced, State.SUPERSEDED.value), else_=State.PLANNED.value)
    result = connection.execute(
        update(dispatches)
        .where(
            dispatches.c.id == post.id,
            dispatches.c.fence == post.fence,
            dispatches.c.state.in_([State.SENDING, State.UNKNOWN]),
        )
        .values(
            state=stands,
            reference=reference,
            reason=reason,
            due_at=due_at,
            look_at=look_at,
            lease_owner=None,
            lease_until=None,
            settled_at=None if state is State.PLANNED else now,
        )
    )
    return result.rowcount == 1
