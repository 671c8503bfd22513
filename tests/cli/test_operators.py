"""`unknown`, `pause`, `resume`: what operators decide, from a terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from notifier.app import build, load_settings
from notifier.cli.unknown import settle
from notifier.domain.delivery import BatchOutcome, Unknown
from notifier.services.mailing import MailRun
from notifier.services.posting import run_posts
from notifier.services.settling import Ruling
from notifier.store import sqlite
from tests.cli.conftest import Cli
from tests.fakes import FakeMail, FakePosts
from tests.processes import environment, run_cli, sandbox, server

WORDS = ["--impact", "Taps run cold.", "--explanation", "A pump failed."]
OPEN = [*WORDS, "--expect-until", "+3h", "--next-update-by", "+45m", "--email-delay-minutes", "0"]
DECLARE = ["declare", "--title", "No hot water", "--severity", "major", "--component", "hot-water"]
LOST = Unknown("the answer was lost")


@pytest.fixture
def utility(cli: Cli) -> Cli:
    cli.done("components", "put", "hot-water", "--name", "Hot water")
    for name in ("a", "b"):
        address = f"{name}@example.com"
        cli.done("customers", "put", name, "--email", address, "--component", "hot-water")
    return cli


def lose_the_answers(settings: dict[str, str]) -> None:
    """Deliver what waits, by channels whose answers do not come."""
    mail = FakeMail(answer=lambda _: BatchOutcome(LOST))
    n = build(load_settings(environ=settings), posts={"x": FakePosts(answers=[LOST])}, mail=mail)
    run_posts(n, "x")
    MailRun(n).run()
    n.db.close()


def listed(cli: Cli) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cli.done("unknown", "list", "--json"))["messages"]
    return found


def test_what_is_unknown_is_listed_and_settled(utility: Cli) -> None:
    assert utility.done("unknown", "list") == "Nothing is unknown.\n"
    utility.done(*DECLARE, *OPEN)
    lose_the_answers(utility.settings)
    lines = utility.done("unknown", "list").splitlines()
    assert lines[0].startswith("1: post on x, INC-1.1 No hot water; looked into by itself ")
    assert lines[1:3] == ["    the answer was lost", "    | Taps run cold."]
    assert "2: e-mail (2 unknown), INC-1.1 No hot water; only you can tell" in lines
    assert [(m["id"], m["lane"], m["readers"]) for m in listed(utility)] == [
        (1, "post", None),
        (2, "mail", 2),
    ]
    settled = utility.done("unknown", "settle", "2", "--ruling", "arrived")
    assert settled == "Settled 2 messages: counted as sent.\n"
    settled = utility.done("unknown", "settle", "1", "--ruling", "leave")
    assert settled == "Settled 1 message: never sent again.\n"
    assert listed(utility) == []
    sentence = utility.refused(1, "unknown", "settle", "1", "--ruling", "send_again")
    assert "nothing of this message is unknown any more" in sentence


def test_a_wrong_settlement_is_refused(utility: Cli) -> None:
    assert utility.refused(1, "unknown", "settle", "9", "--ruling", "leave") == (
        "there is no message 9"
    )
    assert "is not one of" in utility.refused(2, "unknown", "settle", "9", "--ruling", "gone")


def test_every_ruling_can_be_given() -> None:
    (choice,) = [option.type for option in settle.params if option.name == "ruling"]
    assert list(choice.choices) == [ruling.value for ruling in Ruling]  # type: ignore[attr-defined]


def test_pausing_says_what_waits_and_the_check_reports_it(utility: Cli) -> None:
    utility.done(*DECLARE, *OPEN)
    said = utility.done("pause", "--reason", "Wrong list")
    assert said.startswith("Paused since ")
    assert "(command line): Wrong list\n2 messages are waiting." in said
    checked = utility.run("check", "--json")
    assert checked.exit_code == 1
    found = {finding["check"]: finding for finding in json.loads(checked.stdout)}
    assert not found["pause"]["ok"]
    assert "Wrong list; `notifier resume` ends it" in found["pause"]["message"]
    again = utility.done("pause", "--reason", "Another reason")
    assert "Wrong list" in again
    assert "Another reason" not in again


def test_a_declaration_while_paused_says_that_nothing_leaves(utility: Cli) -> None:
    utility.done("pause", "--reason", "Wrong list")
    declared = utility.run(*DECLARE, *OPEN)
    assert declared.exit_code == 0
    assert "nothing of this leaves before `notifier resume`" in declared.stderr
    assert "x: planned" in declared.stdout


def test_resuming_says_how_many_leave_or_never_will(utility: Cli) -> None:
    utility.done("pause", "--reason", "Wrong list")
    utility.done(*DECLARE, *OPEN)
    assert utility.done("resume").splitlines() == [
        "Messages leave again.",
        "2 messages are leaving, now or at the set time.",
    ]
    utility.done("pause", "--reason", "Wrong list")
    assert utility.done("resume", "--cancel-waiting").splitlines() == [
        "Messages leave again.",
        "2 messages are cancelled and will never leave.",
        "0 messages are leaving, now or at the set time.",
    ]


def test_what_is_not_paused_cannot_be_resumed(utility: Cli) -> None:
    utility.done(*DECLARE, *OPEN)
    sentence = utility.refused(1, "resume", "--cancel-waiting")
    assert sentence.startswith("nothing is paused, so nothing was changed")
    assert utility.refused(2, "pause", "--reason", "").startswith("reason is missing")


@pytest.mark.slow
def test_the_command_line_stops_and_starts_a_running_server(tmp_path: Path, utility: Cli) -> None:
    with sandbox(tmp_path) as box:
        utility.settings |= environment(tmp_path, box)

        def process(*arguments: str) -> str:
            done = run_cli(*arguments, settings=utility.settings, folder=tmp_path)
            assert done.returncode == 0, done.stderr
            return done.stdout

        utility.done(*DECLARE, *OPEN)
        lose_the_answers(utility.settings)
        process("unknown", "settle", "1", "--ruling", "leave")
        with server(tmp_path, utility.settings):
            process("pause", "--reason", "Wrong list")
            utility.done(*DECLARE, *OPEN)
            utility.done("unknown", "settle", "2", "--ruling", "send_again")
            time.sleep(2)
            assert box.messages() == []
            assert "3 messages are leaving" in process("resume")
            assert len(box.wait_for(1, "x")) == 1
            assert len(box.wait_for(4, "sendgrid")) == 4
            assert "Nothing is unknown." in process("unknown", "list")


@pytest.mark.slow
def test_a_backup_that_is_put_back_is_served_paused_and_sends_nothing(
    tmp_path: Path, utility: Cli
) -> None:
    database, mark = tmp_path / "notifier.db", tmp_path / "notifier.db.mark"
    with sandbox(tmp_path) as box:
        utility.settings |= environment(tmp_path, box)
        with server(tmp_path, utility.settings) as serving:
            serving.kill()
        utility.done(*DECLARE, *OPEN)
        backup = tmp_path / "backup.db"
        with closing(sqlite.library().connect(str(database))) as raw:
            raw.execute("VACUUM INTO ?", (str(backup),))
        with server(tmp_path, utility.settings) as serving:
            assert json.loads(utility.run("check", "--json").stdout)[2]["ok"]
            assert len(box.wait_for(2, "sendgrid")) == 2
            _wait_until(lambda: json.loads(mark.read_text())["batches"] == 1)
            serving.kill()
        before = len(box.messages())
        for file in (database, Path(f"{database}-wal"), Path(f"{database}-shm")):
            file.unlink(missing_ok=True)
        backup.rename(database)
        with server(tmp_path, utility.settings):
            found = json.loads(utility.run("check", "--json").stdout)[2]
            assert (found["check"], found["ok"]) == ("pause", False)
            assert "a restored backup or a copy" in found["message"]
            time.sleep(2)
            assert "are cancelled" in utility.done("resume", "--cancel-waiting")
            time.sleep(2)
            assert len(box.messages()) == before


def _wait_until(holds: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)
