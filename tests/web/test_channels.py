"""The page of the ways out, the line that points at it, and what programs are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from notifier.app import build
from notifier.channels.sendgrid import Config, build_event_reader
from notifier.domain.access import Role
from notifier.domain.delivery import Outcome, Retry, Sent, Unknown
from notifier.domain.health import Rate
from notifier.ports import Notifier
from notifier.sandbox.event_key import EventKey
from notifier.services import access, health
from notifier.settings import Settings
from notifier.store.db import Database
from tests.fakes import FakeClock, FakeMail, FakePosts
from tests.services.saying import declare
from tests.services.scripted import run
from tests.web.conftest import SignIn
from tests.web.pages import LintingClient

PAGE = "/admin/channels"
TRY_AGAIN = f"{PAGE}/try-again"
LOST = Unknown("its answer was lost <b>")
KEY_REFUSED = Retry("check the key (401)", timedelta(minutes=1), account=True)


@pytest.fixture
def n(
    settings: Settings, clock: FakeClock, posts: FakePosts, mail: FakeMail, database: Database
) -> Notifier:
    backup = FakeMail("standby")
    made = build(
        settings, clock=clock, posts={"x": posts}, mail=mail, backup=backup, database=database
    )
    key = Config.model_validate({"events_public_key": EventKey.make().public})
    return replace(made, event_readers={mail.name: build_event_reader(key)})


def record(n: Notifier, channel: str, outcome: Outcome, times: int = 1) -> None:
    for _ in range(times):
        with n.db.transaction() as connection:
            health.record(connection, n, channel, outcome, now=n.clock(), seconds=0.1)


def may_post(n: Notifier) -> bool:
    with n.db.transaction() as connection:
        return health.admit(connection, n, "x", now=n.clock()) is None


def test_while_all_is_well_the_page_says_so_and_no_line_points_at_it(
    operator: LintingClient, n: Notifier, posts: FakePosts
) -> None:
    posts.rate = Rate(100, timedelta(minutes=15))
    record(n, "fakemail", Sent(""), times=3)
    page = operator.page(PAGE)
    cards = {card.attrs["id"]: card for card in page.find("article")}
    assert list(cards) == ["channel-x", "channel-fakemail", "channel-standby"]
    assert "Works" in cards["channel-x"].text
    assert "100 in 15 minutes" in cards["channel-x"].text
    assert "share of the e-mail 100 %" in cards["channel-fakemail"].text
    assert "calls in the last 15 minutes 3" in cards["channel-fakemail"].text
    assert "share of the e-mail 0 %" in cards["channel-standby"].text
    assert page.find("p", class_="trouble") == []
    assert page.find("form", action=TRY_AGAIN) == []


def test_what_does_not_work_is_said_on_every_page_with_the_reason_a_click_away(
    operator: LintingClient, n: Notifier
) -> None:
    record(n, "x", LOST, times=5)
    record(n, "fakemail", KEY_REFUSED)
    (line,) = operator.page("/admin/").find("p", class_="trouble")
    assert line.text == "X and fakemail did not work when last called. See why"
    (link,) = line.find("a")
    page = operator.page(link.attrs["href"])
    (card,) = page.find("article", id="channel-x")
    assert "Does not work" in card.text
    assert "its answer was lost <b>" in card.text
    assert "failed posts in the last 15 minutes 5" in card.text
    assert "Next try" in card.text


def test_mail_of_which_nothing_is_told_is_not_said_to_be_well(
    operator: LintingClient, n: Notifier, clock: FakeClock, add_customers: Any
) -> None:
    add_customers(3)
    declare(n)
    run(n)
    assert "Works" in operator.page(PAGE).find("article", id="channel-fakemail")[0].text
    clock.now += timedelta(minutes=16)
    (card,) = operator.page(PAGE).find("article", id="channel-fakemail")
    assert "Takes mail and tells nothing of it" in card.text
    assert "No event has come for 3 mails accepted more than 15 minutes ago" in card.text


def test_trying_again_lets_the_next_message_go(operator: LintingClient, n: Notifier) -> None:
    record(n, "x", LOST, times=5)
    assert not may_post(n)
    answer = operator.press(operator.page(PAGE), TRY_AGAIN)
    assert answer.status_code == 303
    assert answer.headers["Location"] == PAGE
    assert may_post(n)
    assert not may_post(n), "one message finds out; the others wait for its answer"
    assert "Being tried again" in operator.page(PAGE).find("article", id="channel-x")[0].text


def test_who_only_looks_gets_no_button(sign_in_as: SignIn, n: Notifier) -> None:
    record(n, "x", LOST, times=5)
    viewer = sign_in_as(Role.VIEWER, "omar")
    assert viewer.page(PAGE).find("form", action=TRY_AGAIN) == []


def test_a_channel_nobody_has_is_not_found(operator: LintingClient, n: Notifier) -> None:
    record(n, "x", LOST, times=5)
    page = operator.page(PAGE)
    assert operator.press(page, TRY_AGAIN, {"channel": "pigeon"}).status_code == 404


def test_programs_are_told_the_same(app: Flask, n: Notifier, clock: FakeClock) -> None:
    record(n, "fakemail", KEY_REFUSED)
    token = access.create_token(n, role=Role.VIEWER, name="monitor")
    answer = app.test_client().get("/api/v1/channels", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert answer.json is not None
    posts, mail, backup = answer.json["channels"]
    assert (posts["channel"], posts["calls"], posts["weight"]) == ("x", None, None)
    assert not posts["needs_attention"]
    assert mail == {
        "channel": "fakemail",
        "lane": "mail",
        "needs_attention": True,
        "breaker": "open",
        "since": clock().isoformat().replace("+00:00", "Z"),
        "reason": "check the key (401)",
        "blocked_until": (clock() + timedelta(minutes=1)).isoformat().replace("+00:00", "Z"),
        "weight": 100,
        "calls": 1,
        "failures": 1,
        "slow": 0,
        "silent": 0,
    }
    assert (backup["channel"], backup["weight"], backup["silent"]) == ("standby", 0, None)
