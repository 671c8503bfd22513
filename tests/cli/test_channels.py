"""`notifier channels`: how the ways out do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from notifier.app import build, load_settings
from notifier.domain.audience import customer
from notifier.domain.delivery import Retry
from notifier.sandbox.event_key import EventKey
from notifier.services import audience, health
from tests.cli.conftest import Cli
from tests.fakes import FakeClock, FakeMail
from tests.services.saying import declare
from tests.services.scripted import run

KEY_REFUSED = Retry("check the key (401)", timedelta(minutes=1), account=True)


def refuse_key(cli: Cli) -> None:
    n = build(load_settings(environ=cli.settings))
    with n.db.transaction() as connection:
        health.record(connection, n, "sendgrid", KEY_REFUSED, now=n.clock(), seconds=0.1)
    n.db.close()


def let_mail_vanish(cli: Cli) -> None:
    """SendGrid took one mail 16 minutes ago."""
    clock = FakeClock(datetime.now(UTC) - timedelta(minutes=16))
    n = build(load_settings(environ=cli.settings), clock=clock, mail=FakeMail("sendgrid"))
    audience.put_component(n, slug_="heat", name="Heat")
    reader = customer(
        external_id="c",
        email="c@example.com",
        name="",
        language="en",
        time_zone="UTC",
        components=("heat",),
    )
    audience.put_customer(n, reader)
    declare(n)
    run(n)
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


def test_mail_of_which_nothing_is_told_makes_it_end_with_1_where_events_are_taken(cli: Cli) -> None:
    let_mail_vanish(cli)
    assert "no event" not in cli.done("channels")
    result = cli.run("channels", NOTIFIER_SENDGRID__EVENTS_PUBLIC_KEY=EventKey.make().public)
    assert result.exit_code == 1
    assert "no event has come for 1 mail accepted more than 15 minutes ago" in result.stdout
