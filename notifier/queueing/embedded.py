"""The embedded engine: one thread per lane that sleeps until it is woken, and APScheduler as
the clock that wakes it when something becomes due.

The clock holds no work. Its jobs are in memory and only ring; the rows of the outbox say what
there is to do, so a lost ring, a lost job or a restart delays and loses nothing. APScheduler 3
drops late jobs after one second unless told, and deletes a run-once job before it has run:
both are harmless here (its 3.x source, `base.py` and `_process_jobs`).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Connection

_log = logging.getLogger(__name__)

#: Runs everything of a lane that is due; returns when the next thing will be, if any waits.
RunLane = Callable[[], datetime | None]

#: How soon rows are found that nobody rang for: written by the command line or by another
#: process, or left by a crash.
SWEEP_SECONDS = 0.5

#: How often leases are looked at whose owner may be dead. On PostgreSQL that is another node, which
#: is silent after 30 s (store/nodes.py); together that is less than 45 s.
UPKEEP_SECONDS = 5.0

# A job that runs once is removed by APScheduler 3's own thread, which dies of it when `stop` comes
# at that moment (JobLookupError from `remove_job`, 5 times in 150). So ours come back in a century.
_NEVER_AGAIN_WEEKS = 5_200

_REST_AFTER_ERROR_SECONDS = 1.0
_MOMENT_SECONDS = 0.01


class EmbeddedEngine:
    """Delivers in this process: one lane per post channel, and one for mail.

    Lanes do not share a thread, so a provider that hangs delays nobody but itself.
    """

    def __init__(self, *, sweep_seconds: float = SWEEP_SECONDS) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._stopping = threading.Event()
        self._sweep_seconds = sweep_seconds
        self._clock = BackgroundScheduler(
            timezone=UTC,
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def start(self, lanes: Mapping[str, RunLane], *, upkeep: Callable[[], object]) -> None:
        """Deliver until `stop`. `upkeep` is called from time to time."""
        for name, run in lanes.items():
            self._lanes[name] = _Lane(name, run, self.ring)
        for lane in self._lanes.values():
            lane.start()
        self._clock.add_job(self._sweep, "interval", seconds=self._sweep_seconds, id="sweep")
        self._clock.add_job(upkeep, "interval", seconds=UPKEEP_SECONDS, id="upkeep")
        self._clock.start()

    def enlist(self, connection: Connection, lane: str, at: datetime | None = None) -> None:
        """Do nothing: the lanes are woken after the commit, and the sweep finds the rest."""

    def ring(self, lane: str, at: datetime | None = None) -> None:
        """Wake a lane, now or at `at`. An unknown lane is nobody's business here."""
        if lane not in self._lanes:
            return
        if at is None:
            self._lanes[lane].wake()
        else:
            self._clock.add_job(
                self._lanes[lane].wake,
                "interval",
                weeks=_NEVER_AGAIN_WEEKS,
                next_run_time=at,
                id=f"wake {lane}",
                replace_existing=True,
            )

    def is_idle(self, lane: str) -> bool:
        """Whether the lane waits for something to do, and nobody has asked to stop."""
        return lane in self._lanes and self._lanes[lane].is_idle()

    def hand(self, lane: str, work: Callable[[], object]) -> None:
        """Let a lane do `work` and then run. Raises KeyError for an unknown lane."""
        self._lanes[lane].hand(work)

    def give_way(self, lane: str) -> None:
        """Wait until the lane is done with what was rung for, at most 10 ms.

        Python runs one thread at a time. A caller that goes on working at once takes turns with
        the lane it has woken, and a post leaves at half the speed (`make bench`: 16 ms against
        8). A provider that is far away does not hold the caller up for longer than this.
        """
        if lane in self._lanes:
            self._lanes[lane].wait_until_quiet(_MOMENT_SECONDS)

    def goes_on(self) -> bool:
        """Whether nobody has asked to stop: what a lane asks between two calls."""
        return not self._stopping.is_set()

    def stop(self) -> None:
        """Finish the calls in flight, then end. What is not begun waits for the next start."""
        self._stopping.set()
        if self._clock.running:
            self._clock.shutdown(wait=False)
        for lane in self._lanes.values():
            lane.stop()

    def _sweep(self) -> None:
        for lane in self._lanes.values():
            lane.wake()


class _Lane:
    def __init__(
        self, name: str, run: RunLane, ring: Callable[[str, datetime | None], None]
    ) -> None:
        self._name = name
        self._run = run
        self._ring = ring
        self._handed: deque[Callable[[], object]] = deque()
        self._bell = threading.Event()
        self._quiet = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=f"lane {name}", daemon=True)

    def start(self) -> None:
        self._bell.set()  # there may be work from before
        self._thread.start()

    def wake(self) -> None:
        self._quiet.clear()
        self._bell.set()

    def hand(self, work: Callable[[], object]) -> None:
        self._handed.append(work)
        self.wake()

    def is_idle(self) -> bool:
        return self._quiet.is_set() and not self._stopping.is_set()

    def wait_until_quiet(self, seconds: float) -> None:
        self._quiet.wait(seconds)

    def stop(self) -> None:
        self._stopping.set()
        self._bell.set()
        self._thread.join()

    def _loop(self) -> None:
        planned: datetime | None = None
        while True:
            self._bell.wait()
            self._bell.clear()
            self._do_handed()
            if self._stopping.is_set():
                return
            try:
                due = self._run()
            except Exception:
                # A full disk or a database that is away must not end the lane: the rows wait.
                _log.exception("lane %s failed and will be tried again", self._name)
                self._stopping.wait(_REST_AFTER_ERROR_SECONDS)
                self._bell.set()
                continue
            if due and due != planned:
                self._ring(self._name, due)
            planned = due
            if not self._bell.is_set():
                self._quiet.set()

    def _do_handed(self) -> None:
        """Also while stopping: it is claimed for this process, so nobody else would do it."""
        while self._handed:
            work = self._handed.popleft()
            try:
                work()
            except Exception:
                _log.exception("lane %s failed at what it was handed", self._name)
