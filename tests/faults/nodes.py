"""More than one node, a node that sleeps through its own lease, and a network that is cut."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from notifier.ports import Step
from tests.faults.site import Site, Told, open_site
from tests.faults.starting import spawn
from tests.faults.trial import Fault, Ground, Trial
from tests.processes import Process

#: As long as it takes to call a node dead, and then some (nodes are seen every few seconds).
_LONG_SLEEP = 50.0
_CLONE_NEWNET = 0x40000000  # sched.h


def two_nodes(ground: Ground) -> Iterator[Trial]:
    """Two nodes deliver from one database, and one of them dies in the middle."""
    with open_site(ground, nodes=2) as site:
        for number in range(ground.tries):
            dies = number % 2 == 1
            if dies:
                site.nodes[1].arm("mail.settled", "kill")
            told = site.prepare()
            site.declare(told)
            died = dies and site.nodes[1].wait_until_dead(5)
            begun = site.restart(1) if died else 0
            site.nodes[1].disarm()
            yield site.conclude(told, healed_ns=begun, unknown_allowed=site.batch * died)
        yield site.last_look()


def workers(ground: Ground) -> Iterator[Trial]:
    """The distributed engine: one of two `notifier work` is killed, and a new one is started."""
    queue = {"NOTIFIER_QUEUE": "distributed"}
    with open_site(ground, customers=400, settings=queue) as site:
        running = [_start_worker(site, number) for number in range(2)]
        for number in range(ground.tries):
            told = site.prepare()
            pressed = site.declare(told)
            site.wait_for(ground.random.randint(1, 300), told)
            running[number % 2].kill()
            begun = time.time_ns()
            running[number % 2] = _start_worker(site, number % 2)
            site.declare(told)
            broken = () if pressed else ("the declaration was not acknowledged",)
            # A worker has two batches under way at the same time (`notifier work --concurrency`).
            yield site.conclude(
                told, healed_ns=begun, unknown_allowed=2 * site.batch, broken=broken
            )
        yield site.last_look()


def _start_worker(site: Site, number: int) -> Process:
    folder = site.ground.folder / f"worker{number}"
    folder.mkdir(exist_ok=True)
    popen, output = spawn(["-m", "notifier", "work"], site.settings, folder, "work")
    worker = Process(popen, "", output)
    site.end_with(worker)
    deadline = time.monotonic() + 20
    while "works as" not in output.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    return worker


def second_server_on_sqlite(ground: Ground) -> Iterator[Trial]:
    """On SQLite a second node refuses to start, and the first one goes on."""
    with open_site(ground) as site:
        for _ in range(ground.tries):
            site.start(1, wait=False)
            refused = site.nodes[1].wait_until_dead(30) and site.nodes[1].popen.returncode != 0
            said = "already serves this database" in site.nodes[1].output.read_text()
            del site.nodes[1]
            told = site.say()
            broken = () if refused and said else ("the second server was not refused in words",)
            yield site.conclude(told, broken=broken)
        yield site.last_look()


def sleep_in(step: Step, seconds: float, *, tries: tuple[int, int] = (2, 40)) -> Fault:
    """SIGSTOP at a step of the route, SIGCONT later: the node believes that no time has passed."""

    def run(ground: Ground) -> Iterator[Trial]:
        several = ground.kind == "postgresql"
        with open_site(ground, nodes=2 if several else 1) as site:
            for _ in range(ground.tries):
                told, sleeper = _fall_asleep(site, step)
                time.sleep(seconds)
                healed = time.time_ns()
                if sleeper is not None:
                    site.nodes[sleeper].signal(signal.SIGCONT)
                site.declare(told)
                broken = () if sleeper is not None else (f"no node reached {step}",)
                yield site.conclude(
                    told, healed_ns=healed, unknown_allowed=site.batch, broken=broken
                )
            yield site.last_look()

    name = f"N2 {step} {seconds:.0f} s"
    return Fault(name, f"SIGSTOP at {step}, SIGCONT after {seconds:.0f} s", run, tries)


def _fall_asleep(site: Site, step: Step) -> tuple[Told, int | None]:
    """Declare, and let the first node that comes to the step stop there; which one did."""
    for node in site.nodes:
        node.arm(step, "stop")
    told = site.prepare()
    presser = threading.Thread(target=site.declare, args=[told])
    presser.start()
    deadline = time.monotonic() + 10
    sleeper = None
    while sleeper is None and time.monotonic() < deadline:
        time.sleep(0.01)
        sleeper = next((i for i, node in enumerate(site.nodes) if not node.is_armed), None)
    for node in site.nodes:
        node.disarm()
    presser.join(0.5)
    return told, sleeper


def cut_from_the_providers(ground: Ground) -> Iterator[Trial]:
    """A network namespace whose only link goes down in the middle of a fan-out, and up again.

    Notifier and sandbox live in it, on its own 127.0.0.1; this thread visits it to press.
    """
    with _own_network(), open_site(ground) as site:
        for _ in range(ground.tries):
            told = site.prepare()
            site.node.arm("mail.settled", "sleep", seconds=0.2)
            site.declare(told)
            time.sleep(ground.random.uniform(0, 0.3))
            _link("down")
            time.sleep(2.0)
            _link("up")
            healed = time.time_ns()
            site.declare(told)
            yield site.conclude(told, healed_ns=healed, unknown_allowed=2 * site.batch)
        yield site.last_look()


@contextmanager
def _own_network() -> Iterator[None]:
    """This thread, and whatever it starts, in a new network namespace, until the block ends.

    Of this process only this thread moves (unshare(2), setns(2)).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home:
        if libc.unshare(_CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        try:
            _link("up")
            yield
        finally:
            libc.setns(home.fileno(), _CLONE_NEWNET)


def _link(state: str) -> None:
    subprocess.run(["ip", "link", "set", "lo", state], check=True, capture_output=True)


def _cannot_separate() -> str:
    if os.geteuid() != 0 or not shutil.which("ip"):
        return "needs root and ip, for a network namespace"
    return ""


FAULTS = (
    Fault(
        "N1", "two nodes on one database, one of them killed", two_nodes, (6, 100), ("postgresql",)
    ),
    Fault(
        "N1 work",
        "two workers of the distributed engine, one of them killed",
        workers,
        tries=(4, 60),
        kinds=("postgresql",),
    ),
    Fault("N1 sqlite", "a second server on SQLite", second_server_on_sqlite, (1, 10), ("sqlite",)),
    sleep_in("post.claimed", 5),
    sleep_in("post.answered", 5),
    sleep_in("mail.claimed", 5),
    sleep_in("mail.claimed", _LONG_SLEEP, tries=(1, 20)),
    Fault(
        "N3",
        "the link to the providers goes down and up again (network namespace)",
        cut_from_the_providers,
        tries=(3, 60),
        missing=_cannot_separate,
    ),
)
