"""The sandbox as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COMMAND = [sys.executable, "-c", "from notifier.cli.sandbox import sandbox; sandbox()"]


@dataclass
class RunningSandbox:
    """Has the addresses under the names that `Sandbox` has."""

    popen: subprocess.Popen[str]
    said: str
    http_url: str
    smtp_url: str


@contextmanager
def start_sandbox(folder: Path, *more: str, under: Sequence[str] = ()) -> Iterator[RunningSandbox]:
    """A sandbox that logs to `folder`/log.jsonl, run by the command `under` if one is given."""
    options = ["--port", "0", "--smtp-port", "0", "--log", str(folder / "log.jsonl"), *more]
    popen = subprocess.Popen([*under, *COMMAND, *options], stdout=subprocess.PIPE, text=True)
    assert popen.stdout is not None
    lines = [popen.stdout.readline() for _ in range(4)]
    http_url, smtp_url = (line.rsplit(": ", 1)[1].strip() for line in lines[:2])
    try:
        yield RunningSandbox(popen, "".join(lines), http_url, smtp_url)
    finally:
        popen.terminate()
        popen.wait(10)
        popen.stdout.close()


def run_sandbox_to_its_end(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A sandbox that cannot start."""
    return subprocess.run(
        [*COMMAND, *options, "--log", str(folder / "other.jsonl")],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
