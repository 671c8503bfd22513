"""`notifier channels`: how the ways out do."""

from __future__ import annotations

import json
from datetime import timedelta

from notifier.app import build, load_settings
from notifier.domain.delivery import Retry
from notifier.services import health
from tests.cli.conftest import Cli

KEY_REFUSED = Retry("check the key (401)", timedelta(minutes=1), account=True)


def refuse_key(cli: Cli) -> None:
    n = build(load_settings(environ=cli.settings))
    with n.db.transaction() as connection:
        health.record(connection, n, "sendgrid", KEY_REFUSED, now=n.clock(), seconds=0.1)
    n.db.close()


def test_while_all_is_well_every_channel_has_its_line(cli: Cli) -> None:
    lines = cli.done("channels", NOTIFIER_EMAIL__BACKUP="smtp").splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["x", "closed,"],
        ["sendgrid", "closed,"],
        ["smtp", "closed,"],
    ]
    assert "100 % of the mail" in lines[1]


def test_a_channel_that_needs_attention_makes_it_end_with_1(cli: Cli) -> None:
    cli.done("channels")
    refuse_key(cli)
    result = cli.run("channels")
    assert result.exit_code == 1
    assert "sendgrid         open until " in result.stdout
    assert "check the key (401)" in result.stdout
    told = cli.run("channels", "--json")
    assert told.exit_code == 1
    (_, mail) = json.loads(told.stdout)["channels"]
    assert (mail["channel"], mail["breaker"], mail["needs_attention"]) == ("sendgrid", "open", True)
