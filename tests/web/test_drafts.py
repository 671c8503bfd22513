"""What the monitoring proposes: seen on top, posted with one press, and never lost while typing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from notifier.domain.access import Role
from notifier.domain.alerting import DraftState
from notifier.domain.incident import Severity, Status
from notifier.ports import Notifier
from notifier.services import audience, correlating, drafts, incidents, reports
from notifier.services.incidents import Expected, Published, Words
from tests.alerts.alarms import Alarms, allow_auto, open_alarms
from tests.fakes import FakeClock
from tests.web.pages import LintingClient, Page
from tests.web.test_hostile_text import CORPUS

HOME, ALL, DECLARE = "/admin/", "/admin/drafts", "/admin/declare"
IMPACT = "You may have problems with Hot water."


@pytest.fixture
def alarms(n: Notifier, components: list[str]) -> Alarms:
    return open_alarms(n, component=components[0])


def press(client: LintingClient, action: str, draft_id: int = 1, **changes: str) -> Any:
    """What comes of a button of a draft's own page."""
    path = f"{ALL}/{draft_id}"
    return client.press(client.page(path), f"{path}/{action}", changes)


def past(alarms: Alarms, clock: FakeClock, *minutes: int) -> None:
    """Disruptions of the component that took that long."""
    for each in minutes:
        alarms.fire(key := f"past {each}")
        began = clock()
        made = drafts.declaration(alarms.n, alarms.newest().id)
        incident = incidents.declare(alarms.n, made, by="ada").incident
        clock.move(minutes=each)
        alarms.end(key, start=began)
        over = Words("All is well.", Expected(), "It was repaired.", None)
        incidents.post_update(alarms.n, incident.id, Status.RESOLVED, over, by="ada")
        clock.move(hours=1)


# --- What is shown -----------------------------------------------------------------------------


def test_what_waits_stands_on_top_of_the_home(operator: LintingClient, alarms: Alarms) -> None:
    alarms.fire("a", severity="warning")
    alarms.fire("b", severity="warning")
    page = operator.page(HOME)
    card = page.one("article", id="draft-1")
    assert page.find("h2")[0].text == "The monitoring proposes"
    for said in ("Hot water", "Minor", "2 alerts", IMPACT, "How long: not known yet.", "Since Sun"):
        assert said in card.text
    row = card.find("div", class_="actions")[0]
    presses = [one for one in row.find() if one.tag in ("button", "a")]
    assert [one.text for one in presses] == [
        "Post now: Hot water", "Edit first: Hot water", "Dismiss: Hot water",
    ]  # fmt: skip
    assert "Drafts 1" in page.one("nav").text
    assert "Everything works" not in page.text


def test_without_drafts_the_home_says_nothing_of_them(operator: LintingClient) -> None:
    assert "proposes" not in operator.page(HOME).text
    page = operator.page(ALL)
    assert "Nothing." in page.text
    assert page.one("nav").find("a", href=ALL)[0].text == "Drafts"


def test_the_proposal_says_how_then_how_long_then_why_then_when_we_speak_again(
    sign_in_as: Any, alarms: Alarms, clock: FakeClock
) -> None:
    past(alarms, clock, 20, 20, 60)
    alarms.fire("now")
    operator = sign_in_as()
    said = operator.page(f"{ALL}/4").one("section", aria_labelledby="said").text
    parts = (
        IMPACT,
        "We expect this to end between",
        "half of 3 past disruptions took up to 20 min, 80% up to 1 h",
        "Our monitoring has noticed a problem.",
        "Next update by",
    )
    places = [said.index(part) for part in parts]
    assert places == sorted(places)


def test_every_alert_that_fed_it_is_shown_with_its_link_back(
    operator: LintingClient, alarms: Alarms, clock: FakeClock
) -> None:
    start = clock()
    linked = alarms.alert("firing", "a", pod="web-1") | {"generatorURL": "https://prom.example/g"}
    linked["annotations"] |= {"description": "Two of three pods fail."}
    alarms.post({"alerts": [linked]})
    alarms.fire("b")
    clock.move(minutes=3)
    alarms.end("b", start=start)
    first, second = operator.page(f"{ALL}/1").find("article", class_="card alert")
    for said in ("Alert of Prometheus", "Fires", "alert a", "Two of three pods", "pod", "web-1"):
        assert said in first.text
    assert "What the tool said" in first.find("blockquote")[0].text
    (link,) = first.find("a")
    assert link.attrs["href"] == "https://prom.example/g"
    assert link.attrs["rel"] == "noreferrer noopener"
    assert "Over" in second.text
    assert "last heard of Sun 22 Nov 2026, 13:15 PKT" in second.text
    assert not second.find("a")


def test_an_alert_of_which_nothing_is_heard_is_not_called_over(
    sign_in_as: Any, alarms: Alarms, clock: FakeClock
) -> None:
    alarms.fire()
    clock.move(hours=25)
    correlating.look_for_silence(alarms.n)
    operator = sign_in_as()
    page = operator.page(f"{ALL}/1")
    assert "No longer reported" in page.one("article", class_="card alert").text
    assert "Its tools reported it no longer" in page.text
    assert "Over" not in page.one("article", class_="card alert").text


@pytest.mark.parametrize("text", [*CORPUS, "javascript:alert(1)"])
def test_a_tools_words_come_out_as_text_and_never_in_what_would_be_said(
    operator: LintingClient, alarms: Alarms, text: str
) -> None:
    # The linting client refuses every page with a script, a handler or an element too many.
    hostile = alarms.alert("firing", "a", pod=text) | {"generatorURL": text}
    hostile["annotations"] = {"summary": text, "description": text}
    alarms.post({"alerts": [hostile]})
    alarms.gather()
    page = operator.page(f"{ALL}/1")
    assert not page.one("article", class_="card alert").find("a")
    shown = " ".join(page.one("blockquote").text.split())
    assert " ".join(text.replace("\u2067", "").replace("\u2069", "").split()) in shown
    assert text not in page.one("section", aria_labelledby="said").text
    operator.page(HOME)
    press(operator, "post")
    operator.page("/admin/incidents/1")


def test_a_viewer_sees_and_decides_nothing(sign_in_as: Any, alarms: Alarms) -> None:
    allow_auto(alarms.n, component="hot-water")
    alarms.fire(service="hot-water")
    viewer = sign_in_as(Role.VIEWER, "vera")
    for path in (HOME, ALL, f"{ALL}/1"):
        page = viewer.page(path)
        assert "Hot water" in page.text
        assert not [f for f in page.find("form") if "/drafts/" in f.attrs["action"]]
        assert not page.find("a", href=f"{ALL}/1/edit")


def test_there_is_no_page_of_a_draft_that_is_not_there(operator: LintingClient) -> None:
    operator.page(f"{ALL}/7", status=404)
    operator.page(f"{ALL}/7/edit", status=404)


# --- Deciding ----------------------------------------------------------------------------------


def test_one_press_posts_it(operator: LintingClient, alarms: Alarms) -> None:
    alarms.fire()
    answer = operator.press(operator.page(HOME), f"{ALL}/1/post")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/incidents/1")
    report = reports.report(alarms.n, 1)
    assert report.latest.update.notice.impact == IMPACT
    assert report.latest.update.published_by == "amina"
    assert report.components[0].slug == "hot-water"
    assert alarms.newest().state is DraftState.POSTED


def test_a_second_press_of_the_same_person_leads_to_what_the_first_made(
    operator: LintingClient, alarms: Alarms
) -> None:
    alarms.fire()
    page = operator.page(HOME)
    answers = [operator.press(page, f"{ALL}/1/post") for _ in range(2)]
    assert {a.headers["Location"] for a in answers} == {"/admin/incidents/1"}


def test_whoever_comes_second_is_led_to_the_incident(
    operator: LintingClient, sign_in_as: Any, alarms: Alarms
) -> None:
    alarms.fire()
    ben = sign_in_as(name="ben")
    page = ben.page(f"{ALL}/1")
    press(operator, "post")
    for action in ("post", "dismiss"):
        answer = ben.press(page, f"{ALL}/1/{action}")
        assert answer.status_code == 409
        said = Page(answer.text)
        assert "Amina posted it as INC-1." in said.text
        assert said.find("a", href="/admin/incidents/1")


def test_a_dismissed_draft_is_kept_with_who_did_it(operator: LintingClient, alarms: Alarms) -> None:
    alarms.fire()
    assert press(operator, "dismiss").headers["Location"] == HOME
    assert "amina dismissed it." in operator.page(ALL).text
    assert "amina dismissed it." in operator.page(f"{ALL}/1").text
    assert not operator.page(HOME).find("article", id="draft-1")


def test_a_withdrawn_draft_says_why(
    operator: LintingClient, alarms: Alarms, clock: FakeClock
) -> None:
    start = clock()
    alarms.fire()
    clock.move(minutes=1)
    alarms.end(start=start)
    assert "Its alerts were over before anybody had posted it." in operator.page(ALL).text
    operator.page(f"{ALL}/1/edit", status=409)


def test_what_would_post_itself_can_be_stopped(
    operator: LintingClient, alarms: Alarms, clock: FakeClock
) -> None:
    allow_auto(alarms.n, component="hot-water")
    alarms.fire(service="hot-water")
    page = operator.page(HOME)
    assert "Posts itself Sun 22 Nov 2026, 13:14 PKT" in page.one("article", id="draft-1").text
    stops = [f for f in page.find("form") if f.attrs["action"] == f"{ALL}/1/stop"]
    assert [f.find("button")[0].text.partition(":")[0] for f in stops] == [
        "Stop",
        "Stop and edit first",
    ]
    data = {name: values[0] for name, values in page.values(stops[0]).items()}
    assert operator.post(f"{ALL}/1/stop", data=data).headers["Location"] == f"{ALL}/1"
    clock.move(minutes=3)
    assert [draft.id for draft in alarms.gather()] == [1]
    assert "It does not post itself: stopped by amina." in operator.page(f"{ALL}/1").text


def test_who_edits_it_first_keeps_it_from_posting_itself_meanwhile(
    operator: LintingClient, alarms: Alarms, clock: FakeClock
) -> None:
    allow_auto(alarms.n, component="hot-water")
    alarms.fire(service="hot-water")
    page = operator.page(f"{ALL}/1")
    form = next(f for f in page.find("form") if f.find("input", name="then"))
    data = {name: values[0] for name, values in page.values(form).items()}
    answer = operator.post(f"{ALL}/1/stop", data=data)
    assert answer.headers["Location"] == f"{ALL}/1/edit"
    clock.move(minutes=3)
    assert alarms.gather() != []


def test_without_a_component_it_can_be_edited_and_not_posted(
    operator: LintingClient, n: Notifier, components: list[str]
) -> None:
    alarms = open_alarms(n)
    alarms.fire()
    page = operator.page(f"{ALL}/1")
    actions = [f.attrs["action"] for f in page.find("form")]
    assert f"{ALL}/1/post" not in actions
    assert page.find("a", href=f"{ALL}/1/edit")
    csrf = page.find("input", name="csrf")[0].attrs["value"]
    answer = operator.post(f"{ALL}/1/post", data={"csrf": csrf})
    assert answer.status_code == 409
    assert "choose one" in answer.text
    assert Page(answer.text).find("a", href=f"{ALL}/1/edit")
    chosen = {"components": components[:1], "action": "publish"}
    answer = operator.press(operator.page(f"{ALL}/1/edit"), DECLARE, chosen)
    assert answer.status_code == 303
    assert alarms.newest().incident_id == 1


def test_what_cannot_be_posted_as_it_is_leads_to_the_form(
    operator: LintingClient, n: Notifier
) -> None:
    audience.put_component(n, slug_="long", name="x" * 120)
    open_alarms(n, component="long").fire()
    answer = press(operator, "post")
    assert answer.status_code == 422
    page = Page(answer.text)
    assert "The title has 134 characters; at most 120 are allowed." in page.text
    assert page.find("a", href=f"{ALL}/1/edit")


# --- Editing it first --------------------------------------------------------------------------


def test_the_form_is_filled_in_with_what_is_proposed(
    sign_in_as: Any, alarms: Alarms, clock: FakeClock
) -> None:
    past(alarms, clock, 20, 20, 60)
    alarms.fire("now")
    operator = sign_in_as()
    page = operator.page(f"{ALL}/4/edit")
    values = page.values(page.one("form", id="desk"))
    assert values["draft"] == ["4"]
    assert values["title"] == ["Problems with Hot water"]
    assert values["components"] == ["hot-water"]
    assert values["severity"] == ["critical"]
    assert values["impact"] == [IMPACT]
    assert values["duration"] == ["between"]
    now = clock() + timedelta(hours=5)  # Asia/Karachi
    assert values["duration_from"] == [f"{now + timedelta(minutes=20):%Y-%m-%dT%H:%M}"]
    assert values["duration_until"] == [f"{now + timedelta(minutes=60):%Y-%m-%dT%H:%M}"]
    assert values["explanation"][0].startswith("Our monitoring has noticed")
    assert values["next_update_by"] == values["proposed"]


def test_where_most_took_as_long_as_half_of_them_one_time_is_proposed(
    sign_in_as: Any, alarms: Alarms, clock: FakeClock
) -> None:
    past(alarms, clock, 19, 18, 17)
    alarms.fire("now")
    operator = sign_in_as()
    page = operator.page(f"{ALL}/4/edit")
    assert page.values(page.one("form", id="desk"))["duration"] == ["by"]
    assert press(operator, "post", 4).status_code == 303


def test_what_was_edited_is_published_and_began_with_the_first_alert(
    operator: LintingClient, alarms: Alarms, clock: FakeClock
) -> None:
    began = clock()
    alarms.fire()
    clock.move(minutes=7)
    changes = {"title": "Cold showers", "severity": "minor", "action": "publish"}
    answer = operator.press(operator.page(f"{ALL}/1/edit"), DECLARE, changes)
    assert answer.headers["Location"] == "/admin/incidents/1"
    incident = reports.report(alarms.n, 1).incident
    assert (incident.title, incident.started_at) == ("Cold showers", began)
    assert alarms.newest().incident_id == 1


def test_a_draft_posted_meanwhile_sends_nothing_twice_and_keeps_what_was_typed(
    operator: LintingClient, sign_in_as: Any, alarms: Alarms
) -> None:
    alarms.fire()
    page = operator.page(f"{ALL}/1/edit")
    press(sign_in_as(name="ben"), "post")
    changes = {"impact": "Showers are cold.", "action": "publish"}
    for _ in range(2):
        answer = operator.press(page, DECLARE, changes)
        assert answer.status_code == 409
        page = Page(answer.text)
        assert "ben posted it as INC-1." in page.one(id="problems").text
        assert page.find("a", href="/admin/incidents/1/update")
        assert page.one("textarea", id="impact").text == "Showers are cold."


@pytest.mark.parametrize("fate", ["dismissed", "withdrawn"])
def test_a_draft_that_nobody_posts_any_more_can_still_be_said(
    operator: LintingClient, alarms: Alarms, clock: FakeClock, fate: str
) -> None:
    start = clock()
    alarms.fire()
    page = operator.page(f"{ALL}/1/edit")
    if fate == "dismissed":
        drafts.dismiss(alarms.n, 1, by="ben")
    else:
        alarms.end(start=start)
    answer = operator.press(page, DECLARE, {"impact": "Showers are cold.", "action": "publish"})
    assert answer.status_code == 409
    again = Page(answer.text)
    assert "what you wrote is still here" in again.one(id="problems").text
    answer = operator.press(again, DECLARE, {"action": "publish"})
    assert answer.status_code == 303
    assert reports.report(alarms.n, 1).latest.update.notice.impact == "Showers are cold."


@pytest.mark.usefixtures("alarms")
@pytest.mark.parametrize("forged", ["99", "0", "-1", "1e3", "9" * 40, "x", "٣"])
def test_a_forged_draft_loses_no_words(operator: LintingClient, forged: str) -> None:
    filled = {
        "components": ["hot-water"], "title": "Cold", "impact": "Showers are cold.",
        "duration": "unknown", "explanation": "A pump.", "action": "publish", "draft": forged,
    }  # fmt: skip
    page = operator.page(DECLARE)
    values = page.values(page.one("form", id="desk"))
    answer = operator.post(DECLARE, data={**values, **filled})
    if forged == "99":
        assert answer.status_code == 409
        page = Page(answer.text)
        assert "does not exist any more" in page.text
        answer = operator.press(page, DECLARE, {"action": "publish"})
    assert answer.status_code == 303


# --- The incident's page -----------------------------------------------------------------------


@pytest.fixture
def posted(operator: LintingClient, alarms: Alarms) -> Alarms:
    """Two alerts became incident 1; the clock has not moved since."""
    alarms.fire("a", severity="error")
    alarms.fire("b", severity="error")
    press(operator, "post")
    return alarms


def test_the_incident_shows_every_alert_that_fed_it(
    operator: LintingClient, posted: Alarms, clock: FakeClock
) -> None:
    clock.move(minutes=1)
    posted.fire("later", severity="error")
    page = operator.page("/admin/incidents/1")
    shown = [b.find("b")[0].text for b in page.one(id="timeline").find("blockquote")]
    assert shown == ["alert a", "alert b", "alert later"]
    assert not page.find(id="alerts-over")
    assert not page.find(id="alerts-worse")


def test_it_shows_deployments_from_an_hour_before(
    operator: LintingClient, posted: Alarms, clock: FakeClock
) -> None:
    deployed(posted, clock() - timedelta(minutes=59), "Release 7")
    deployed(posted, clock() - timedelta(minutes=61), "Release 6")
    shown = operator.page("/admin/incidents/1").one(id="timeline").text
    assert "Release 7" in shown
    assert shown.index("Release 7") < shown.index("alert a")
    assert "Release 6" not in shown


def deployed(alarms: Alarms, at: Any, title: str) -> None:
    from notifier.store import alerts
    from notifier.store.alerts import Told

    note = {"key": title, "at": at, "title": title, "url": "https://ci.example/7", "labels": {}}
    with alarms.n.db.transaction() as connection:
        alerts.write(connection, [], [Told(alarms.integration_id, at, notes=[note])])


def test_it_proposes_the_end_once_all_alerts_are_over(
    operator: LintingClient, posted: Alarms, clock: FakeClock
) -> None:
    start = clock()
    clock.move(minutes=8)
    posted.end("a", start=start)
    assert not operator.page("/admin/incidents/1").find(id="alerts-over")
    posted.end("b", start=start)
    note = operator.page("/admin/incidents/1").one(id="alerts-over")
    assert "All alerts are over since Sun 22 Nov 2026, 13:20 PKT (UTC+5)" in note.text
    page = operator.page(note.find("a")[0].attrs["href"])
    values = page.values(page.one("form", id="desk"))
    assert values["status"] == ["resolved"]
    assert values["impact"] == ["Everything works again, as far as our monitoring can tell."]
    assert values["explanation"] == [
        "Our monitoring has found no problem since 22 Nov 13:20 PKT (UTC+5)."
    ]
    operator.press(page, "/admin/incidents/1/update", {"action": "publish"})
    assert not operator.page("/admin/incidents/1").find(id="alerts-over")


def test_the_end_keeps_an_explanation_that_somebody_wrote(
    operator: LintingClient, posted: Alarms, clock: FakeClock
) -> None:
    start = clock()
    by_hand = Words("Cold.", Expected(unknown=True), "A pump failed.", start.replace(hour=23))
    incidents.post_update(posted.n, 1, Status.IDENTIFIED, by_hand, by="ada")
    for key in ("a", "b"):
        posted.end(key, start=start)
    page = operator.page("/admin/incidents/1/resolve")
    said = "".join(page.one("textarea", id="explanation").pieces)
    assert said.endswith("\n\nA pump failed.")


def test_what_is_no_longer_reported_has_to_be_checked(
    sign_in_as: Any, posted: Alarms, clock: FakeClock
) -> None:
    clock.move(hours=25)
    correlating.look_for_silence(posted.n)
    operator = sign_in_as()
    page = operator.page("/admin/incidents/1")
    assert "No longer reported since" in page.one(id="alerts-unheard").text
    assert "Check before you resolve." in page.one(id="alerts-unheard").text
    assert not page.find(id="alerts-over")
    form = operator.page("/admin/incidents/1/resolve")
    assert "monitoring" not in form.one("textarea", id="impact").text


def test_it_says_when_the_alerts_are_worse_than_what_was_declared(
    operator: LintingClient, posted: Alarms
) -> None:
    posted.fire("c", severity="critical")
    note = operator.page("/admin/incidents/1").one(id="alerts-worse").text
    assert "worse than what was declared: critical, not major" in note


def test_an_incident_without_alerts_says_nothing_of_them(
    operator: LintingClient, declare: Callable[..., Published]
) -> None:
    declare(severity=Severity.MINOR)
    page = operator.page("/admin/incidents/1")
    assert not page.find(id="timeline")
    assert "monitoring" not in page.text


# --- Speed -------------------------------------------------------------------------------------


def test_no_draft_costs_the_home_a_query_of_its_own(operator: LintingClient, n: Notifier) -> None:
    def queries() -> int:
        said: list[str] = []

        def remember(*given: Any) -> None:
            said.append(given[2])

        event.listen(n.db.engine, "before_cursor_execute", remember)
        try:
            assert operator.get(HOME).status_code == 200
        finally:
            event.remove(n.db.engine, "before_cursor_execute", remember)
        return len(said)

    open_alarms(n, name="first").fire()
    one = queries()
    for i in range(5):
        open_alarms(n, name=f"more {i}").fire()
    assert len(operator.page(HOME).find("article", class_="card draft")) == 6
    assert queries() == one
