"""Clocks that jump, and local times that happen twice or never.

The clock is the one the product is built with: every time it writes or compares comes from there,
but for PostgreSQL's own `now()` in the leases of nodes. What the kernel and the libraries do with
the machine's clock (TLS, timers, logs) is not part of this; timers are monotonic.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from notifier.app import build, load_settings
from notifier.domain.audience import customer
from notifier.domain.delivery import USEFUL_FOR
from notifier.domain.plan import MailTime
from notifier.services import audience
from notifier.services.mailing import MailRun
from tests.fakes import FakeClock, FakeMail, FakePosts
from tests.faults.site import Site, Told, open_site
from tests.faults.starting import MAKING_A_SCHEMA
from tests.faults.trial import Fault, Ground, Trial
from tests.processes import SECRET
from tests.services.saying import declare

_HOUR, _DAY = 3600.0, 86_400.0
_USEFUL_SECONDS = USEFUL_FOR.total_seconds()
_JUMPS = (_HOUR, -_HOUR, _DAY, -_DAY, -3650 * _DAY)


def jump(ground: Ground) -> Iterator[Trial]:
    """The clock jumps in the middle of a fan-out, and is right again at its end."""
    with open_site(ground) as site:
        for number in range(ground.tries):
            site.node.arm("mail.settled", "sleep", seconds=0.3)
            told = site.say()
            time.sleep(ground.random.uniform(0, 0.2))
            wrong = _JUMPS[number % len(_JUMPS)]
            site.node.shift_clock(wrong)
            time.sleep(1.5)
            site.node.shift_clock(0.0)
            trial = site.conclude(told, healed_ns=time.time_ns())
            yield _allow_giving_up(site, told, trial) if wrong > _USEFUL_SECONDS else trial
        yield site.last_look()


def crash_with_a_wrong_clock(ground: Ground) -> Iterator[Trial]:
    """Killed in the middle, and restarted with a clock that is wrong."""
    with open_site(ground) as site:
        for number in range(ground.tries):
            site.node.arm("mail.claimed", "kill", hit=2)
            told = site.prepare()
            site.declare(told)
            site.node.wait_until_dead(10)
            wrong = _JUMPS[number % len(_JUMPS)]
            site.node.shift_clock(wrong)
            begun = site.restart()
            time.sleep(1.0)
            site.node.shift_clock(0.0)
            site.declare(told)
            trial = site.conclude(told, healed_ns=begun, unknown_allowed=site.batch)
            yield _allow_giving_up(site, told, trial) if wrong > _USEFUL_SECONDS else trial
        yield site.last_look()


def _allow_giving_up(site: Site, told: Told, trial: Trial) -> Trial:
    """A day ahead, it cannot know that the mail has not stood still for a day.

    The rest of it may be given up, as is promised for what is hours late, where it says so.
    """
    reason = site.ask(told)["email"]["reason"] or ""
    says_so = reason.startswith("given up")
    return replace(trial, lost=site.look(told).missing_posts) if says_so else trial


def local_times(ground: Ground) -> Iterator[Trial]:
    """A mail for a local time beside a change of the clocks leaves once, and not before.

    In this process, because nobody can wait for March: the referee is a channel that remembers.
    """
    for number in range(ground.tries):
        zone = ground.random.choice(sorted(_CHANGES))
        minutes = ground.random.randint(-120, 120)
        local = datetime.fromisoformat(ground.random.choice(_CHANGES[zone]))
        wanted = (local + timedelta(minutes=minutes)).replace(
            tzinfo=ZoneInfo(zone), fold=ground.random.randint(0, 1)
        )
        left = _when_it_left(ground.again(number), wanted)
        late = [at for at in left if not timedelta(0) <= at - wanted < _STEP]
        broken = [f"a mail for {wanted.isoformat()} left at {late[0].isoformat()}"] if late else []
        yield Trial(lost=int(not left), doubled_mails=max(0, len(left) - 1), broken=tuple(broken))


def _when_it_left(place: Ground, wanted: datetime) -> list[datetime]:
    """Declare two hours before, let four hours pass; when mail left, in UTC."""
    instant = wanted.astimezone(UTC)
    clock, mail = FakeClock(instant - timedelta(hours=2)), FakeMail()
    environ = {"NOTIFIER_DATABASE_URL": place.url, "NOTIFIER_SECRET_KEY": SECRET}
    with MAKING_A_SCHEMA:
        given = load_settings(path=Path(os.devnull), environ=environ)
        n = build(given, clock=clock, posts={"x": FakePosts()}, mail=mail)
    try:
        audience.put_component(n, slug_="heat", name="Heat")
        reader = customer(
            external_id="c",
            email="c@example.com",
            name="",
            language="en",
            time_zone=str(wanted.tzinfo),
            components=("heat",),
        )
        audience.put_customer(n, reader)
        declare(n, mail=MailTime(at=wanted))
        left: list[datetime] = []
        while clock.now < instant + timedelta(hours=2):
            MailRun(n).run()
            left += [clock.now] * (len(mail.sent) - len(left))
            clock.now += _STEP
        return left
    finally:
        n.db.close()


#: How often this suite looks, in the time of that clock.
_STEP = timedelta(minutes=10)
_CHANGES = {
    "Europe/London": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "Europe/Helsinki": ("2026-03-29T03:30", "2026-10-25T03:30"),
    "Australia/Lord_Howe": ("2026-04-05T02:00", "2026-10-04T02:00"),
    "Asia/Karachi": ("2028-02-29T00:00", "2038-01-19T08:14"),
}


FAULTS = (
    Fault("C1", "the clock jumps by an hour, a day, ten years", jump, tries=(5, 50)),
    Fault(
        "C2",
        "a mail for a local time that exists twice or never, on a leap day, in 2038",
        local_times,
        tries=(10, 200),
    ),
    Fault("C1 restart", "restarted with a clock that is wrong", crash_with_a_wrong_clock, (3, 50)),
)
