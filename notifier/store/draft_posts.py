"""When drafts become incidents: which ones an incident takes along, and what posts itself."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, func, or_, select, update

from notifier.domain.alerting import AUTOMATON, HOLD, DraftState
from notifier.store.drafts import Draft
from notifier.store.schema import incident_components, updates
from notifier.store.schema_alerts import drafts

_ADOPT = (
    update(drafts)
    .where(
        drafts.c.state == DraftState.WAITING,
        or_(
            drafts.c.id == bindparam("draft"),
            # Looked up and not listed: a list is written into the statement anew each time.
            drafts.c.component_id.in_(
                select(incident_components.c.component_id).where(
                    incident_components.c.incident_id == bindparam("incident")
                )
            ),
        ),
    )
    .values(
        state=DraftState.POSTED,
        incident_id=bindparam("incident"),
        decided_by=bindparam("by"),
        decided_at=bindparam("now"),
        auto_at=None,
    )
)


def adopt(
    connection: Connection,
    *,
    draft_id: int | None,
    incident_id: int,
    by: str,
    now: datetime,
) -> None:
    """Let an incident have the draft it was made of, and all that wait for its components."""
    connection.execute(
        _ADOPT,
        {
            "draft": draft_id,
            "incident": incident_id,
            "by": by,
            "now": now,
        },
    )


def held_until(connection: Connection, component_id: int | None) -> datetime | None:
    """Until when nothing about a component posts itself: `HOLD` after the last thing that did,
    whatever it was about, and after the last word about this component, whoever said it.
    """
    automatic = select(func.max(drafts.c.decided_at)).where(
        drafts.c.decided_by == AUTOMATON, drafts.c.state == DraftState.POSTED
    )
    said = (
        select(func.max(updates.c.published_at))
        .join(incident_components, incident_components.c.incident_id == updates.c.incident_id)
        .where(incident_components.c.component_id == component_id)
    )
    found = [connection.scalars(query).one() for query in (automatic, said)]
    last = max((moment for moment in found if moment), default=None)
    return last + HOLD if last else None


def may_post_itself(connection: Connection, draft: Draft, now: datetime) -> bool:
    """Whether it is time for it, nobody has stopped it, and nothing holds it."""
    held = held_until(connection, draft.component_id)
    is_due = draft.auto_at is not None and draft.auto_at <= now
    return is_due and (held is None or held <= now)


def stop_counting(connection: Connection, component_id: int, why: str) -> None:
    """Keep the drafts of a component that wait from posting themselves."""
    connection.execute(
        update(drafts)
        .where(
            drafts.c.state == DraftState.WAITING,
            drafts.c.component_id == component_id,
            drafts.c.auto_at.is_not(None),
        )
        .values(auto_at=None, stopped=why)
    )
