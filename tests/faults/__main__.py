"""`python -m tests.faults`: break it in every way this machine can, and let the referee judge.

Exit code 0 when every bound holds, 1 when one is broken, 2 when a signal ended the run before its
time. FAULTS_JSON=FILE also writes the rows there. Every process is started here, talks to 127.0.0.1
only, and is ended by its own id.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults import (
    alarms,
    clocks,
    crashes,
    disks,
    nodes,
    operators,
    providers,
    syscalls,
    transport,
)
from tests.faults.databases import open_databases
from tests.faults.report import Row, print_table, write_json
from tests.faults.trial import BOTH, Fault, Ground, Kind, Maker, Trial

FAMILIES = (alarms, crashes, syscalls, providers, transport, disks, clocks, nodes, operators)
ALL: tuple[Fault, ...] = tuple(fault for family in FAMILIES for fault in family.FAULTS)


class Clock:
    """Until when further tries are begun; and whether a signal ended the run.

    When the time is up, what was not tried yet is still tried once.
    """

    def __init__(self, minutes: float) -> None:
        self._until = time.monotonic() + minutes * 60 if minutes else float("inf")
        self.was_ended = False

    def listen(self) -> None:
        """End on Ctrl-C and SIGTERM after the tries under way, so that no process is left over."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self.end())

    def end(self) -> None:
        """Begin nothing more."""
        _say("ending after the tries under way")
        self.was_ended = True
        self._until = 0.0

    @property
    def is_over(self) -> bool:
        """Whether nothing is tried again."""
        return time.monotonic() > self._until


def main() -> int:
    """Try what was asked for; 0 when every bound holds."""
    asked = _read_arguments()
    kinds: Sequence[Kind] = BOTH if asked.database == "both" else (asked.database,)
    chosen = [f for f in ALL if not asked.only or f.name.split()[0] in asked.only]
    _say(f"seed {asked.seed}: --seed {asked.seed} repeats this run")
    begun = time.monotonic()
    clock = Clock(asked.minutes)
    clock.listen()
    with open_databases(kinds) as makers:
        rows = _try_all(chosen, makers, asked, clock)
    print_table(rows)
    write_json(rows, seed=asked.seed, seconds=time.monotonic() - begun)
    print(f"\n{sum(r.total('tries') for r in rows)} tries in {time.monotonic() - begun:.0f} s")
    if not all(row.is_good for row in rows):
        return 1
    return 2 if clock.was_ended else 0


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--database", choices=[*BOTH, "both"], default="both")
    names = sorted({fault.name.split()[0] for fault in ALL})
    parser.add_argument("--only", action="append", choices=names, help="only this row")
    parser.add_argument("--tries", type=int, help="how often each fault is tried")
    parser.add_argument("--full", action="store_true", help="the full sweep")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--jobs", type=int, default=8, help="faults tried at the same time")
    parser.add_argument(
        "--minutes", type=float, default=0, help="repeat nothing after this long; 0: no limit"
    )
    return parser.parse_args()


def _try_all(
    chosen: Sequence[Fault], makers: dict[Kind, Maker], asked: argparse.Namespace, clock: Clock
) -> list[Row]:
    """Some at a time, because much of it is waiting for a dead node's silence to be noticed."""

    def one(what: tuple[Fault, Kind]) -> Row:
        fault, kind = what
        if clock.was_ended:
            return Row(fault, kind, [], skipped="the run was ended before it")
        tries = 1 if clock.is_over else asked.tries or _tries(fault, kind, full=asked.full)
        row = try_one(fault, kind, makers[kind], tries=tries, seed=asked.seed, clock=clock)
        _say(f"{fault.name} on {kind}: {row.verdict}")
        return row

    pairs = [(fault, kind) for fault in chosen for kind in makers if kind in fault.kinds]
    with ThreadPoolExecutor(asked.jobs) as pool:
        return list(pool.map(one, pairs))


def _tries(fault: Fault, kind: Kind, *, full: bool) -> int:
    """Half as many where both databases are tried and a dead node is noticed by its silence."""
    tries = fault.tries[full]
    return -(-tries // 2) if kind == "postgresql" and len(fault.kinds) == 2 else tries


def try_one(
    fault: Fault, kind: Kind, make: Maker, *, tries: int, seed: int, clock: Clock | None = None
) -> Row:
    """One fault on one kind of database, in a folder of its own that is kept when it breaks."""
    if why := fault.missing():
        return Row(fault, kind, [], skipped=why)
    folder = Path(tempfile.mkdtemp(prefix=f"notifier-fault-{fault.name.split()[0]}-"))
    luck = random.Random(f"{seed} {fault.name} {kind}")
    ground = Ground(folder, kind, make(folder), luck, tries, make)
    trials: list[Trial] = []
    failed = ""
    try:
        for trial in fault.run(ground):
            trials.append(trial)
            done = sum(t.tries for t in trials)
            if trial.tries:
                _say(f"  {fault.name} on {kind}: {done} of {tries}")
            # Whoever has done all of them still takes a last look.
            if clock and clock.is_over and 0 < done < tries:
                break
    except Exception as error:
        traceback.print_exc()
        failed = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    row = Row(fault, kind, trials, failed=failed)
    if row.is_good:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        _say(f"  what the processes wrote is kept in {folder}")
    return row


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
