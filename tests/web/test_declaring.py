"""The declare screen: what it shows before, what it does, and what it does with mistakes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from notifier.domain.audience import customer
from notifier.ports import Notifier
from notifier.services import access, audience, reports
from notifier.services.unsubscribing import unsubscribe, unsubscribe_links
from notifier.store import schema
from notifier.store.schema import incidents, updates
from notifier.web.application import create_app
from tests.fakes import FakeClock, FakePosts
from tests.web.pages import BASE, LintingClient, Page

# The clock stands at 13:12 in the site's zone, Asia/Karachi.
FILLED: dict[str, Any] = {
    "components": ["hot-water"],
    "severity": "major",
    "title": "No hot water in Harbour District",
    "impact": "About 4,200 homes have no hot water.",
    "duration": "between",
    "duration_from": "2026-11-22T14:30",
    "duration_until": "2026-11-22T16:00",
    "explanation": "A pump failed.",
    "next_update_by": "2026-11-22T14:00",
    "mail": "usual",
    "action": "publish",
}
DECLARE = "/admin/declare"

pytestmark = pytest.mark.usefixtures("components")


@pytest.fixture
def readers(n: Notifier, components: list[str]) -> None:
    """Three customers use hot water; one of them asked for no mail."""
    ids = [
        audience.put_customer(
            n,
            customer(
                external_id=f"c{i}",
                email=f"c{i}@example.com",
                name="",
                language="en",
                time_zone="UTC",
                components=(components[0],),
            ),
        )
        for i in range(3)
    ]
    unsubscribe(n, unsubscribe_links(n)(ids[0]).rpartition("/")[2])


def fill(client: LintingClient, **changes: Any) -> Page:
    """What the browser shows after the form was filled in like this and sent."""
    answer = client.press(client.page(DECLARE), DECLARE, {**FILLED, **changes})
    return Page(answer.text)


@pytest.mark.usefixtures("readers")
def test_one_press_publishes_what_was_written(operator: LintingClient, n: Notifier) -> None:
    answer = operator.press(operator.page(DECLARE), DECLARE, FILLED)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/incidents/1")
    report = reports.report(n, 1)
    assert report.incident.title == FILLED["title"]
    assert report.latest.update.published_by == "amina"
    assert report.latest.mail is not None
    assert f"{report.latest.mail.scheduled_for:%H:%M}" == "08:17"
    assert "14:30 and 16:00 PKT" in report.latest.posts[0].text


@pytest.mark.usefixtures("readers")
def test_the_preview_is_the_very_text_that_is_posted(operator: LintingClient, n: Notifier) -> None:
    page = fill(operator, action="preview")
    operator.press(page, DECLARE, {"action": "publish"})
    shown = page.one("article", id="preview-x").find("p", class_="words")[0]
    assert shown.text == " ".join(reports.report(n, 1).latest.posts[0].text.split())


@pytest.mark.usefixtures("readers")
def test_the_button_says_when_the_mail_will_leave(operator: LintingClient) -> None:
    def button(**changes: Any) -> str:
        return fill(operator, action="preview", **changes).one("button", id="publish").text

    assert button() == "Post now and schedule the e-mail for 13:17"
    assert button(severity="critical") == "Post now and schedule the e-mail for 13:14"
    assert button(mail="now") == "Post now and send the e-mail at once"
    asked = button(mail="at", mail_at="2026-11-23T08:00")
    assert asked == "Post now and schedule the e-mail for 23 Nov 08:00 PKT (UTC+5)"
    assert button(components=["sign-in"]) == "Post now (nobody to e-mail)"


@pytest.mark.usefixtures("readers")
def test_the_preview_counts_readers_and_says_who_is_left_out(operator: LintingClient) -> None:
    said = fill(operator, action="preview").one("article", id="preview-mail").text
    assert "2 customers get it: after the usual wait for this severity" in said
    assert "1 affected customer is left out, having asked for no e-mail." in said


@pytest.mark.usefixtures("operator")
def test_the_counter_is_the_channels_own(n: Notifier) -> None:
    class Halves(FakePosts):
        def measure(self, text: str) -> int:
            return len(text) // 2

    app = create_app(replace(n, posts={"x": Halves()}))
    app.test_client_class = LintingClient
    client: LintingClient = app.test_client()  # type: ignore[assignment]
    client.post(access.make_sign_in_link(n, "amina").removeprefix(BASE))
    card = fill(client, action="preview").one("article", id="preview-x")
    length = len("".join(card.find("p", class_="words")[0].pieces)) // 2
    assert f"{length} of 280" in card.text


def test_a_long_impact_is_shortened_in_the_post_and_says_so(operator: LintingClient) -> None:
    long = "Nobody can book a technician, see a bill or report a reading, " * 5
    page = fill(operator, action="preview", impact=long)
    assert "Shortened to fit" in page.one("article", id="preview-x").text
    frame = operator.page(page.one("iframe").attrs["src"])
    assert frame.text.count("Nobody can book") >= 5


def test_an_impact_of_several_lines_that_fits_is_not_called_shortened(
    operator: LintingClient,
) -> None:
    page = fill(operator, action="preview", impact="No hot water.\n\nHeating works.")
    assert "Shortened" not in page.one("article", id="preview-x").text


def test_an_impact_of_numbers_only_says_that_there_can_be_no_post(
    operator: LintingClient,
) -> None:
    page = fill(operator, action="preview", impact="10 20 30 " * 60)
    assert "No post" in page.one("article", id="preview-x").text


@pytest.mark.usefixtures("readers")
def test_a_preview_writes_nothing_and_posts_nothing(
    operator: LintingClient, n: Notifier, posts: FakePosts
) -> None:
    fill(operator, action="preview")
    page = operator.page(DECLARE)
    operator.press(page, DECLARE, {**FILLED, "action": ""})
    (form,) = page.find("form", id="desk")
    answer = operator.post(f"{DECLARE}/preview", data={**page.values(form), **FILLED})
    assert answer.status_code == 200
    assert _count(n) == 0
    assert posts.tried == []


@pytest.mark.usefixtures("readers")
def test_the_script_gets_the_same_preview_as_the_page(operator: LintingClient) -> None:
    page = fill(operator, action="preview")
    (form,) = page.find("form", id="desk")
    fragment = Page(operator.post(f"{DECLARE}/preview", data=page.values(form)).text)
    assert fragment.one(id="preview").text == page.one(id="preview").text
    assert fragment.one(id="preview").attrs["data-label"] == page.one("button", id="publish").text


def test_an_untouched_next_update_follows_severity_and_clock(
    operator: LintingClient, clock: FakeClock
) -> None:
    page = operator.page(DECLARE)
    assert page.one("input", id="next_update_by").attrs["value"] == "2026-11-22T14:15"
    clock.move(minutes=10)
    answer = operator.press(page, DECLARE, {"severity": "critical", "action": "preview"})
    assert Page(answer.text).one("input", id="next_update_by").attrs["value"] == "2026-11-22T13:55"


def test_a_next_update_that_somebody_chose_stays(operator: LintingClient, clock: FakeClock) -> None:
    page = fill(operator, action="preview", next_update_by="2026-11-22T14:47")
    clock.move(minutes=10)
    answer = operator.press(page, DECLARE, {"severity": "critical", "action": "preview"})
    assert Page(answer.text).one("input", id="next_update_by").attrs["value"] == "2026-11-22T14:47"


def test_a_double_click_declares_once(operator: LintingClient, n: Notifier) -> None:
    page = operator.page(DECLARE)
    answers = [operator.press(page, DECLARE, FILLED) for _ in range(3)]
    assert {a.headers["Location"] for a in answers} == {"/admin/incidents/1"}
    assert _count(n) == 1


def test_going_back_and_changing_the_form_sends_nothing_and_says_where_to_go(
    operator: LintingClient, n: Notifier
) -> None:
    page = operator.page(DECLARE)
    operator.press(page, DECLARE, FILLED)
    answer = operator.press(page, DECLARE, {**FILLED, "impact": "It is worse than we thought."})
    assert answer.status_code == 409
    again = Page(answer.text)
    assert "This form was published already" in again.text
    assert "It is worse than we thought." in again.one("textarea", id="impact").text
    assert again.find("a", href="/admin/incidents/1/update")
    assert _count(n) == 1


def test_forms_that_carry_no_key_are_not_taken_for_each_other(
    operator: LintingClient, n: Notifier
) -> None:
    for title in ("One", "Another"):
        changes = {**FILLED, "once": "", "title": title}
        assert operator.press(operator.page(DECLARE), DECLARE, changes).status_code == 303
    assert _count(n) == 2


def test_everything_that_is_wrong_is_said_at_once_and_in_the_order_of_the_page(
    operator: LintingClient, n: Notifier
) -> None:
    page = fill(
        operator,
        components=[],
        severity="terrible",
        title="x" * 121,
        impact=" ",
        duration="by",
        duration_until="2026-11-22T12:00",
        explanation="",
        next_update_by="2026-11-22T12:30",
        mail="at",
        mail_at="",
    )
    links = page.one("div", id="problems").find("a")
    assert [(a.attrs["href"], a.text) for a in links] == [
        ("#components", "Choose what is affected."),
        ("#severity", "Choose how bad it is."),
        ("#title", "The title has 121 characters; at most 120 are allowed."),
        ("#impact", "How customers are affected is missing."),
        ("#duration_until", "The latest end is in the past."),
        ("#explanation", "The explanation is missing."),
        ("#next_update_by", "The time of the next update is in the past."),
        ("#mail_at", "Fill in when the e-mail leaves."),
    ]
    for link in links:
        field = link.attrs["href"][1:]
        assert page.one(id=f"{field}-mistake").text == link.text
    assert page.one("title").text.startswith("Error: Declare a disruption")
    assert _count(n) == 0


def test_what_was_typed_is_kept_when_something_is_wrong(operator: LintingClient) -> None:
    page = fill(operator, impact="")
    (form,) = page.find("form", id="desk")
    kept = {k: v for k, v in page.values(form).items() if k in FILLED}
    expected = {k: v if isinstance(v, list) else [v] for k, v in FILLED.items()}
    assert {**kept, "impact": [""], "action": ["publish"]} == {**expected, "impact": [""]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"title": "two\nlines"}, "The title must be one line"),
        ({"impact": "a\x00b"}, "contains the control character U+0000"),
        ({"explanation": "x" * 5001}, "at most 5000 are allowed"),
        ({"duration": ""}, "Say how long to expect it"),
        ({"duration_from": ""}, "Fill in the earliest end"),
        ({"duration_from": "soon"}, "must be a date and a time"),
        ({"duration_from": "2026-11-22T17:00"}, "must be later than the earliest end"),
        ({"next_update_by": ""}, "Say when customers hear from you next."),
        ({"next_update_by": "2028-01-01T00:00"}, "is more than a year ahead"),
        ({"components": ["hot-water", "no-such"]}, "names no known component: no-such"),
        ({"mail": "at", "mail_at": "2027-02-01T00:00"}, "at most 30 days ahead"),
    ],
)
def test_a_mistake_is_named_in_one_sentence_and_changes_nothing(
    operator: LintingClient, n: Notifier, changes: dict[str, Any], said: str
) -> None:
    page = fill(operator, **changes)
    (mistake,) = page.one("div", id="problems").find("a")
    assert said in mistake.text
    assert _count(n) == 0


def test_enter_in_a_field_never_publishes(operator: LintingClient) -> None:
    # Enter presses the first submit button of a form (HTML, "implicit submission").
    first = operator.page(DECLARE).one("form", id="desk").find("button")[0]
    assert first.attrs["value"] == "preview"


def test_a_viewer_may_not_declare(sign_in_as: Any) -> None:
    viewer = sign_in_as(role="viewer", name="vera")
    assert viewer.get(DECLARE).status_code == 403
    assert not viewer.page("/admin/").find("a", href=DECLARE)


def test_without_components_the_page_says_what_to_do_first(
    operator: LintingClient, n: Notifier
) -> None:
    with n.db.transaction() as connection:
        connection.execute(schema.components.delete())
    page = operator.page(DECLARE)
    assert "notifier customers import FILE.csv" in page.text
    assert not page.find("form", id="desk")


@pytest.mark.parametrize("raw", [b"impact=%FF%FE", b"impact=\xff\xfe", b"%C3(=x"])
def test_a_form_that_is_not_utf_8_is_refused(operator: LintingClient, raw: bytes) -> None:
    form = "application/x-www-form-urlencoded"
    answer = operator.post(DECLARE, data=raw, content_type=form)
    assert answer.status_code == 400
    assert "not UTF-8" in answer.text


def test_ten_megabytes_are_refused(operator: LintingClient) -> None:
    answer = operator.post(DECLARE, data={"impact": "x" * 10_000_000})
    assert answer.status_code == 413
    assert "1 MiB" in answer.text


def test_what_a_refused_form_said_is_not_lost(operator: LintingClient) -> None:
    stale = {**FILLED, "csrf": "of an older session"}
    answer = operator.post(DECLARE, data=stale, headers={"Origin": BASE})
    assert answer.status_code == 403
    assert FILLED["impact"] in Page(answer.text).one("dl").text


def _count(n: Notifier) -> int:
    with n.db.read() as connection:
        counts = [
            connection.scalar(select(func.count()).select_from(t)) for t in (incidents, updates)
        ]
    assert counts[0] == counts[1]
    return counts[0] or 0
