"""The log is the referee: what it holds must be complete, in order, and on disk in time."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tweepy

from notifier.sandbox.log import Log
from notifier.sandbox.process import Sandbox
from tests.sandbox.clients import accepted, posting, raw_lines
from tests.sandbox.programs import run_sandbox_to_its_end, start_sandbox

ENTRY = b'{"service":"smtp","id":"%d.1","to":"a@example.org"}'


def test_every_line_has_its_number_whoever_writes_at_the_same_time(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: log.append([ENTRY % i, ENTRY % i]), range(50)))
    lines = [json.loads(line) for line in log.path.read_bytes().split(b"\n")[:-1]]
    assert [line["seq"] for line in lines] == list(range(1, 101))
    assert [line["id"] for line in lines[::2]] == [line["id"] for line in lines[1::2]]
    assert sorted(int(line["id"][:-2]) for line in lines[::2]) == list(range(50))
    log.close()


def test_it_is_on_disk_before_the_sender_is_answered(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if (
        strace is None
        or subprocess.run([strace, "-o", "/dev/null", "true"], check=False).returncode
    ):
        pytest.skip("strace cannot be used here: the order of fsync and answer was not observed")
    trace = tmp_path / "trace"
    # -D: the sandbox is our child, and strace its watcher
    under = [strace, "-D", "-f", "-o", str(trace), "-e", "trace=fsync,sendto"]
    with start_sandbox(tmp_path, under=under) as box, posting(box) as post:
        post("On disk?")
    wait_for("+++ exited", trace)
    calls = [line for line in trace.read_text().splitlines() if "fsync(" in line or "201 " in line]
    assert len(calls) == 2, calls
    assert "fsync(" in calls[0]
    assert "HTTP/1.1 201" in calls[1]


def test_a_line_cut_by_a_crash_is_dropped_and_the_count_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with Sandbox(path) as first, posting(first) as post:
        post("One")
    with path.open("ab") as file:
        file.write(b'{"seq":2,"at":"2026-')
    with Sandbox(path) as second, posting(second) as post:
        post("Two")
        assert [(line["seq"], line["text"]) for line in accepted(second)] == [
            (1, "One"),
            (2, "Two"),
        ]
        assert raw_lines(second) == accepted(second)


def test_two_sandboxes_cannot_share_one_log(box: Sandbox) -> None:
    with pytest.raises(BlockingIOError):
        Sandbox(box.log.path).start()


def test_another_file_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Shopping list\n")
    with pytest.raises(ValueError, match="not a line of a sandbox log"):
        Sandbox(path).start()
    assert path.read_text() == "Shopping list\n"


def test_when_the_disk_is_full_nothing_is_accepted_and_the_log_stays_whole(tmp_path: Path) -> None:
    small_files = ["sh", "-c", 'ulimit -f 2; exec "$@"', "sh"]  # 2 blocks of 512 or 1024 bytes
    posted: list[str] = []
    with (
        start_sandbox(tmp_path, under=small_files) as box,
        posting(box) as post,
        pytest.raises(tweepy.TwitterServerError, match="503"),
    ):
        post_until_refused(post, posted)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert posted
    assert [line["text"] for line in lines] == posted


def test_a_separator_in_a_text_does_not_break_its_line(box: Sandbox, x: tweepy.Client) -> None:
    text = "One\u2028two\u2029three\x85four\nfive"
    x.create_tweet(text=text)
    assert len(box.log.path.read_text("utf-8").splitlines()) == 1
    assert accepted(box)[0]["text"] == text


def test_a_line_says_who_got_what_and_when(box: Sandbox, x: tweepy.Client) -> None:
    answer = x.create_tweet(text="No hot water in Mill Lane")
    [line] = accepted(box)
    assert line["id"] == answer.data["id"]
    assert line["service"] == "x"
    assert line["text"] == "No hot water in Mill Lane"
    assert line["weight"] == 25
    assert line["request"] == 1
    assert line["at"].endswith("Z")
    assert line["received_ns"] > 1_700_000_000 * 10**9


def test_sigterm_ends_it_in_good_order(tmp_path: Path) -> None:
    with start_sandbox(tmp_path) as box, posting(box) as post:
        post("Hello")
        box.popen.terminate()
        assert box.popen.wait(10) == 0


def test_a_post_survives_kill_9_of_the_sandbox(tmp_path: Path) -> None:
    with start_sandbox(tmp_path) as box, posting(box) as post:
        post("Hello")
        box.popen.kill()
        box.popen.wait(10)
    with (
        Sandbox(tmp_path / "log.jsonl") as again,
        posting(again) as post,
        pytest.raises(tweepy.Forbidden, match="duplicate content"),
    ):
        post("Hello")


def test_the_command_says_where_it_listens(tmp_path: Path) -> None:
    with start_sandbox(tmp_path) as box:
        assert f"what customers see: {box.http_url}" in box.said
        assert "SMTP: smtp://127.0.0.1:" in box.said
        assert str((tmp_path / "log.jsonl").resolve()) in box.said


def test_a_taken_port_is_explained(box: Sandbox, tmp_path: Path) -> None:
    port = box.http_url.rsplit(":", 1)[1]
    ended = run_sandbox_to_its_end(tmp_path, "--port", port, "--smtp-port", "0")
    assert ended.returncode == 1
    assert ended.stderr == (
        "Error: a port is taken: end the other program or choose --port and --smtp-port\n"
    )


def post_until_refused(post: Callable[[str], str], posted: list[str]) -> None:
    for number in range(10):
        text = f"Post {number}, with which the file's limit falls into the middle of a line"
        post(text)
        posted.append(text)


def wait_for(text: str, path: Path) -> None:
    end = time.monotonic() + 20
    while text not in path.read_text() and time.monotonic() < end:
        time.sleep(0.01)
