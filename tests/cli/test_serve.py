"""`serve` as a process of its own: how it starts, how it refuses, how it ends."""

from __future__ import annotations

import shlex
import signal
import socket
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest

from tests.processes import (
    SECRET,
    Sandbox,
    environment,
    free_port,
    request_json,
    run_cli,
    sandbox,
    server,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def box(tmp_path: Path) -> Sandbox:
    """Where a sandbox would be. None runs, so what is sent fails; that is no concern here."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    return Sandbox(None, nowhere, tmp_path / "x", tmp_path / "y", "smtp://127.0.0.1:9")  # type: ignore[arg-type]


def test_it_says_where_it_listens_and_what_it_talks_to(tmp_path: Path, box: Sandbox) -> None:
    with server(tmp_path, environment(tmp_path, box)) as serving:
        assert serving.stop() == 0
    said = serving.output.read_text()
    assert f"notifier listens on {serving.url}" in said
    assert f"Posts: x, the sandbox at {box.url} (no credentials set)" in said
    assert f"E-mail: sendgrid, the sandbox at {box.url} (no credentials set)" in said
    assert "Traceback" not in said


def test_the_second_server_of_a_database_is_refused(tmp_path: Path, box: Sandbox) -> None:
    settings = environment(tmp_path, box)
    with server(tmp_path, settings) as serving:
        second = run_cli("serve", "--port", "0", settings=settings, folder=tmp_path)
        assert second.returncode == 1
        assert f"process {serving.popen.pid} already serves this database" in second.stderr
        assert len(second.stderr.splitlines()) == 1


def test_after_kill_9_the_next_server_starts(tmp_path: Path, box: Sandbox) -> None:
    settings = environment(tmp_path, box)
    with server(tmp_path, settings) as first:
        first.kill()
    with server(tmp_path, settings) as second:
        assert second.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_cleanly_when_asked(tmp_path: Path, box: Sandbox, number: signal.Signals) -> None:
    with server(tmp_path, environment(tmp_path, box)) as serving:
        serving.popen.send_signal(number)
        assert serving.popen.wait(15) == 0


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"NOTIFIER_SECRET_KEY": ""}, "secret_key is missing"),
        ({"NOTIFIER_DATABASE_URL": "sqlite:////nowhere/x.db"}, "folder /nowhere cannot be written"),
        ({"NOTIFIER_DATABASE_URL": "notifier.db"}, "database_url must be like sqlite:///"),
        ({"NOTIFIER_SMTP__PASSWORD": "geheim"}, "unknown setting"),
        ({"NOTIFIER_POSTS__CHANNELS": "telegram"}, "posts.channels names 'telegram'"),
    ],
)
def test_it_refuses_to_start_in_one_sentence(
    tmp_path: Path, box: Sandbox, changed: dict[str, str], sentence: str
) -> None:
    settings = environment(tmp_path, box, **changed)
    refused = run_cli("serve", "--port", "0", settings=settings, folder=tmp_path)
    assert refused.returncode in (1, 2)
    assert sentence in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert "geheim" not in refused.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path, box: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = run_cli(
            "serve", "--port", port, settings=environment(tmp_path, box), folder=tmp_path
        )
    assert refused.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in refused.stderr


def test_no_credential_is_ever_printed(tmp_path: Path) -> None:
    secrets = {
        "NOTIFIER_X__CONSUMER_KEY": "geheim-1",
        "NOTIFIER_X__CONSUMER_SECRET": "geheim-2",
        "NOTIFIER_X__ACCESS_TOKEN": "geheim-3",
        "NOTIFIER_X__ACCESS_TOKEN_SECRET": "geheim-4",
        "NOTIFIER_SENDGRID__API_KEY": "SG.geheim-5",
        "NOTIFIER_LOG_LEVEL": "debug",
    }
    with sandbox(tmp_path) as box:
        settings = environment(tmp_path, box, **secrets)

        def cli(line: str) -> subprocess.CompletedProcess[str]:
            return run_cli(*shlex.split(line), settings=settings, folder=tmp_path)

        cli("components put heat --name Heat")
        cli("customers put c1 --email a@example.com --component heat")
        with server(tmp_path, settings) as serving:
            declared = cli(
                "declare --title T --severity major --components heat --impact I --explanation E"
                " --expect-unknown --next-update-by +1h --email-delay-minutes 0 --wait 10"
            )
            assert "x: rejected (X does not accept our keys" in declared.stdout
            assert declared.returncode == 1
            serving.stop()
    said = serving.output.read_text() + declared.stdout + declared.stderr
    assert "notifier.services.posting" in said
    assert "geheim" not in said
    assert SECRET not in said


def test_ten_megabytes_get_the_api_s_own_refusal(tmp_path: Path, box: Sandbox) -> None:
    settings = environment(tmp_path, box)
    token = run_cli(
        "token", "create", "--role", "admin", "--name", "t", settings=settings, folder=tmp_path
    ).stdout.strip()
    with server(tmp_path, settings) as serving:
        url = f"{serving.url}/api/v1/incidents"
        status, problem = request_json("POST", url, {"title": "x" * 10_000_000}, token=token)
        assert (status, problem["status"]) == (413, 413)
        status, problem = request_json("GET", f"{url}/1", token=token)
        assert (status, problem["detail"]) == (404, "There is no incident 1.")


def test_a_request_under_way_is_answered_before_the_end(tmp_path: Path, box: Sandbox) -> None:
    """A writer holds the database while SIGTERM comes; the declaration still gets its answer."""
    settings = environment(tmp_path, box)
    token = run_cli(
        "token", "create", "--role", "admin", "--name", "t", settings=settings, folder=tmp_path
    ).stdout.strip()
    answers = []
    with server(tmp_path, settings) as serving:
        holder = sqlite3.connect(tmp_path / "notifier.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        url = f"{serving.url}/api/v1/components/heat"
        thread = threading.Thread(
            target=lambda: answers.append(request_json("PUT", url, {"name": "Heat"}, token=token))
        )
        thread.start()
        thread.join(0.5)
        serving.popen.send_signal(signal.SIGTERM)
        thread.join(0.5)
        assert answers == []
        holder.execute("ROLLBACK")
        holder.close()
        thread.join(5)
        assert [status for status, _ in answers] == [200]
        assert serving.popen.wait(15) == 0


def test_a_second_signal_ends_it_at_once(tmp_path: Path, box: Sandbox) -> None:
    with server(tmp_path, environment(tmp_path, box)) as serving:
        serving.popen.send_signal(signal.SIGINT)
        serving.popen.send_signal(signal.SIGINT)
        assert serving.popen.wait(15) in (0, -signal.SIGINT)
