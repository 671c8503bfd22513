"""What disks and databases do: fill up, stay locked, go away; and whether intents are on disk."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy.engine import make_url

from tests.faults.databases import postgres_server, restart
from tests.faults.site import Site, Told, open_site
from tests.faults.trial import Fault, Ground, Trial

_DISK_MB = 12
#: The longest that a declaration may wait for a lock before it is refused (store/sqlite.py).
_LOCKED_SECONDS = 4.0


def full_disk(ground: Ground) -> Iterator[Trial]:
    """Full before the press, or in the middle of the fan-out; then there is room again."""
    with _small_disk(ground.folder / "disk") as disk:
        place = replace(ground, url=f"sqlite:///{disk / 'notifier.db'}")
        with open_site(place, customers=200) as site:
            for number in range(ground.tries):
                told = site.prepare()
                if number % 2 == 0:
                    with _filled(disk):
                        site.declare(told)
                        time.sleep(1.0)
                else:
                    site.node.arm("mail.settled", "sleep", seconds=0.5)
                    site.declare(told)
                    site.wait_for(site.batch, told)
                    with _filled(disk):
                        time.sleep(1.5)
                healed = time.time_ns()
                site.declare(told)
                yield site.conclude(told, healed_ns=healed, seconds=15)
            yield site.last_look()
            site.kill()
        yield Trial(tries=0, broken=_integrity(disk / "notifier.db"))


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m", "none", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


@contextmanager
def _filled(disk: Path) -> Iterator[None]:
    """No byte is free for as long as the block runs."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    try:
        yield
    finally:
        filler.unlink()


def _integrity(database: Path) -> tuple[str, ...]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        said = connection.execute("PRAGMA integrity_check").fetchone()[0]
    return () if said == "ok" else (f"integrity_check says {said}",)


def _cannot_mount() -> str:
    if os.geteuid() != 0 or not shutil.which("mount"):
        return "needs root, to mount a small disk"
    return ""


def locked(ground: Ground) -> Iterator[Trial]:
    """Another program keeps the write lock while a disruption is declared and delivered."""
    database = make_url(ground.url).database or ""
    with open_site(ground) as site:
        for _ in range(ground.tries):
            told = site.prepare()
            connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
            connection.execute("BEGIN IMMEDIATE")

            def release(held: sqlite3.Connection = connection) -> None:
                held.rollback()
                held.close()

            timer = threading.Timer(_LOCKED_SECONDS, release)
            timer.start()
            site.declare(told)
            timer.join()
            healed = time.time_ns()
            site.declare(told)
            yield site.conclude(told, healed_ns=healed)
        yield site.last_look()


def restarted_server(ground: Ground) -> Iterator[Trial]:
    """PostgreSQL is restarted as by a crash, at a random moment of each fan-out.

    A server of its own, because others may be trying something else on the suite's.
    """
    with postgres_server() as server, open_site(replace(ground, url=server.get_uri())) as site:
        for _ in range(ground.tries):
            told = site.prepare()
            presser = threading.Thread(target=site.declare, args=[told])
            presser.start()
            time.sleep(ground.random.uniform(0, 0.4))
            restart(server)
            healed = time.time_ns()
            presser.join()
            _insist(site, told)
            # The answer of a batch, or of a post, may have come while there was no database.
            yield site.conclude(told, healed_ns=healed, unknown_allowed=site.batch)
        yield site.last_look()


def _insist(site: Site, told: Told) -> None:
    """Press again until the operator is told that it is published."""
    deadline = time.monotonic() + 20
    while not site.declare(told) and time.monotonic() < deadline:
        time.sleep(0.2)


#: What strace writes of the calls that matter: `-f -y` puts thread and path in.
_CALL = re.compile(
    r"^\d+ +(pwrite64|fsync|fdatasync|sendto|sendmsg)\((\d+)<([^>]*)>(.*)", re.MULTILINE
)


def order_of_writes(ground: Ground) -> Iterator[Trial]:
    """strace sees that whatever a call to a provider depends on was synced before it began.

    kill -9 keeps the kernel's cache, so it proves nothing about a power cut; the order does. A
    site that only posts has one lane, so each write of a claim belongs to the call after it.
    """
    trace = ground.folder / "trace"
    traced = "trace=pwrite64,fsync,fdatasync,sendto,sendmsg"
    with open_site(ground, customers=0, nodes=0) as site:
        # -D: what is traced stays our own child.
        site.inside = ["strace", "-D", "-f", "-y", "-qq", "-s24", "-e", traced, "-o", str(trace)]
        site.start()
        for number in range(ground.tries):
            told = site.say()
            calls = _wait_for_calls(trace, number + 1)
            yield site.conclude(told, broken=_unsynced(calls))
        yield site.last_look()


def _wait_for_calls(trace: Path, posts: int) -> str:
    deadline = time.monotonic() + 10
    while (text := trace.read_text(errors="replace")).count("POST /2/tweets") < posts:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return text


def _unsynced(text: str) -> tuple[str, ...]:
    """The calls to X that began with something of the database not yet on disk."""
    dirty: set[str] = set()
    bad = calls = 0
    for name, _descriptor, path, rest in _CALL.findall(text):
        if name == "pwrite64" and re.search(r"\.db(-wal|-journal)?$", path):
            dirty.add(path)
        elif name in ("fsync", "fdatasync"):
            dirty.discard(path)
        elif "POST /2/tweets" in rest:
            calls += 1
            bad += bool(dirty)
    if not calls:
        return ("strace saw no call to X",)
    return (f"{bad} of {calls} calls began before their claim was on disk",) if bad else ()


def _lacks(program: str) -> Callable[[], str]:
    return lambda: "" if shutil.which(program) else f"{program} is not installed"


FAULTS = (
    Fault(
        "D1",
        "the disk is full, before the press or in the middle of a fan-out",
        full_disk,
        tries=(4, 40),
        kinds=("sqlite",),
        missing=_cannot_mount,
    ),
    Fault("D2", "SQLite is locked by another program", locked, tries=(2, 20), kinds=("sqlite",)),
    Fault(
        "D4",
        "PostgreSQL restarted as by a crash, at random moments",
        restarted_server,
        tries=(20, 100),
        kinds=("postgresql",),
    ),
    Fault(
        "D6",
        "order of the calls to the kernel: the claim is synced before the provider is called",
        order_of_writes,
        tries=(10, 100),
        kinds=("sqlite",),
        missing=_lacks("strace"),
    ),
)
