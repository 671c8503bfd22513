"""Things an operator says, for tests that are about what happens then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from notifier.domain.delivery import State
from notifier.domain.incident import Severity, Status
from notifier.domain.plan import MailTime
from notifier.ports import Notifier
from notifier.services import incidents, pausing
from notifier.services.incidents import Declaration, Expected, Published, RepeatGuard, Words
from notifier.services.mailing import MailRun
from notifier.services.posting import run_posts
from notifier.services.reports import MailReport, PostReport, report
from tests.fakes import FakeClock

HOUR = timedelta(hours=1)


def words(n: Notifier, **changes: Any) -> Words:
    """Words that may be published now."""
    given = {
        "impact": "No hot water in about 4,200 homes.",
        "expected": Expected(until=n.clock() + 3 * HOUR),
        "explanation": "A pump failed.",
        "next_update_by": n.clock() + HOUR,
        "mail": MailTime(delay=timedelta(0)),
    }
    return Words(**{**given, **changes})


def declaration(
    n: Notifier, *, components: Sequence[str] = ("heat",), **changes: Any
) -> Declaration:
    """A declaration that may be published now, whose mail is due at once."""
    return Declaration(
        title="No hot water in Northvale",
        severity=changes.pop("severity", Severity.MAJOR),
        components=components,
        words=words(n, **changes),
    )


def declare(n: Notifier, *, guard: RepeatGuard | None = None, **changes: Any) -> Published:
    """Declare a disruption of `heat`."""
    return incidents.declare(n, declaration(n, **changes), by="Olga", guard=guard)


def say(n: Notifier, said: Published, status: Status, **changes: Any) -> Published:
    """Publish the next update of an incident."""
    return incidents.post_update(n, said.incident.id, status, words(n, **changes), by="Olga")


def deliver(n: Notifier) -> None:
    """Deliver everything that is due, in this thread."""
    for name in n.posts:
        run_posts(n, name)
    MailRun(n).run()


def latest_post(n: Notifier, said: Published) -> PostReport:
    """The post of an incident's latest update."""
    return report(n, said.incident.id).latest.posts[0]


def latest_mail(n: Notifier, said: Published) -> MailReport:
    """The mail of an incident's latest update."""
    mail = report(n, said.incident.id).latest.mail
    assert mail is not None
    return mail


def states(n: Notifier, said: Published) -> dict[State, int]:
    """How many readers of the latest mail are in which state."""
    return dict(latest_mail(n, said).states)


def hold(n: Notifier) -> None:
    """Pause the site."""
    pausing.pause(n, by="Olga", reason="the list is wrong")


def later(n: Notifier, clock: FakeClock) -> None:
    """Deliver what is due now, and in a while."""
    for _ in range(3):
        deliver(n)
        clock.move(minutes=10)
    deliver(n)
