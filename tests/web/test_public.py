"""What everybody may see, and the way out of the mail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from notifier.domain.incident import Severity, Status
from notifier.ports import Notifier
from notifier.services import incidents
from notifier.services.incidents import Expected, Published, Words
from notifier.services.unsubscribing import unsubscribe_links
from notifier.store import people
from tests.fakes import FakeClock
from tests.web.pages import BASE, LintingClient

Declare = Callable[..., Published]


@pytest.fixture
def way_out(n: Notifier, add_customers: Any) -> str:
    """The path of a customer's link out of the mail."""
    add_customers(1)
    return unsubscribe_links(n)(1).removeprefix(BASE)


def gets_mail(n: Notifier) -> bool:
    with n.db.read() as connection:
        (heat,) = people.list_components(connection, slugs=["heat"])
        return people.has_readers(connection, [heat.id], now=n.clock())


@pytest.mark.usefixtures("components")
def test_a_quiet_day_is_said_in_one_line(anonymous: LintingClient) -> None:
    page = anonymous.page("/")
    assert page.one("h1").text == "Everything works"
    assert page.text.count("Works") == 3


def test_an_open_disruption_leads_and_marks_what_it_affects(
    anonymous: LintingClient, declare: Declare
) -> None:
    declare()
    page = anonymous.page("/")
    assert page.one("h1").text == "One disruption now"
    states = {
        li.find("span")[0].text: li.text for li in page.find("ul", class_="parts")[0].find("li")
    }
    assert states["Hot water"].endswith("Major disruption")
    assert states["Heating"].endswith("Works")


def test_a_notice_says_how_then_how_long_then_why_then_when_we_speak_again(
    anonymous: LintingClient, declare: Declare
) -> None:
    declare()
    for path in ("/", "/incidents/INC-1"):
        said = anonymous.page(path).one("article").text
        parts = (
            "About 4,200 homes have no hot water.",
            "We do not know yet how long this will take.",
            "A pump failed.",
            "Next update by Sun 22 Nov 2026, 15:12 PKT (UTC+5)",
        )
        places = [said.index(part) for part in parts]
        assert places == sorted(places)


def test_the_end_says_how_long_it_lasted_and_keeps_what_was_said(
    anonymous: LintingClient, n: Notifier, declare: Declare, clock: FakeClock
) -> None:
    declare()
    clock.move(minutes=65)
    over = Words("All homes have hot water.", Expected(), "The pump was replaced.", None)
    incidents.post_update(n, 1, Status.RESOLVED, over, by="amina")
    first, second = anonymous.page("/incidents/INC-1").find("article")
    assert "This lasted 1 hour 5 minutes, from 13:12 to 14:17 on Sun 22 Nov 2026" in first.text
    assert "About 4,200 homes" in second.text
    front = anonymous.page("/")
    assert front.one("h1").text == "Everything works"
    assert front.find("a", href="/incidents/INC-1")


def test_the_worst_disruption_comes_first_and_of_equals_the_newest(
    anonymous: LintingClient, declare: Declare
) -> None:
    declare("Major, older")
    declare("Critical", Severity.CRITICAL)
    declare("Minor", Severity.MINOR)
    declare("Major, newer")
    titles = [a.find("h2")[0].text for a in anonymous.page("/").find("article")]
    assert titles == ["Critical", "Major, newer", "Major, older", "Minor"]
    (state, *_) = (
        anonymous.page("/").find("ul", class_="parts")[0].find("span", class_="state critical")
    )
    assert state.text == "Critical disruption"


def test_what_is_public_is_the_same_for_everybody_whatever_they_send(
    anonymous: LintingClient, operator: LintingClient, declare: Declare
) -> None:
    declare()
    hostile = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "X-Original-URL": "/admin/",
        "Cookie": "__Host-notifier=guess",
    }
    for path in ("/", "/incidents/INC-1"):
        plain = anonymous.get(path)
        assert "Set-Cookie" not in plain.headers
        assert plain.headers["Cache-Control"] == "public, max-age=10"
        assert anonymous.get(path, headers=hostile).data == plain.data
        assert operator.get(path).data == plain.data


@pytest.mark.parametrize(
    "path",
    ["/incidents/INC-2", "/incidents/INC-0", "/incidents/1", "/incidents/INC-1%00", "/nothing",
     "/incidents/INC-999999999999999999999", "/static/../notifier.css", "/u/1-0", "/%ff"],
)  # fmt: skip
def test_what_does_not_exist_is_said_in_plain_words(
    anonymous: LintingClient, declare: Declare, path: str
) -> None:
    declare()
    assert anonymous.page(path, status=404).find("a", href="/")


def test_a_wrong_method_is_said_in_plain_words(anonymous: LintingClient) -> None:
    answer = anonymous.post("/incidents/INC-1")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert "cannot be done here" in answer.text


def test_programs_get_problems_instead_of_pages(anonymous: LintingClient) -> None:
    answer = anonymous.get("/api/v1/nothing")
    assert answer.content_type == "application/problem+json"
    assert answer.json is not None
    assert answer.json["status"] == answer.status_code == 404


def test_the_process_answers_without_its_database(anonymous: LintingClient, n: Notifier) -> None:
    n.db.close()
    assert anonymous.get("/healthz").text == "ok\n"


def test_looking_at_the_link_out_of_the_mail_changes_nothing(
    anonymous: LintingClient, n: Notifier, way_out: str
) -> None:
    for _ in range(3):
        assert anonymous.get(way_out).status_code == 200
        assert anonymous.head(way_out).status_code == 200
    assert gets_mail(n)


def test_the_button_stops_the_mail(anonymous: LintingClient, n: Notifier, way_out: str) -> None:
    answer = anonymous.press(anonymous.page(way_out), way_out)
    assert answer.status_code == 200
    assert "You get no more e-mails" in answer.text
    assert not gets_mail(n)


@pytest.mark.parametrize("origin", [None, "null", "https://mail.example"])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_mail_programs_one_click_stops_the_mail_without_cookie_or_sign_in(
    anonymous: LintingClient, n: Notifier, way_out: str, origin: str | None, kind: str
) -> None:
    # RFC 8058 §3.2 allows both kinds of form.
    for _ in range(2):
        answer = anonymous.post(
            way_out,
            data={"List-Unsubscribe": "One-Click"},
            content_type=kind,
            headers={"Origin": origin} if origin else {},
        )
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers
    assert not gets_mail(n)


def test_a_link_with_one_bit_changed_is_nobodys(
    anonymous: LintingClient, n: Notifier, way_out: str
) -> None:
    for place in range(len("/u/"), len(way_out)):
        forged = way_out[:place] + chr(ord(way_out[place]) ^ 1) + way_out[place + 1 :]
        assert anonymous.post(forged).status_code == 404, forged
    assert gets_mail(n)
