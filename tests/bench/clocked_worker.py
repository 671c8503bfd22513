"""Process: `notifier work` whose posts go nowhere, which says when each was claimed.

    python -m tests.bench.clocked_worker DATABASE_URL

Prints `ready`, then the time.time_ns() of each claim, one a line, until it is killed.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

from notifier.app import build, load_settings
from notifier.cli.worker import open_worker, wait
from notifier.domain.delivery import Outcome, Sent, Unknown
from notifier.ports import Step
from tests.bench.house import environment


class SilentPosts:
    """A channel on which a post is at once, and nobody sees it."""

    name = "x"
    limit = 280
    refuses_repeats = False
    rate = None

    def measure(self, text: str) -> int:
        """Its characters."""
        return len(text)

    def send(self, _text: str) -> Outcome:
        """Sent."""
        return Sent("1")

    def find(self, _text: str) -> Outcome:
        """Nobody can tell."""
        return Unknown("nothing is kept")

    def link(self, _reference: str) -> str:
        """None."""
        return ""


def main(database_url: str) -> None:
    """Work until killed."""
    environ = environment(database_url, queue="distributed")
    settings = load_settings(environ=environ, path=Path(os.devnull))
    clocked = partial(build, failpoint=_tell, posts={"x": SilentPosts()})
    with open_worker(settings, concurrency=1, build=clocked):
        print("ready", flush=True)
        wait()


def _tell(step: Step) -> None:
    if step == "post.claimed":
        print(time.time_ns(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
