"""`demo`: the whole of it on any machine, leaving nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from notifier.cli import northvale
from notifier.cli.demo_site import run_once, stage
from notifier.ports import Notifier
from notifier.store import people
from tests.processes import NOTIFIER, free_port, request_json

pytestmark = pytest.mark.slow


def environ(tmp_path: Path) -> dict[str, str]:
    """An operator's environment, with credentials that the demo must never use."""
    (tmp_path / "tmp").mkdir(exist_ok=True)
    return {
        **os.environ,
        "TMPDIR": str(tmp_path / "tmp"),
        "NOTIFIER_X__CONSUMER_KEY": "real",
        "NOTIFIER_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/real",
        "NOTIFIER_NONSENSE": "1",
    }


@contextmanager
def demo(tmp_path: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A demo that is up, and what it said."""
    output = tmp_path / "demo.out"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [*NOTIFIER, "demo", *arguments],
            env=environ(tmp_path),
            cwd=tmp_path,
            stdout=out,
            stderr=out,
        )
    end = time.monotonic() + 20
    while "Ctrl-C" not in output.read_text() and time.monotonic() < end:
        assert process.poll() is None, output.read_text()
        time.sleep(0.05)
    try:
        yield process, output.read_text()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(15)


def said(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, text
    return match[0]


def status_of(url: str) -> int:
    with urllib.request.urlopen(url, timeout=5) as answer:
        code: int = answer.status
    return code


def once(tmp_path: Path, *arguments: str) -> str:
    """What `demo --once` shows."""
    done = subprocess.run(
        [*NOTIFIER, "demo", "--once", "--port", str(free_port()), *arguments],
        env={**environ(tmp_path), "COLUMNS": "100"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_once_shows_what_was_received_and_leaves_nothing(tmp_path: Path) -> None:
    shown = once(tmp_path)
    post, _, mail = shown.partition("one of 14 by e-mail")
    assert "About 4,200 homes in Old Town have no hot water" in post
    parts = ["HOW THIS AFFECTS YOU", "HOW LONG TO EXPECT IT", "A circulation pump"]
    assert [mail.index(part) for part in parts] == sorted(mail.index(part) for part in parts)
    assert "Every message arrived once: 1 post and 14 mails." in shown
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"service": "x", "fault": "403"}, "the post on x is rejected"),
        ({"service": "sendgrid", "fault": "202_then_lost"}, "14 customers should have one mail"),
    ],
)
def test_once_fails_when_a_message_does_not_arrive(fault: dict[str, str], sentence: str) -> None:
    with stage(None, free_port()) as opened:
        status, _ = request_json("POST", f"{opened.sandbox}/_sandbox/faults", fault)
        assert status == 200
        with pytest.raises(click.ClickException, match=sentence):
            run_once(opened)


def test_it_gives_a_link_that_signs_in_and_cleans_up(tmp_path: Path) -> None:
    with demo(tmp_path, "--port", str(free_port())) as (process, text):
        assert status_of(said(r"http://\S+/sign-in/\S+", text)) == 200
        assert status_of(said(r"http://127\.0\.0\.1:\d+/(?=\n)", text)) == 200
        (folder,) = (tmp_path / "tmp").iterdir()
        sandbox = said(r"http://127\.0\.0\.1:\d+(?=/\n)", text)
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
    assert not folder.exists()
    with pytest.raises(OSError, match="refused"):
        status_of(f"{sandbox}/healthz")


def test_it_works_where_the_usual_ports_are_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with demo(tmp_path, "--port", str(port)) as (_, text):
            url = said(r"http://\S+(?=\n)", text)
            assert not url.endswith(f":{port}")
            assert status_of(f"{url}/healthz") == 200


def test_demos_that_start_together_keep_apart(tmp_path: Path) -> None:
    folders = [tmp_path / str(i) for i in range(3)]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor(3) as pool:
        for shown in pool.map(once, folders):
            assert "Every message arrived once: 1 post and 14 mails." in shown


def test_kept_data_is_gone_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    for count in (1, 2):
        once(tmp_path, "--keep", str(folder))
        lines = (folder / "sandbox.jsonl").read_text("utf-8").splitlines()
        assert len([m for m in map(json.loads, lines) if m["service"] == "x"]) == count


def test_the_made_up_utility_is_whole(n: Notifier) -> None:
    done = northvale.fill(n, password="a password of words")
    assert (done.rows, done.wrong, done.written) == (41, 0, 41)
    assert northvale.fill(n, password="another password").written == 41
    with n.db.read() as connection:
        found = people.list_components(connection)
    assert [c.slug for c in found if c.group == "Water"] == ["cold-water", "drainage"]
    assert len(found) == len(northvale.COMPONENTS)
