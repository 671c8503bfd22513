"""The distributed engine: Procrastinate on PostgreSQL carries the rings between machines.

A job is a ring and nothing else. It is deferred in the transaction that writes the outbox row,
so that both are there or neither, and whoever fetches it runs the lane as the embedded engine
does. The rows say what there is to do, so a job that is lost, late or doubled delays a message
at most until the next sweep, and never loses or doubles one.

* A queue per lane, and in each process workers of its own for each queue: no provider stands in
  another's way, and no post waits behind mail. Which row leaves first is the row's own matter.
* Rings have no queueing lock. With one, a second declaration would wait for the first one's
  commit; and it would be taken as rung for by a job that is fetched before its own rows are to
  be seen. There are as many as declarations. Rings of the workers themselves, which are made
  when the rows are there, have one: by lane and time, so that no earlier one is lost behind a
  later one.
* No `lock`: a machine that dies in a job would hold it until somebody finds out.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Status
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from notifier.ports import NoDoorbell

if TYPE_CHECKING:
    from notifier.queueing.embedded import RunLane

_log = logging.getLogger(__name__)

#: How soon a ring for later is heard: Procrastinate tells its workers of new jobs, but looks
#: for those whose time has come. Also how long a notice that it misses can delay.
_LOOK_SECONDS = 0.5

#: What nobody rang for, and what dead machines left, is looked for every five seconds, once in
#: the cluster. A killed machine is silent after 30 s (store/nodes.py), and the first sweep after
#: that may be the one it took along: 30 + 5 + 5 s.
_SWEEP = "* * * * * */5"
_SILENT_SECONDS = 30.0

_REST_AFTER_ERROR_SECONDS = 1.0
_UPKEEP = "upkeep"
_HELP = "mail helper"


class DistributedDoorbell(NoDoorbell):
    """Rings for the workers of all machines, from inside the caller's transaction."""

    def __init__(self) -> None:
        # Never opened: it only ever writes on connections that it is handed.
        self._app = App(connector=SyncPsycopgConnector())

    def enlist(self, connection: Connection, lane: str, at: datetime | None = None) -> None:
        """Put a ring into the caller's transaction."""
        self._app.configure_task(
            _task_name(lane),
            queue=lane,
            schedule_at=at,
            connection=connection.connection.driver_connection,
        ).defer(at=_key(at))


class DistributedEngine:
    """Runs the lanes of this process when anybody rings for them, on this machine or another.

    Mail is run up to `concurrency` times at once, a post channel once.
    """

    def __init__(self, database_url: str, *, concurrency: int) -> None:
        url = make_url(database_url).set(drivername="postgresql")
        self._conninfo = url.render_as_string(hide_password=False)
        self.concurrency = concurrency
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._crews: dict[str, _Crew] = {}

    def start(self, lanes: Mapping[str, RunLane], *, upkeep: Callable[[], object]) -> None:
        """Deliver until `stop`. `upkeep` is called from time to time, somewhere in the cluster."""
        for name, run in lanes.items():
            self._crews[name] = _Lane(self._conninfo, name, run, self._slots(name))
        self._crews[_UPKEEP] = _Upkeep(self._conninfo, upkeep, list(lanes))
        is_up = threading.Event()
        self._thread = threading.Thread(target=self._run_loop, args=(is_up,), name="rings")
        self._thread.start()
        is_up.wait()

    def call_for_help(self) -> None:
        """Let another idle worker, anywhere, join a fan-out. Returns at once."""
        assert self._loop is not None  # noqa: S101 (for mypy: a lane that runs was started)
        asyncio.run_coroutine_threadsafe(self._crews["mail"].ask_once(_HELP), self._loop)

    def goes_on(self) -> bool:
        """Whether nobody has asked to stop: what a lane asks between two calls."""
        return not self._stopping.is_set()

    def stop(self) -> None:
        """Finish the calls in flight, then end. What is not begun waits for another worker."""
        self._stopping.set()
        if self._loop is None or self._thread is None or not self._thread.is_alive():
            return
        for crew in self._crews.values():
            self._loop.call_soon_threadsafe(crew.end)
        self._thread.join()

    def _slots(self, lane: str) -> int:
        return self.concurrency if lane == "mail" else 1

    def _run_loop(self, is_up: threading.Event) -> None:
        # psycopg cannot use the other kind of loop, which Windows would have.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            self._loop = runner.get_loop()
            self._loop.set_exception_handler(_log_in_one_line)
            runner.run(self._run_crews(is_up))

    async def _run_crews(self, is_up: threading.Event) -> None:
        for crew in self._crews.values():
            crew.ended = asyncio.Event()
        is_up.set()
        await asyncio.gather(*(crew.run() for crew in self._crews.values()))


class _Crew:
    """The workers of one queue, with connections of their own.

    Procrastinate ends a worker when the database goes away for a moment; ours come back.
    """

    ended: asyncio.Event

    def __init__(self, conninfo: str, queue: str, slots: int) -> None:
        self._queue = queue
        self._slots = slots
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix=f"lane {queue}")
        # One for fetching and one for what is done meanwhile; a third listens (docs/deploy.md).
        connector = PsycopgConnector(
            conninfo=conninfo, kwargs={"connect_timeout": 5}, min_size=2, max_size=2, timeout=5
        )
        self.app = App(connector=connector)

    def end(self) -> None:
        """Fetch no further job, finish what runs, and return from `run`."""
        self.ended.set()

    async def run(self) -> None:
        """Work until `end`."""
        while not self.ended.is_set():
            working = asyncio.create_task(self._work())
            ending = asyncio.create_task(self.ended.wait())
            await asyncio.wait([working, ending], return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
            if self.ended.is_set():
                working.cancel()  # Procrastinate finishes the jobs that run
            try:
                await working
            except asyncio.CancelledError:
                pass
            except Exception as error:
                _log.warning("the workers of %s rest for a moment: %s", self._queue, _why(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), _REST_AFTER_ERROR_SECONDS)
        self._threads.shutdown()

    async def ask(self, lane: str, *, at: datetime | None = None, lock: str) -> None:
        """Ring for a lane, unless a ring with this queueing lock waits already."""
        with suppress(AlreadyEnqueued):
            await self.app.configure_task(
                _task_name(lane), queue=lane, schedule_at=at, queueing_lock=lock
            ).defer_async(at=_key(at))

    async def ask_once(self, lock: str) -> None:
        """Ring for this crew's own lane, in whichever process. A ring that fails is logged."""
        try:
            await self.ask(self._queue, lock=lock)
        except ConnectorException as error:
            _log.warning("nobody was called for help: %s", _why(error))

    async def _work(self) -> None:
        async with self.app.open_async():
            await self.app.run_worker_async(
                queues=[self._queue],
                name=self._queue,
                concurrency=self._slots,
                fetch_job_polling_interval=_LOOK_SECONDS,
                delete_jobs="always",
                install_signal_handlers=False,
                stalled_worker_timeout=_SILENT_SECONDS,
            )

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        """The result of `work`; None when it failed, which the next sweep makes good."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except Exception:
            # A full disk or a database that is away must not end the lane: the rows wait.
            _log.exception("lane %s failed and will be tried again", self._queue)
            return None


class _Lane(_Crew):
    """Runs a lane for each ring, and rings again for when its next row is due."""

    def __init__(self, conninfo: str, lane: str, run: RunLane, slots: int) -> None:
        super().__init__(conninfo, lane, slots)
        self._run = run
        self.app.task(name=_task_name(lane), queue=lane)(self._answer)

    async def _answer(self, at: str | None) -> None:
        due: datetime | None = await self._in_thread(self._run)
        # What is overdue cannot be taken now: it is blocked, or this machine's clock is slow. To
        # ring for it again at once would go on for ever; the sweep does it every few seconds.
        if due and due > datetime.now(UTC) and _key(due) != at:
            await self.ask(self._queue, at=due, lock=f"{self._queue} at {_key(due)}")


class _Upkeep(_Crew):
    """What happens every few seconds, once in the cluster."""

    def __init__(self, conninfo: str, upkeep: Callable[[], object], lanes: list[str]) -> None:
        super().__init__(conninfo, _UPKEEP, 1)
        self._upkeep = upkeep
        self._lanes = lanes
        sweep = self.app.task(name=_UPKEEP, queue=_UPKEEP, queueing_lock=_UPKEEP)(self._sweep)
        self.app.periodic(cron=_SWEEP)(sweep)

    async def _sweep(self, timestamp: int) -> None:  # noqa: ARG002 (what Procrastinate calls with)
        await self._in_thread(self._upkeep)
        for lane in self._lanes:
            await self.ask(lane, lock=f"{lane} sweep")
        await self._bury_the_dead()

    async def _bury_the_dead(self) -> None:
        """Remove the rings that a dead machine had taken: this sweep has rung anew."""
        jobs = self.app.job_manager
        for job in await jobs.get_stalled_jobs(seconds_since_heartbeat=_SILENT_SECONDS):
            with suppress(ConnectorException):  # another sweep was faster
                await jobs.finish_job(job, status=Status.FAILED, delete_job=True)
        await jobs.prune_stalled_workers(_SILENT_SECONDS)


def _task_name(lane: str) -> str:
    return f"ring {lane}"


def _key(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None


def _why(error: BaseException) -> str:
    """The database's own words, where the error has any, in one line."""
    return str(error.__cause__ or error).strip().splitlines()[0]


def _log_in_one_line(_loop: object, context: dict[str, Any]) -> None:
    error = context.get("exception")
    _log.warning("%s: %s", context["message"], _why(error) if error else "no reason given")
