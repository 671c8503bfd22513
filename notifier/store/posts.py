"""Posts on their way: claiming one, and writing down what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, case, select, update

from notifier.domain.delivery import State
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


# Built once, like those of store/incidents.py: they stand between the press and the post.
_NEXT_POST = (
    select(dispatches.c.id)
    .where(
        dispatches.c.lane == "post",
        dispatches.c.channel == bindparam("channel"),
        is_open(dispatches),
        dispatches.c.state == State.PLANNED,
        dispatches.c.due_at <= bindparam("now"),
        ~is_paused(),
    )
    .order_by(dispatches.c.priority.desc(), dispatches.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)

_CLAIM_POST = (
    update(dispatches)
    .where(dispatches.c.id == bindparam("post"))
    .values(
        state=State.SENDING,
        attempt=dispatches.c.attempt + 1,
        fence=dispatches.c.fence + 1,
        lease_owner=bindparam("node"),
        lease_until=bindparam("until"),
    )
    .returning(dispatches.c.text, dispatches.c.attempt, dispatches.c.first_due, dispatches.c.fence)
)


def find_due(connection: Connection, channel: str, *, now: datetime) -> int | None:
    """The post of this channel that should leave first, which nobody else takes until we commit.

    None when none is due.
    """
    return connection.scalars(_NEXT_POST, {"channel": channel, "now": now}).one_or_none()


def claim_post(
    connection: Connection, dispatch_id: int, *, node: str, lease_until: datetime
) -> ClaimedPost:
    """Take the post that was found to be due."""
    taken = {"post": dispatch_id, "node": node, "until": lease_until}
    row = connection.execute(_CLAIM_POST, taken).one()
    return ClaimedPost(dispatch_id, row.text, row.attempt, row.first_due, row.fence, lease_until)


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
