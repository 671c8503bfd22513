"""Where a monitor is silent, no page says that what it watches works."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask

from notifier.domain.access import Role
from notifier.ports import Notifier
from notifier.services import access, audience, incidents
from notifier.services import drafts as proposals
from notifier.store import access as users
from notifier.web.application import create_app
from tests.alerts.alarms import Alarms, open_alarms
from tests.fakes import FakeClock
from tests.web.pages import BASE, LintingClient, Page


@pytest.fixture
def app(n: Notifier) -> Flask:
    app = create_app(n)
    app.test_client_class = LintingClient
    return app


@pytest.fixture
def anybody(app: Flask) -> LintingClient:
    return app.test_client()  # type: ignore[return-value]


@pytest.fixture
def alarms(n: Notifier) -> Alarms:
    """What watches sign-in, and tells us something every five minutes."""
    for slug in ("sign-in", "billing"):
        audience.put_component(n, slug_=slug, name=slug.capitalize())
    return open_alarms(n, component="sign-in", heartbeat=timedelta(minutes=5))


def states(page: Page) -> dict[str, str]:
    items = page.one("ul", class_="parts").find("li")
    return {li.find("span")[0].text: li.find("span")[1].text for li in items}


@pytest.mark.usefixtures("alarms")
def test_a_component_whose_monitor_is_silent_has_no_data(
    anybody: LintingClient, clock: FakeClock
) -> None:
    assert anybody.page("/").one("h1").text == "Everything works"
    clock.move(minutes=6)
    page = anybody.page("/")
    assert page.one("h1").text == "No disruption is known"
    assert states(page) == {"Billing": "Works", "Sign-in": "No data"}
    assert "We get no data about Sign-in at the moment" in page.text
    (mark,) = page.one("ul", class_="parts").find("span", class_="state no-data")
    assert mark.find("svg")
    assert not mark.find("path", d="M4 10.5l4 4 8-9")  # the tick of what works
    for claim in ("Everything works", "operational"):
        assert claim not in page.text


def test_a_monitor_that_speaks_again_is_believed(
    anybody: LintingClient, alarms: Alarms, clock: FakeClock
) -> None:
    clock.move(minutes=6)
    alarms.end()
    assert states(anybody.page("/"))["Sign-in"] == "Works"
    assert anybody.page("/").one("h1").text == "Everything works"


def test_an_open_incident_says_more_than_silence(
    anybody: LintingClient, alarms: Alarms, clock: FakeClock
) -> None:
    (draft,) = alarms.fire()
    incidents.declare(alarms.n, proposals.declaration(alarms.n, draft.id), by="ada")
    clock.move(minutes=6)
    page = anybody.page("/")
    assert page.one("h1").text == "One disruption now"
    assert states(page)["Sign-in"] == "Critical disruption"
    assert "No data" not in page.text


def test_where_two_watch_one_of_them_is_enough(
    anybody: LintingClient, alarms: Alarms, clock: FakeClock
) -> None:
    other = open_alarms(
        alarms.n, component="sign-in", name="Second", heartbeat=timedelta(minutes=5)
    )
    clock.move(minutes=6)
    other.end()
    assert states(anybody.page("/"))["Sign-in"] == "Works"


@pytest.mark.usefixtures("alarms")
def test_the_operators_home_does_not_call_it_well_either(
    app: Flask, n: Notifier, clock: FakeClock
) -> None:
    with n.db.transaction() as connection:
        users.add_user(connection, name="amina", password_hash="-", role=Role.VIEWER, now=n.clock())
    client: LintingClient = app.test_client()  # type: ignore[assignment]
    clock.move(minutes=6)
    client.post(access.make_sign_in_link(n, "amina").removeprefix(BASE))
    page = client.page("/admin/")
    assert "No data about Sign-in" in page.text
    assert "Everything works" not in page.text
