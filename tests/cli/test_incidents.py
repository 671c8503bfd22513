"""`declare`, `update`, `resolve`: what the API does, from a terminal or a script."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from notifier.cli.one_server import hold
from notifier.cli.times import When
from tests.cli.conftest import Cli
from tests.processes import environment, run_cli, sandbox, server

WORDS = ["--impact", "Taps run cold in 400 homes.", "--explanation", "A pump failed."]
OPEN = [*WORDS, "--expect-until", "+3h", "--next-update-by", "+45m"]
DECLARE = ["declare", "--title", "No hot water", "--severity", "major", "--component", "hot-water"]


@pytest.fixture
def utility(cli: Cli) -> Cli:
    cli.done("components", "put", "hot-water", "--name", "Hot water")
    cli.done("components", "put", "heating", "--name", "Heating")
    cli.done("customers", "put", "c1", "--email", "a@example.com", "--component", "hot-water")
    return cli


def test_an_incident_is_declared_updated_and_resolved(utility: Cli) -> None:
    declared = utility.done(*DECLARE, *OPEN)
    first, post, mail, url = declared.splitlines()
    assert first == "INC-1 is investigating: No hot water"
    assert post == "x: planned"
    assert mail.startswith("e-mail: planned to 1 customer, ")
    assert "UTC+0" in mail
    assert url == "http://127.0.0.1:8000/incidents/INC-1"
    updated = utility.done("update", "INC-1", "--status", "identified", *OPEN)
    assert updated.startswith("INC-1 is identified")
    assert utility.done("resolve", "inc-1", *WORDS).startswith("INC-1 is resolved")
    assert utility.done("update", "1", "--status", "postmortem", *WORDS)


def test_nobody_serving_is_said(utility: Cli) -> None:
    alone = utility.run(*DECLARE, *OPEN)
    assert "Nobody is serving this database" in alone.stderr
    with hold(utility.settings["NOTIFIER_DATABASE_URL"]):
        served = utility.run(*DECLARE, *OPEN)
    assert served.exit_code == 0
    assert served.stderr == ""


def test_json_is_what_the_api_answers(utility: Cli) -> None:
    receipt = json.loads(utility.done(*DECLARE, "--components", "heating", *OPEN, "--json"))
    assert list(receipt) == ["id", "reference", "status", "url", "update", "posts", "email"]
    assert receipt["posts"][0]["text"].startswith("Taps run cold in 400 homes.")
    assert receipt["email"]["recipients"] == 1


def test_the_mail_leaves_when_it_is_said(utility: Cli) -> None:
    now = datetime.now(UTC)
    for option, minutes in (("--email-delay-minutes", "90"), ("--email-send-at", "+90m")):
        receipt = json.loads(utility.done(*DECLARE, *OPEN, option, minutes, "--json"))
        wait = datetime.fromisoformat(receipt["email"]["scheduled_for"]) - now
        assert timedelta(minutes=88) < wait < timedelta(minutes=92)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([*DECLARE, *WORDS, "--expect-until", "+3h"], "--next-update-by is missing"),
        ([*DECLARE, *WORDS, "--next-update-by", "+1h"], "--expect-until is missing"),
        ([*DECLARE, *OPEN, "--expect-unknown"], "--expect-until is either unknown or has times"),
        ([*DECLARE, *OPEN, "--expect-from", "+4h"], "--expect-until must be later than"),
        ([*DECLARE, *OPEN, "--next-update-by", "2020-01-01T00:00Z"], "--next-update-by is in the"),
        ([*DECLARE, *OPEN, "--next-update-by", "2099-01-01T10:00"], "has no zone"),
        ([*DECLARE, *OPEN, "--next-update-by", "tomorrow"], "'tomorrow' is not a time: write +2h"),
        ([*DECLARE, *OPEN, "--started-at", "+1h"], "--started-at is in the future"),
        ([*DECLARE, *OPEN, "--component", "gas"], "--components names no known component: gas"),
        ([*DECLARE, *OPEN, "--email-delay-minutes", "5000"], "5000 is not in the range"),
        ([*DECLARE, *OPEN, "--severity", "huge"], "Invalid value for '--severity'"),
        ([*DECLARE, *OPEN, "--title", "a\nb"], "--title must be one line"),
        (["declare", *DECLARE[1:5], *OPEN], "--components is missing"),
        (["resolve", "INC-x", *WORDS], "'INC-x' is not a reference such as INC-7"),
        (["resolve", "9" * 30, *WORDS], "is not a reference such as INC-7"),
        (["update", "INC-1", "--status", "postmortem", *WORDS], "--status cannot become"),
    ],
)
def test_what_is_wrong_is_named_by_its_option(
    utility: Cli, arguments: list[str], sentence: str
) -> None:
    utility.done(*DECLARE, *OPEN)
    assert sentence in utility.refused(2, *arguments)
    assert "INC-2" in utility.done(*DECLARE, *OPEN), "nothing was declared"


def test_an_unknown_incident_is_not_found(utility: Cli) -> None:
    assert utility.refused(1, "resolve", "INC-7", *WORDS) == "there is no incident 7"


@pytest.mark.parametrize(
    ("text", "minutes"), [("+30m", 30), ("+2h", 120), ("+1d", 1440), ("+1d2h3m", 1563)]
)
def test_a_time_can_be_told_from_now(text: str, minutes: int) -> None:
    at = When().convert(text, None, None)
    assert at.second == at.microsecond == 0
    off = at - datetime.now(UTC) - timedelta(minutes=minutes)
    assert timedelta(minutes=-1) <= off <= timedelta(seconds=1)


@pytest.mark.slow
def test_with_wait_it_tells_what_became_of_the_posts(tmp_path: Path) -> None:
    with sandbox(tmp_path) as box:
        settings = environment(tmp_path, box)

        def cli(*arguments: str) -> tuple[int, str, str]:
            done = run_cli(*arguments, settings=settings, folder=tmp_path)
            return done.returncode, done.stdout, done.stderr

        cli("components", "put", "hot-water", "--name", "Hot water")
        nobody_serves = cli(*DECLARE, *OPEN, "--wait", "0.3")
        assert nobody_serves[0] == 1
        assert "x: planned" in nobody_serves[1]
        with server(tmp_path, settings):
            code, said, complaint = cli(*DECLARE, *OPEN, "--wait", "10")
            assert (code, complaint) == (0, "")
            (first, second) = box.messages("x")
            assert f"x: accepted ({box.url}/x/" in said
            assert first["text"] != second["text"]
