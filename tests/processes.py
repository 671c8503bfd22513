"""The real thing as processes of their own: `notifier sandbox`, `notifier serve`, the CLI."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

P = TypeVar("P", bound="Process")
NOTIFIER = [sys.executable, "-m", "notifier"]
SECRET = "a-secret-of-tests-only-0123456789"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass
class Process:
    """A child of this test, and what it prints."""

    popen: subprocess.Popen[bytes]
    url: str
    output: Path

    def kill(self) -> None:
        """End it as a power cut would."""
        self.popen.kill()
        self.popen.wait(10)

    def stop(self) -> int:
        """End it as an operator would; its exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(20)


@dataclass
class Sandbox(Process):
    """The sandbox, whose log is the referee."""

    log: Path
    smtp_url: str
    _read: int = 0
    _seen: list[dict[str, Any]] = field(default_factory=list)

    def messages(self, service: str | None = None) -> list[dict[str, Any]]:
        """Every accepted message so far, as customers got them."""
        if self.log.exists():
            with self.log.open("rb") as log:
                log.seek(self._read)
                # The last line may be half written.
                whole, _, _ = log.read().rpartition(b"\n")
            if whole:
                self._read += len(whole) + 1
                self._seen += [json.loads(line) for line in whole.split(b"\n")]
        # Lines about lost mail and deleted posts name no service at the top.
        accepted = [line for line in self._seen if "service" in line]
        return [m for m in accepted if service in (None, m["service"])]

    def wait_for(self, count: int, service: str, seconds: float = 15.0) -> list[dict[str, Any]]:
        """The messages of a service once there are `count`, or what there is after `seconds`."""
        end = time.monotonic() + seconds
        while len(found := self.messages(service)) < count and time.monotonic() < end:
            time.sleep(0.02)
        return found

    def fault(self, **what: Any) -> None:
        """Tell the sandbox to misbehave."""
        request_json("POST", f"{self.url}/_sandbox/faults", what)

    def events(self, **how: Any) -> dict[str, Any]:
        """What became of the Event Webhook's events, after it was told the fields of `how`."""
        method = "POST" if how else "GET"
        status, answer = request_json(method, f"{self.url}/_sandbox/events", how or None)
        assert status == 200, answer
        described: dict[str, Any] = answer
        return described

    @property
    def events_key(self) -> str:
        """The public key that verifies events, as SendGrid shows it."""
        return str(self.events()["public_key"])

    def wait_until_told(self, seconds: float = 15.0) -> dict[str, Any]:
        """`events()` once no event waits any more, or as it is after `seconds`."""
        end = time.monotonic() + seconds
        while (told := self.events())["waiting"] + told["mails_waiting"] > 0:
            if time.monotonic() > end:
                break
            time.sleep(0.02)
        return told


@contextmanager
def sandbox(folder: Path, *more: str) -> Iterator[Sandbox]:
    """A sandbox on free ports, with `more` options, ended with the block."""
    http, smtp = free_port(), free_port()
    log = folder / "accepted.jsonl"
    arguments = ["sandbox", "--port", str(http), "--smtp-port", str(smtp), "--log", str(log)]
    popen, output = _start([*arguments, *more], {}, folder, "sandbox")
    started = Sandbox(popen, f"http://127.0.0.1:{http}", output, log, f"smtp://127.0.0.1:{smtp}")
    yield from _running(started)


def environment(folder: Path, box: Sandbox, **more: str) -> dict[str, str]:
    """Settings of a notifier that keeps its data in `folder` and talks to `box`."""
    config = folder / "notifier.toml"
    config.touch()
    return {
        "NOTIFIER_CONFIG": str(config),
        "NOTIFIER_DATABASE_URL": f"sqlite:///{folder / 'notifier.db'}",
        "NOTIFIER_SECRET_KEY": SECRET,
        "NOTIFIER_X__API_URL": box.url,
        "NOTIFIER_SENDGRID__API_URL": box.url,
        "NOTIFIER_SMTP__URL": box.smtp_url,
        "NOTIFIER_EMAIL__FROM": "Northvale Heat <status@northvale.example>",
        "NOTIFIER_SITE__NAME": "Northvale Heat",
        "NOTIFIER_SITE__TIME_ZONE": "Asia/Karachi",
        **more,
    }


@contextmanager
def server(folder: Path, settings: Mapping[str, str], port: int | None = None) -> Iterator[Process]:
    """`notifier serve`, ended with the block."""
    port = port or free_port()
    popen, output = _start(["serve", "--port", str(port)], settings, folder, "serve")
    yield from _running(Process(popen, f"http://127.0.0.1:{port}", output))


@contextmanager
def worker(
    folder: Path, settings: Mapping[str, str], name: str = "work", *, concurrency: int = 2
) -> Iterator[Process]:
    """`notifier work`, ended with the block; `name` is that of the file it prints to."""
    arguments = ["work", "--concurrency", str(concurrency)]
    popen, output = _start(arguments, settings, folder, name)
    working = Process(popen, "", output)
    try:
        _wait_until_it_says(working, "notifier works")
        yield working
    finally:
        if popen.poll() is None:
            working.kill()


def run_cli(
    *arguments: str, settings: Mapping[str, str], folder: Path, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `notifier ARGUMENTS` to its end."""
    return subprocess.run(
        [*NOTIFIER, *arguments],
        env=_environ(settings),
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def request_json(
    method: str, url: str, body: Any = None, *, token: str = "", **headers: str
) -> tuple[int, Any]:
    """(status, JSON) of one request; an error status does not raise."""
    request = urllib.request.Request(url, method=method)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def _environ(settings: Mapping[str, str]) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("NOTIFIER_")}
    return {**inherited, **settings}


def _start(
    arguments: list[str], settings: Mapping[str, str], folder: Path, name: str
) -> tuple[subprocess.Popen[bytes], Path]:
    output = folder / f"{name}.out"
    with output.open("ab") as out:
        popen = subprocess.Popen(
            [*NOTIFIER, *arguments],
            env=_environ(settings),
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    return popen, output


def _running(process: P) -> Iterator[P]:
    try:
        _wait_until_up(process)
        yield process
    finally:
        if process.popen.poll() is None:
            process.kill()


def _wait_until_it_says(process: Process, words: str) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.popen.poll() is None:
        if words in process.output.read_text():
            return
        time.sleep(0.02)
    raise AssertionError(f"it does not say {words!r}:\n{process.output.read_text()}")


def _wait_until_up(process: Process) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if process.popen.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{process.url}/healthz", timeout=2):
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"{process.url} did not come up:\n{process.output.read_text()}")
