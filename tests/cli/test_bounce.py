"""`notifier bounce` as a mail server runs it: a process, a message, an exit code."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from notifier.app import build, load_settings
from notifier.domain.audience import customer
from notifier.domain.delivery import State
from notifier.domain.verp import verp_address
from notifier.ports import Notifier
from notifier.services import audience
from tests.cli.conftest import Cli
from tests.fakes import FakeMail, FakePosts
from tests.mail_that_came_back import dsn
from tests.processes import NOTIFIER, SECRET
from tests.services.saying import declare
from tests.services.scripted import run, state_of

BASE = "bounces@example.com"


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "notifier.toml").touch()
    return {
        "NOTIFIER_CONFIG": str(tmp_path / "notifier.toml"),
        "NOTIFIER_DATABASE_URL": f"sqlite:///{tmp_path / 'notifier.db'}",
        "NOTIFIER_SECRET_KEY": SECRET,
        "NOTIFIER_SMTP__BOUNCE_ADDRESS": BASE,
    }


def pipe(raw: bytes, settings: dict[str, str], *arguments: str) -> tuple[int, str]:
    """(exit code, everything it printed)."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("NOTIFIER_")}
    done = subprocess.run(
        [*NOTIFIER, "bounce", *arguments],
        env={**inherited, **settings},
        cwd=Path(settings["NOTIFIER_CONFIG"]).parent,
        input=raw,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode()


def open_notifier(settings: dict[str, str]) -> Notifier:
    return build(load_settings(environ=settings), posts={"x": FakePosts()}, mail=FakeMail())


def test_a_bounce_strikes_off_whom_it_is_about(settings: dict[str, str]) -> None:
    n = open_notifier(settings)
    audience.put_component(n, slug_="heat", name="Heat")
    for i in range(2):
        site = {"language": "en", "time_zone": "UTC", "components": ("heat",)}
        made = customer(external_id=f"c{i}", email=f"c{i}@example.com", name="", **site)  # type: ignore[arg-type]
        audience.put_customer(n, made)
    said = declare(n)
    run(n)
    path = verp_address(BASE, "2-1", SECRET.encode())

    assert pipe(dsn(to=path), settings) == (os.EX_OK, "This message is recorded.\n")
    assert state_of(n, said) == {"c0": State.BOUNCED, "c1": State.ACCEPTED}
    assert pipe(dsn(to=path), settings) == (os.EX_OK, "This message was recorded before.\n")
    other = verp_address(BASE, "2-2", SECRET.encode())
    assert pipe(dsn(), settings, "--recipient", other)[0] == os.EX_OK
    assert state_of(n, said)["c1"] is State.BOUNCED
    n.db.close()


def test_what_is_not_ours_is_taken_in_silence(settings: dict[str, str]) -> None:
    forged = "bounces+2-1-aaaaaaaaaaaaaaaa@example.com"
    code, said = pipe(dsn(to=forged), settings)
    assert code == os.EX_OK
    assert "is about no mail of ours" in said


def test_what_is_no_mail_is_refused(settings: dict[str, str]) -> None:
    assert pipe(b"", settings) == (os.EX_DATAERR, "Error: This is not a mail: it has no header.\n")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("NOTIFIER_DATABASE_URL", "sqlite:////nowhere/n.db", "cannot be opened"),
        ("NOTIFIER_SMTP__BOUNCE_ADDRESS", "", "smtp.bounce_address is not set"),
        ("NOTIFIER_SMTP__BOUNCE_ADDRESS", "no address", "must be a plain address"),
        ("NOTIFIER_SECRET_KEY", "short", "secret_key is missing or shorter"),
    ],
)
def test_while_something_is_wrong_here_the_mail_server_keeps_it(
    settings: dict[str, str], name: str, value: str, sentence: str
) -> None:
    code, said = pipe(dsn(), {**settings, name: value})
    assert code == os.EX_TEMPFAIL
    assert sentence in said
    assert "Traceback" not in said


def test_addresses_are_added_listed_and_removed(cli: Cli) -> None:
    assert cli.done("suppressions", "list") == ""
    said = cli.done("suppressions", "add", "Amina@Example.com", "--detail", "by telephone")
    assert said == "Amina@example.com gets no mail (manual).\n"
    line = cli.done("suppressions", "list")
    assert line.startswith("Amina@example.com ")
    assert "manual     for ever, says " in line
    assert line.endswith(": by telephone\n")
    assert '"address": "Amina@example.com"' in cli.done("suppressions", "list", "--json")
    assert cli.done("suppressions", "remove", "amina@example.com") == (
        "amina@example.com gets mail again.\n"
    )
    assert cli.refused(1, "suppressions", "remove", "amina@example.com") == (
        "amina@example.com is not on the list"
    )
    assert "is not an e-mail address" in cli.refused(2, "suppressions", "add", "amina")
