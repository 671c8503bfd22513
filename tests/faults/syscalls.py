"""F6 sweep: the process dies just before each single call to the kernel that others could notice.

strace attaches to one thread of a process that is up, and kills the process as that thread begins
its n-th call of a kind: the call is not made any more. (strace counts by thread, so a sweep
over all threads at once would never get past the busiest one.) Which calls there are, a survey
says: the same three presses with nobody killed.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import zip_longest

from notifier.queueing.embedded import UPKEEP_SECONDS
from tests.faults.crashes import press_twice
from tests.faults.serve_with_faults import THREADS
from tests.faults.site import Site, Told, is_over, open_site
from tests.faults.trial import RESUME_SECONDS, Fault, Ground, Trial

_CALLS = ("fsync", "fdatasync", "pwrite64", "connect", "sendto", "recvfrom")
#: A line of `strace -f`: the thread, the call.
_LINE = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)
#: Each is in a zone of its own, so they are three batches: a first, a middle and a last one.
_READERS = 3


@dataclass(frozen=True, slots=True)
class Point:
    """The `nth` such call of one thread, from when strace is attached."""

    #: "" for whichever thread it is: those that the clock starts are not there at the beginning.
    thread: str
    call: str
    nth: int

    def __str__(self) -> str:
        return f"{self.call} number {self.nth} of {self.thread or 'any thread'}"


def sweep(ground: Ground) -> Iterator[Trial]:
    """Declare, update and resolve, and die on the way at another point in each try."""
    with open_site(ground, customers=_READERS, settings={"FAULTS_THREADS": "1"}) as site:
        points = _order(_survey(site), ground.random)[: ground.tries]
        died = 0
        for point in points:
            site.restart()
            victim = site.node
            with _strace(_target(site, point), *_strike(point)):
                for trial in _publish_all(site, pause=point.call == "rename"):
                    yield _blame(trial, point)
                died += victim is not site.node or not victim.is_alive
        few = [f"only {died} of {len(points)} were killed"] if died < len(points) / 2 else []
        yield replace(site.last_look(), broken=tuple(few))


_GONE_SECONDS = 3.0


def _publish_all(site: Site, *, pause: bool) -> Iterator[Trial]:
    """Declare, update and resolve. Whenever the process dies, it is started and pressed again.

    `pause`: before the end wait until the upkeep was at work, which is the only one to rename.
    """
    first = site.prepare()
    yield replace(_publish(site, first), tries=0)
    update = site.prepare_next(first, "monitoring")
    yield replace(_publish(site, update), tries=0)
    if pause:
        site.node.wait_until_dead(UPKEEP_SECONDS + 1)
    yield _publish(site, site.prepare_next(update, "resolved"))


def _publish(site: Site, told: Told) -> Trial:
    site.declare(told)
    before = site.conclude(told, seconds=0) if _survives(site, told) else Trial()
    if not before.is_good:  # a process that was just killed takes a moment to be gone
        site.node.wait_until_dead(_GONE_SECONDS)
    if site.node.is_alive:
        return before
    # Or it died of our last question, when all had left.
    begun = site.restart()
    again = press_twice(site, told)
    after = site.conclude(told, healed_ns=begun, unknown_allowed=site.batch, broken=again)
    return replace(
        after,
        doubled_posts=before.doubled_posts + after.doubled_posts,
        doubled_mails=before.doubled_mails + after.doubled_mails,
        unexpected=before.unexpected + after.unexpected,
    )


def _survives(site: Site, told: Told) -> bool:
    """Whether all of it is done before the process dies.

    The product is not asked before everything has left: that would be calls of its own.
    """
    deadline = time.monotonic() + RESUME_SECONDS
    while site.node.is_alive and time.monotonic() < deadline:
        if site.look(told).complete and (answer := site.ask(told)) and is_over(answer):
            return True
        time.sleep(0.02)
    return site.node.is_alive


def _blame(trial: Trial, point: Point) -> Trial:
    """What is wrong, and by which kill."""
    if trial.is_good:
        return trial
    return replace(trial, broken=(*trial.broken, f"when killed at {point}"))


def _survey(site: Site) -> Counter[tuple[str, str]]:
    """How often each thread makes each call while nobody is killed, by (thread, call)."""
    names = _thread_names(site)
    with _traced(site, *_CALLS) as calls:
        for trial in _publish_all(site, pause=False):
            if not trial.is_good:
                raise AssertionError(f"it is broken although nobody was killed: {trial}")
    seen = Counter((names[thread], call) for thread, call in calls if thread in names)
    with _traced(site, "rename") as calls:
        time.sleep(UPKEEP_SECONDS + 1)
    if calls:
        seen["", "rename"] = 1
    return seen


@contextmanager
def _traced(site: Site, *calls: str) -> Iterator[list[tuple[str, str]]]:
    """The (thread, call) of each such call that is made while the block runs, after its end."""
    trace = site.ground.folder / "trace"
    seen: list[tuple[str, str]] = []
    whole = ["-f", "-p", str(site.node.popen.pid)]
    with _strace(whole, "-e", f"trace={','.join(calls)}", "-o", str(trace)):
        yield seen
    seen += _LINE.findall(trace.read_text(errors="replace"))


def _order(seen: Counter[tuple[str, str]], luck: random.Random) -> list[Point]:
    """Every point once: first one of each thread and call, then another one of each."""
    kinds = [
        luck.sample([Point(thread, call, nth + 1) for nth in range(count)], count)
        for (thread, call), count in sorted(seen.items())
    ]
    luck.shuffle(kinds)
    return [point for points in zip_longest(*kinds) for point in points if point]


def _thread_names(site: Site) -> dict[str, str]:
    names: dict[str, str] = json.loads((site.node.folder / THREADS).read_text())
    return names


def _target(site: Site, point: Point) -> list[str]:
    if not point.thread:
        return ["-f", "-p", str(site.node.popen.pid)]
    return ["-p", next(t for t, name in _thread_names(site).items() if name == point.thread)]


def _strike(point: Point) -> list[str]:
    inject = f"inject={point.call}:signal=SIGKILL:when={point.nth}"
    return ["-e", f"trace={point.call}", "-e", inject, "-o", "/dev/null"]


@contextmanager
def _strace(target: Sequence[str], *options: str) -> Iterator[None]:
    """strace is attached for as long as the block runs, or its target lives."""
    command = ["strace", *options, *target]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr
        said = tracer.stderr.readline()
        try:
            if "attached" not in said:
                raise AssertionError(f"strace cannot attach: {said}")
            yield
        finally:
            tracer.terminate()


def _cannot_attach() -> str:
    if not shutil.which("strace"):
        return "strace is not installed"
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            with _strace(["-p", str(other.pid)], "-o", "/dev/null"):
                return ""
        except AssertionError as error:
            return str(error)
        finally:
            other.kill()


FAULTS = (
    Fault(
        "F6 sweep",
        "kill -9 at the n-th call to the kernel of each thread, from press to resolve (strace)",
        sweep,
        tries=(12, 1_000),
        missing=_cannot_attach,
    ),
)
