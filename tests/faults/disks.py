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
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

from tests.faults.databases import find_damage, postgres_server, restart
from tests.faults.site import Site, Told, open_site
from tests.faults.trial import Fault, Ground, Trial
from tests.processes import request_json

_DISK_MB = 12
#: A new cluster takes 45 MB, and keeps up to 80 MB of old log files (min_wal_size).
_CLUSTER_MB = 160
#: How soon after there is room again everything has left.
_ROOM_SECONDS = 10.0
#: The longest that a declaration may wait for a lock before it is refused (store/sqlite.py).
_LOCKED_SECONDS = 4.0


def full_disk(ground: Ground) -> Iterator[Trial]:
    """Full before the press, or in the middle of the fan-out; then there is room again."""
    with _small_disk(ground.folder / "disk", megabytes=_DISK_MB) as disk:
        place = replace(ground, url=f"sqlite:///{disk / 'notifier.db'}")
        with open_site(place, customers=200) as site:
            for number in range(ground.tries):
                told = site.prepare()
                broken: tuple[str, ...] = ()
                if number % 2 == 0:
                    with _filled(disk):
                        broken = _press_on_a_full_disk(site, told)
                        time.sleep(1.0)
                else:
                    site.node.arm("mail.settled", "sleep", seconds=0.5)
                    site.declare(told)
                    site.wait_for(site.batch, told)
                    with _filled(disk):
                        time.sleep(1.5)
                healed = time.time_ns()
                site.declare(told)
                yield site.conclude(told, healed_ns=healed, seconds=_ROOM_SECONDS, broken=broken)
            yield site.last_look()
            site.kill()
        yield Trial(tries=0, broken=_integrity(disk / "notifier.db"))


@contextmanager
def _small_disk(folder: Path, *, megabytes: int) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)]
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


def full_cluster(ground: Ground) -> Iterator[Trial]:
    """PostgreSQL's disk is full: before the press or in the middle of the fan-out, by turns.

    Every other time so is its write-ahead log. That ends PostgreSQL, and it does not come up again
    before there is room and somebody starts it. In the middle means: with an answer that is known
    and not yet written.
    """
    with (
        _small_disk(ground.folder / "disk", megabytes=_CLUSTER_MB) as disk,
        postgres_server(disk) as server,
    ):
        with open_site(replace(ground, url=server.get_uri()), customers=200) as site:
            for number in range(ground.tries):
                told = site.prepare()
                in_the_middle, and_its_log = bool(number % 2), bool(number // 2 % 2)
                if in_the_middle:
                    site.node.arm("mail.answered", "sleep", seconds=1.0)
                    site.declare(told)
                    site.wait_for(site.batch, told)
                with _filled(disk):
                    if and_its_log:
                        _end_by_its_log(server)
                    broken = () if in_the_middle else _press_on_a_full_disk(site, told)
                    time.sleep(1.5)
                if and_its_log:
                    restart(server)
                healed = time.time_ns()
                site.declare(told)
                yield site.conclude(told, healed_ns=healed, seconds=_ROOM_SECONDS, broken=broken)
            yield site.last_look()
            site.kill()
        yield Trial(tries=0, broken=find_damage(server))


def _end_by_its_log(server: Any) -> None:
    """Write until PostgreSQL needs one more file for its log. It gives up, and stays down."""
    more = "SELECT pg_logical_emit_message(true, 'faults', 'more'), pg_switch_wal()"
    with contextlib.suppress(psycopg.OperationalError):
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            for _ in range(_CLUSTER_MB):
                connection.execute(more)
        raise AssertionError("PostgreSQL found room for its log on a full disk")


def _press_on_a_full_disk(site: Site, told: Told) -> tuple[str, ...]:
    """The declaration is kept, or refused in words and then nothing of it leaves."""
    url = f"{site.node.url}/api/v1/incidents"
    status, answer = request_json(
        "POST", url, told.body, token=site.token, Idempotency_Key=told.key
    )
    if status == 201:
        told.incident = answer["id"]
        return ()
    time.sleep(1.0)
    found = site.look(told)
    return tuple(
        sentence
        for sentence, is_so in (
            (f"refused with {status} and no words", not (answer and answer.get("detail"))),
            ("refused, and a post left", not found.missing_posts),
            ("refused, and mails left", found.missing != told.expected.readers),
        )
        if is_so
    )


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
    Fault(
        "D1 cluster",
        "PostgreSQL's disk is full, before the press or in the middle; so full that it ends",
        full_cluster,
        tries=(4, 40),
        kinds=("postgresql",),
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
