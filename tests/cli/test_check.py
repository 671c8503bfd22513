"""`check` and `migrate`: what is wrong, before a disruption shows it."""

from __future__ import annotations

import json
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from notifier.cli.one_server import hold
from notifier.store import sqlite
from tests.cli.conftest import Cli


def findings(cli: Cli, code: int, **settings: str) -> dict[str, dict[str, Any]]:
    result = cli.run("check", "--json", **settings)
    assert result.exit_code == code, result.output
    return {finding["check"]: finding for finding in json.loads(result.stdout)}


@pytest.fixture
def listening(cli: Cli) -> Any:
    """Something that takes connections where the sandbox is expected."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        cli.settings |= {"NOTIFIER_X__API_URL": url, "NOTIFIER_SENDGRID__API_URL": url}
        yield url


@pytest.mark.usefixtures("listening")
def test_a_right_installation_is_right(cli: Cli) -> None:
    found = findings(cli, 0)
    assert all(finding["ok"] for finding in found.values())
    assert set(found) == {
        "settings", "secret_key", "database", "pause", "templates", "posts", "e-mail"
    }  # fmt: skip
    assert "is not there yet" in found["database"]["message"]
    assert not (cli.folder / "notifier.db").exists(), "a check changes nothing"
    module = sqlite.library()
    assert f"SQLite {module.sqlite_version} of {module.__name__}" in found["database"]["message"]
    assert f"journal mode {sqlite.journal_mode()}" in found["database"]["message"]
    assert "(no credentials set)" in found["posts"]["message"]


@pytest.mark.usefixtures("listening")
def test_people_get_a_line_for_each_check(cli: Cli) -> None:
    lines = cli.done("check").splitlines()
    assert len(lines) == 7
    assert all(line.startswith("ok ") for line in lines)


def test_a_sandbox_that_does_not_run_is_a_problem(cli: Cli) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        found = findings(cli, 1, NOTIFIER_X__API_URL=url, NOTIFIER_SENDGRID__API_URL=url)
    assert not found["posts"]["ok"]
    assert "start it with `notifier sandbox`" in found["e-mail"]["message"]


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize(
    ("setting", "value", "check", "sentence"),
    [
        ("NOTIFIER_SECRET_KEY", "short", "secret_key", "shorter than 16"),
        ("NOTIFIER_X__CONSUMER_KEY", "abc", "settings", "X needs all four keys"),
        ("NOTIFIER_SITE__NMAE", "abc", "settings", "did you mean"),
        ("NOTIFIER_SITE__TIME_ZONE", "Karachi", "settings", "is not an IANA time zone"),
        ("NOTIFIER_DATABASE_URL", "mysql://localhost/x", "database", "must be like sqlite:///"),
        ("NOTIFIER_DATABASE_URL", "notifier.db", "database", "must be like sqlite:///"),
        ("NOTIFIER_DATABASE_URL", "sqlite:////nowhere/x.db", "database", "cannot be made"),
    ],
)
def test_a_wrong_setting_is_named(
    cli: Cli, setting: str, value: str, check: str, sentence: str
) -> None:
    found = findings(cli, 1, **{setting: value})
    assert not found[check]["ok"]
    assert sentence in found[check]["message"]


@pytest.mark.usefixtures("listening")
def test_no_credential_is_shown(cli: Cli, listening: str) -> None:
    port = listening.rpartition(":")[2]
    shown = cli.done(
        "check",
        NOTIFIER_SMTP__URL=f"smtp://apikey:geheim@127.0.0.1:{port}",
        NOTIFIER_EMAIL__PROVIDER="smtp",
        NOTIFIER_X__CONSUMER_KEY="k-geheim",
        NOTIFIER_X__CONSUMER_SECRET="s-geheim",
        NOTIFIER_X__ACCESS_TOKEN="t-geheim",
        NOTIFIER_X__ACCESS_TOKEN_SECRET="u-geheim",
    )
    assert "geheim" not in shown
    assert f"smtp at smtp://127.0.0.1:{port}" in shown
    assert f"x at {listening}" in shown


def set_revision(database: Path, revision: str) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()


@pytest.mark.usefixtures("listening")
def test_a_database_of_a_newer_version_is_left_alone(cli: Cli) -> None:
    cli.done("components", "put", "heat", "--name", "Heat")
    assert "schema is this version's" in findings(cli, 0)["database"]["message"]
    set_revision(cli.folder / "notifier.db", "9999")
    assert "written by a newer notifier" in findings(cli, 1)["database"]["message"]
    for command in (
        ["components", "list"],
        ["migrate"],
        ["token", "create", "--role", "admin", "--name", "x"],
    ):
        assert "written by a newer notifier" in cli.refused(1, *command)


def test_migrating_makes_the_schema_once(cli: Cli) -> None:
    assert "(before: empty)" in cli.done("migrate")
    assert "nothing was changed" in cli.done("migrate")


def test_nobody_migrates_under_a_running_server(cli: Cli) -> None:
    cli.done("migrate")
    with hold(cli.settings["NOTIFIER_DATABASE_URL"]):
        assert "already serves this database" in cli.refused(1, "migrate")


def test_a_folder_or_foreign_file_is_no_database(cli: Cli) -> None:
    (cli.folder / "notifier.db").write_bytes(b"this is no database at all, but text" * 100)
    sentence = cli.refused(1, "components", "list")
    assert "file is not a database" in sentence
