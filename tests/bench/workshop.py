"""What the measurements share: a folder on a real disk, child processes, and the mail to send."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.house import make_database
from tests.bench.sample import take_sample

ROOT = Path(__file__).resolve().parents[2]


class Broken(RuntimeError):
    """A measurement went wrong, so that its figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int
    declares: int
    mails: int
    letters: int
    peer_letters: int
    few: int
    many: int
    #: Mails that a ledger holds already, and the customers who got them.
    old_mails: int
    old_customers: int
    #: Of each comparison of a small database with a large one.
    growth_rounds: int
    #: How long requests of monitoring tools are counted, and how many alerts a storm has.
    hook_seconds: int
    storm_alerts: int


FULL = Sizes(
    rounds=3,
    declares=150,
    mails=100_000,
    letters=20_000,
    peer_letters=4_000,
    few=10_000,
    many=1_000_000,
    old_mails=10_000_000,
    old_customers=200_000,
    growth_rounds=3,
    hook_seconds=8,
    storm_alerts=100_000,
)
QUICK = Sizes(
    rounds=3,
    declares=40,
    mails=50_000,
    letters=2_500,
    peer_letters=500,
    few=10_000,
    many=100_000,
    old_mails=500_000,
    old_customers=50_000,
    growth_rounds=1,
    hook_seconds=3,
    storm_alerts=5_000,
)


@dataclass(frozen=True, slots=True)
class Workshop:
    """A folder for the run, and how much is measured."""

    folder: Path
    sizes: Sizes

    def database(self, customers: int) -> Path:
        """A fresh copy of a database with this many customers, with nothing declared yet."""
        made = self.folder / f"{customers}.db"
        if not made.exists():
            say(f"making a database of {customers:,} customers")
            make_database(made, customers)
        copy = self.folder / "run.db"
        for leftover in self.folder.glob("run.db*"):
            leftover.unlink()
        shutil.copyfile(made, copy)
        return copy

    def sample(self, customers: int) -> Path:
        """A file with the mail that these customers get from us, for a peer to send."""
        path = self.folder / f"sample-{customers}.json"
        if not path.exists():
            path.write_text(json.dumps(take_sample(self.database(customers))))
        return path


@contextmanager
def open_workshop(sizes: Sizes) -> Iterator[Workshop]:
    """A workshop whose folder is removed afterwards.

    It is below the project, because the folder for temporary files is often in memory, where a
    commit costs nothing.
    """
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=build) as folder:
        yield Workshop(Path(folder), sizes)


def say(what: str) -> None:
    """Tell whoever waits what is going on."""
    print(f"bench: {what}", file=sys.stderr, flush=True)


def find_tool(name: str) -> str | None:
    """The path of a program, which may stand where only root's PATH looks (Postfix's), or be
    unpacked by `make senders`."""
    unpacked = ":".join(map(str, ROOT.glob("build/senders/*/usr/*bin")))
    elsewhere = f"/usr/sbin:/usr/local/sbin:{unpacked}"
    return shutil.which(name) or shutil.which(name, path=elsewhere)


def run_module(module: str, *arguments: object) -> dict[str, Any]:
    """Run `python -m tests.bench.<module>`; the JSON object it prints. Raises Broken."""
    return run_to_json([sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)])


def run_to_json(command: list[str]) -> dict[str, Any]:
    """Run a process of ours or a peer's; the JSON object it prints. Raises Broken."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise Broken(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return printed


@contextmanager
def running(command: list[str], output: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended with the block. Its output goes to a pipe, or to a file."""
    with output.open("w") if output else nullcontext(subprocess.PIPE) as stdout:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=stdout, text=True
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


@dataclass(frozen=True, slots=True)
class Sink:
    """The process of `tests.bench.sink`."""

    port: int

    @property
    def url(self) -> str:
        """Where it takes mail."""
        return f"http://127.0.0.1:{self.port}"

    def take_counts(self, *, expected: int) -> dict[str, int]:
        """What came since the last time. Raises Broken unless it was for `expected` recipients."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/")
        counts: dict[str, int] = json.loads(connection.getresponse().read())
        connection.close()
        if counts["recipients"] != expected:
            raise Broken(f"mail for {counts['recipients']} of {expected} recipients arrived")
        return counts


@contextmanager
def http_sink(delay: float = 0.0) -> Iterator[Sink]:
    """A sink that takes mail as SendGrid does, and answers after `delay` seconds."""
    with running([sys.executable, "-m", "tests.bench.sink", str(delay)]) as process:
        assert process.stdout
        yield Sink(int(process.stdout.readline()))


def wait_for_port(port: int) -> None:
    """Return once somebody listens. Raises Broken after five seconds."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise Broken(f"nobody listens on port {port}")
