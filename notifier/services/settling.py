"""What nobody can say of by themselves whether it arrived: an operator looks, and settles it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from notifier.domain.delivery import State
from notifier.ports import Notifier
from notifier.services.incidents import Conflict, NotFound
from notifier.store import outbox, unknown
from notifier.store.unknown import UnknownRow


class Ruling(StrEnum):
    """What an operator found out about a message, or decides to do."""

    ARRIVED = "arrived"
    SEND_AGAIN = "send_again"
    LEAVE = "leave"


_LEADS_TO: Mapping[Ruling, tuple[State, str]] = {
    Ruling.ARRIVED: (State.ACCEPTED, "arrived, says {by}"),
    Ruling.SEND_AGAIN: (State.PLANNED, "sent again by {by}"),
    Ruling.LEAVE: (State.CANCELLED, "not sent again, decided {by}"),
}


@dataclass(frozen=True, slots=True)
class Unknowns:
    """Everything that is unknown: public posts, and mails with the number of their readers."""

    posts: tuple[UnknownRow, ...]
    mails: tuple[UnknownRow, ...]


def list_unknown(n: Notifier) -> Unknowns:
    """What is unknown now, the newest first."""
    with n.db.read() as connection:
        posts, mails = unknown.list_posts(connection), unknown.list_mails(connection)
    return Unknowns(tuple(posts), tuple(mails))


def count_unknown(n: Notifier) -> int:
    """How many posts are unknown, and how many mails have unknown readers."""
    with n.db.read() as connection:
        return unknown.count(connection)


def settle(n: Notifier, dispatch_id: int, ruling: Ruling, *, by: str) -> int:
    """Settle an unknown post, or all unknown readers of a mail; how many messages that were.

    Raises NotFound, or Conflict when nothing of it is unknown (any more), or when it is not to
    be sent any more.
    """
    state, reason = _LEADS_TO[ruling]
    now = n.clock()
    with n.db.transaction() as connection:
        row = outbox.find_dispatch(connection, dispatch_id, lock=True)
        if row is None:
            raise NotFound(f"there is no message {dispatch_id}")
        if ruling is Ruling.SEND_AGAIN and outbox.is_replaced(connection, dispatch_id):
            raise Conflict(
                "a newer update was published or what waited was cancelled since, so this cannot"
                " be sent again; settle it in another way"
            )
        change = unknown.settle_post if row.lane == "post" else unknown.settle_readers
        settled = change(connection, dispatch_id, state=state, reason=reason.format(by=by), now=now)
        if not settled:
            raise Conflict("nothing of this message is unknown any more: somebody settled it")
        lane = "mail" if row.lane == "mail" else row.channel
        n.doorbell.enlist(connection, lane)
    n.doorbell.ring(lane)
    return settled
