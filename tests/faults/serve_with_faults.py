"""`notifier serve` with failpoints and a clock that can be put wrong, as a process of its own.

    python -m tests.faults.serve_with_faults PORT FOLDER

What comes up is the real site; only `failpoint` and `clock` of `notifier.app.build` are given.
Two files of FOLDER, which may change at any time, say what to do:

* `order.json`: `{"id": 1, "step": "post.claimed", "hit": 1, "act": "kill", "seconds": 0}`. At
  that hit of the step, counted from when the order is first seen, the process kills itself
  (SIGKILL), stops (SIGSTOP), sleeps, or the step raises. An order is obeyed once.
* `clock`: by how many seconds this process's clock is wrong.

`hits` gets a line for every step that was reached, and `threads.json` has the name of each thread
that it starts with, by the number that the kernel knows it by. Where the variable FAULTS_THREADS
says how many threads answer requests, it is as many instead of eight.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from notifier.app import build, load_settings
from notifier.cli.server import end_on_signals, open_site, start_logging
from notifier.ports import Step

ORDER, HITS, CLOCK, THREADS = "order.json", "hits", "clock", "threads.json"


class Struck(RuntimeError):
    """What a step raises that was told to."""


class Failpoints:
    """Does at a step what the order of this folder asks for. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._order = folder / ORDER
        self._hits = os.open(folder / HITS, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        self._counted = (0, 0)
        self._lock = threading.Lock()
        self._acts: Mapping[str, Callable[[float], None]] = {
            "kill": lambda _seconds: os.kill(os.getpid(), signal.SIGKILL),
            "stop": lambda _seconds: os.kill(os.getpid(), signal.SIGSTOP),
            "raise": _fail,
            "sleep": time.sleep,
        }

    def __call__(self, step: Step) -> None:
        os.write(self._hits, f"{step}\n".encode())
        if order := self._take(step):
            self._acts[order["act"]](order["seconds"])

    def _take(self, step: Step) -> dict[str, Any] | None:
        """The order that strikes at this hit; then it is gone."""
        with self._lock:
            try:
                order: dict[str, Any] = json.loads(self._order.read_bytes())
            except FileNotFoundError:
                return None
            if order["step"] != step:
                return None
            number, count = self._counted
            self._counted = order["id"], (count if number == order["id"] else 0) + 1
            if self._counted[1] < order["hit"]:
                return None
            self._order.unlink()
            return order


def _fail(_seconds: float) -> None:
    raise Struck("the fault suite asked for this")


def skewed_clock(folder: Path) -> Callable[[], datetime]:
    """The time of day, wrong by what the file says at that moment."""
    file = folder / CLOCK

    def now() -> datetime:
        wrong = float(file.read_text()) if file.exists() else 0.0
        return datetime.now(UTC) + timedelta(seconds=wrong)

    return now


def main() -> None:
    """Serve until told to end."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    settings = load_settings()
    start_logging(settings.log_level)
    end_on_signals()
    make = partial(build, clock=skewed_clock(folder), failpoint=Failpoints(folder))
    threads = int(os.environ.get("FAULTS_THREADS", "8"))
    with open_site(settings, host="127.0.0.1", port=port, threads=threads, build=make) as site:
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        (folder / THREADS).write_text(json.dumps(names))
        site.run()


if __name__ == "__main__":
    main()
