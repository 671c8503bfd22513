"""Processes of this tree, and a database with customers in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import notifier
from notifier.app import build, load_settings
from notifier.domain.access import Role
from notifier.ports import Notifier
from notifier.services import access, audience
from notifier.services.importing import import_customers
from tests.processes import Process, Sandbox, free_port, request_json

ROOT = Path(notifier.__file__).parents[1]
#: One zone is one variant, and no batch holds two variants: so a batch is as large as a zone.
ZONES = ("Africa/Lagos", "America/Bogota", "Asia/Karachi", "Europe/Berlin", "Pacific/Auckland")
#: Alembic keeps what it works on in global variables, so one schema is made at a time.
MAKING_A_SCHEMA = threading.Lock()
_START_SECONDS = 30.0


def start_sandbox(folder: Path) -> Sandbox:
    """A sandbox on free ports, which is not up yet."""
    http, smtp = free_port(), free_port()
    log = folder / "accepted.jsonl"
    popen, output = _spawn_sandbox(folder, http, smtp, log)
    return Sandbox(popen, f"http://127.0.0.1:{http}", output, log, f"smtp://127.0.0.1:{smtp}")


def restart_sandbox(box: Sandbox) -> None:
    """Start it again after it was killed, where it was; its log goes on."""
    http, smtp = urlsplit(box.url).port or 0, urlsplit(box.smtp_url).port or 0
    box.popen, _ = _spawn_sandbox(box.log.parent, http, smtp, box.log)
    wait_until_up(box)


def clear_faults(box: Sandbox) -> int:
    """Let nothing fail any more; how many failures that were ordered have not happened."""
    url = f"{box.url}/_sandbox/faults"
    pending = request_json("GET", url)[1]["faults"]
    request_json("DELETE", url)
    return len(pending)


def _spawn_sandbox(
    folder: Path, http: int, smtp: int, log: Path
) -> tuple[subprocess.Popen[bytes], Path]:
    ports = ["--port", str(http), "--smtp-port", str(smtp)]
    command = ["-m", "notifier", "sandbox", *ports, "--log", str(log)]
    return spawn(command, {}, folder, "sandbox")


def fill(settings: Mapping[str, str], customers: int) -> tuple[str, frozenset[str]]:
    """A component and its customers in the database; (an API token, the addresses)."""
    with MAKING_A_SCHEMA:
        n = build(load_settings(environ=settings))
    try:
        audience.put_component(n, slug_="heat", name="Heat")
        if customers:
            _import(n, customers)
        token = access.create_token(n, role=Role.ADMIN, name="faults")
    finally:
        n.db.close()
    return token, frozenset(f"c{i}@example.com" for i in range(customers))


def _import(n: Notifier, customers: int) -> None:
    rows = (
        f"c{i},c{i}@example.com,Reader {i},en,{ZONES[i % len(ZONES)]},heat"
        for i in range(customers)
    )
    file = "\n".join(["external_id,email,name,language,time_zone,components", *rows])
    import_customers(n, BytesIO(file.encode()), on_problem=_refuse, on_progress=lambda *_: None)


def spawn(
    arguments: Sequence[str],
    settings: Mapping[str, str],
    folder: Path,
    name: str,
    *,
    before: Sequence[str] = (),
) -> tuple[subprocess.Popen[bytes], Path]:
    """A Python process of this tree, started by the command `before`; the file it prints to."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("NOTIFIER_")}
    output = folder / f"{name}.out"
    with output.open("ab") as out:
        popen = subprocess.Popen(
            [*before, sys.executable, *arguments],
            env={**inherited, "PYTHONPATH": str(ROOT), **settings},
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    return popen, output


def wait_until_up(process: Process) -> None:
    """Wait until it answers. Raises AssertionError with what it printed when it does not."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.popen.poll() is None:
        try:
            with urllib.request.urlopen(f"{process.url}/healthz", timeout=2):
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"{process.url} did not come up:\n{process.output.read_text()[-3000:]}")


def end(process: Process) -> None:
    """End a process that this suite started, whatever state it is in."""
    if process.popen.poll() is None:
        process.popen.send_signal(signal.SIGCONT)
        process.kill()


def _refuse(problem: object) -> None:
    raise AssertionError(f"the suite's own customers are wrong: {problem}")
