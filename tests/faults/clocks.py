"""Clocks that jump, and local times that happen twice or never.

The clock is the one the product is built with: every time it writes or compares comes from there,
but for PostgreSQL's own `now()` in the leases of nodes. What the kernel and the libraries do with
the machine's clock (TLS, timers, logs) is not part of this; timers are monotonic.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.faults.site import open_site
from tests.faults.trial import Fault, Ground, Trial

_HOUR, _DAY = 3600.0, 86_400.0
_JUMPS = (_HOUR, -_HOUR, _DAY, -_DAY, -3650 * _DAY)


def jump(ground: Ground) -> Iterator[Trial]:
    """The clock jumps in the middle of a fan-out, and is right again at its end."""
    with open_site(ground) as site:
        for number in range(ground.tries):
            site.node.arm("mail.settled", "sleep", seconds=0.3)
            told = site.say()
            time.sleep(ground.random.uniform(0, 0.2))
            site.node.shift_clock(_JUMPS[number % len(_JUMPS)])
            time.sleep(1.5)
            site.node.shift_clock(0.0)
            yield site.conclude(told, healed_ns=time.time_ns())
        yield site.last_look()


def crash_with_a_wrong_clock(ground: Ground) -> Iterator[Trial]:
    """Killed in the middle, and restarted with a clock that is wrong."""
    with open_site(ground) as site:
        for number in range(ground.tries):
            site.node.arm("mail.claimed", "kill", hit=2)
            told = site.prepare()
            site.declare(told)
            site.node.wait_until_dead(10)
            site.node.shift_clock(_JUMPS[number % len(_JUMPS)])
            begun = site.restart()
            time.sleep(1.0)
            site.node.shift_clock(0.0)
            site.declare(told)
            yield site.conclude(told, healed_ns=begun, unknown_allowed=site.batch)
        yield site.last_look()


FAULTS = (
    Fault("C1", "the clock jumps by an hour, a day, ten years", jump, tries=(5, 50)),
    Fault("C1 restart", "restarted with a clock that is wrong", crash_with_a_wrong_clock, (3, 50)),
)
