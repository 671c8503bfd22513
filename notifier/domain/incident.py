"""An incident and its life: investigating → identified → monitoring → resolved (→ postmortem)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Severity(StrEnum):
    """How badly customers are hit."""

    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Greater is worse; the worse incident's messages leave first."""
        return list(Severity).index(self)


class Status(StrEnum):
    """Where the incident stands. The names are Statuspage's, so that others' tools read them."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"
    POSTMORTEM = "postmortem"

    @property
    def is_open(self) -> bool:
        """Whether customers are still affected, and so are owed a next update."""
        return self not in (Status.RESOLVED, Status.POSTMORTEM)


# Forward, in place (an update that changes nothing but the words), and back: a fix that did
# not hold sends an incident from monitoring, or even from resolved, to an earlier state.
_OPEN = frozenset(s for s in Status if s.is_open)
NEXT: Mapping[Status, frozenset[Status]] = {
    Status.INVESTIGATING: _OPEN | {Status.RESOLVED},
    Status.IDENTIFIED: _OPEN | {Status.RESOLVED},
    Status.MONITORING: _OPEN | {Status.RESOLVED},
    Status.RESOLVED: _OPEN | {Status.POSTMORTEM},
    Status.POSTMORTEM: frozenset({Status.POSTMORTEM}),
}


def may_follow(current: Status, following: Status) -> bool:
    """Whether an update with status `following` may be published on an incident in `current`."""
    return following in NEXT[current]
