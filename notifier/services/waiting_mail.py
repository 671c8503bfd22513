"""The mail that has not left yet: edit it, move it, send it now, or cancel it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from notifier.domain.delivery import State
from notifier.domain.notice import Duration, Over, expected_duration, notice
from notifier.domain.plan import MailTime, Reason
from notifier.ports import Notifier
from notifier.services.incidents import Conflict, NotFound, Words, check_mail_time
from notifier.store import incidents, ledger, notices, outbox
from notifier.store.outbox import DispatchRow


def send_now(n: Notifier, dispatch_id: int) -> None:
    """Let a waiting mail leave at once. Raises NotFound or Conflict."""
    with n.db.transaction() as connection:
        _change(connection, dispatch_id, **_at(n.clock()))
        n.doorbell.enlist(connection, "mail")
    n.doorbell.ring("mail")


def cancel(n: Notifier, dispatch_id: int, *, by: str) -> None:
    """Never send a waiting mail. Raises NotFound or Conflict."""
    with n.db.transaction() as connection:
        _change(
            connection,
            dispatch_id,
            state=State.CANCELLED,
            reason=f"cancelled by {by}",
            settled_at=n.clock(),
        )


def edit(n: Notifier, dispatch_id: int, words: Words) -> None:
    """Give a waiting mail its own words, and another time when `words.mail` has one.

    The published update stays as it is. Raises NotFound, Conflict, or Invalid naming the
    field.
    """
    now = n.clock()
    check_mail_time(words.mail, now)
    with n.db.transaction() as connection:
        row = _find(connection, dispatch_id)
        update = incidents.get_update(connection, row.update_id)
        given = words.expected
        duration: Duration = (
            update.notice.duration
            if isinstance(update.notice.duration, Over)
            else expected_duration(
                start=given.start, until=given.until, unknown=given.unknown, now=now
            )
        )
        changed = notice(
            status=update.status,
            impact=words.impact,
            duration=duration,
            explanation=words.explanation,
            next_update_by=words.next_update_by,
            now=now,
        )
        values: dict[str, Any] = {"edited": notices.to_json(changed)}
        if words.mail != MailTime():
            due = words.mail.at or now + (words.mail.delay or timedelta(0))
            values |= _at(due)
            n.doorbell.enlist(connection, "mail", due)
        _change(connection, dispatch_id, **values)
        ledger.thaw(connection, dispatch_id)  # they may just have been frozen
    n.doorbell.ring("mail")


def _at(due: datetime) -> dict[str, Any]:
    # How long a mail is worth retrying counts from when it was meant to leave.
    return {"due_at": due, "first_due": due, "why": Reason.AS_ASKED}


def _find(connection: Connection, dispatch_id: int) -> DispatchRow:
    row = outbox.find_dispatch(connection, dispatch_id, lock=True)
    if row is None or row.lane != "mail":
        raise NotFound(f"there is no mail {dispatch_id}")
    return row


def _change(connection: Connection, dispatch_id: int, **values: Any) -> None:
    row = _find(connection, dispatch_id)
    if not outbox.change_waiting(connection, dispatch_id, **values):
        raise Conflict(
            f"this mail cannot be changed any more, it is {row.state}; publish an update instead"
        )
