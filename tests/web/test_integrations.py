"""Connecting monitoring tools: all of it by the pages, as an administrator does it."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from notifier.domain.access import Role
from notifier.domain.signal import Hook
from notifier.ports import Notifier
from notifier.services import integrations
from notifier.services.hooks import Intake
from notifier.store import alerts
from notifier.store import integrations as store
from notifier.store.integrations import Integration
from tests.alerts.alarms import Alarms, allow_auto, open_alarms
from tests.fakes import FakeClock
from tests.web.conftest import SignIn
from tests.web.pages import BASE, LintingClient, Page
from tests.web.test_hostile_text import CORPUS

LIST = "/admin/integrations"
NEW = f"{LIST}/new"
ONE = f"{LIST}/1"
SECRET = "a secret of the tool's"


@pytest.fixture
def admin(sign_in_as: SignIn) -> LintingClient:
    return sign_in_as(Role.ADMIN, "ada")


@pytest.fixture
def alarms(n: Notifier, components: list[str]) -> Alarms:
    return open_alarms(n, component=components[0])


def only(n: Notifier) -> Integration:
    with n.db.read() as connection:
        (one,) = store.list_all(connection)
    return one


def connect(admin: LintingClient, source: str, **changes: str) -> Any:
    return admin.press(admin.page(f"{NEW}?source={source}"), NEW, changes)


def shown_address(page: Page) -> str:
    (address,) = re.findall(rf"{BASE}/hooks/\S+", page.find("pre")[0].text)
    return urlsplit(address).path


def fire(n: Notifier, address: str, **headers: str) -> int:
    """What a tool is answered that sends an alert to this address."""
    source, key = address.removeprefix("/hooks/").split("/")
    body = {"alerts": [{"status": "firing", "fingerprint": "a", "labels": {}}]}
    hook = Hook("POST", headers, "", json.dumps(body).encode(), n.clock())
    return Intake(n).take(source, key, hook, peer="127.0.0.1").status


def mistakes(page: Page) -> dict[str, str]:
    return {m.attrs["id"].removesuffix("-mistake"): m.text for m in page.find(class_="mistake")}


def test_the_page_lists_every_tool_with_its_steps(admin: LintingClient, n: Notifier) -> None:
    page = admin.page(LIST)
    for name, module in n.sources.items():
        (tool,) = page.find("details", id=f"tool-{name}")
        assert module.TITLE in tool.find("summary")[0].text
        assert len(tool.find("ol")[0].find("li")) == len(module.SETUP.steps)
        assert "{url}" not in tool.text
        assert "Tested with" in tool.text
        assert tool.find("a", href=f"{NEW}?source={name}")
        outward = [a for a in tool.find("a") if a.attrs["href"].startswith("https://")]
        assert all(a.attrs["rel"] == "noreferrer noopener" for a in outward)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.PUBLISHER])
def test_only_administrators_find_the_way_there(sign_in_as: SignIn, role: Role) -> None:
    client = sign_in_as(role, role.value)
    assert not client.page("/admin/").find("a", href=LIST)
    assert client.get(LIST).status_code == 403


def test_every_tool_can_be_connected_and_shows_its_address_once(
    admin: LintingClient, n: Notifier
) -> None:
    for source in n.sources:
        answer = connect(admin, source, name=f"My {source}")
        assert answer.status_code == 200, Page(answer.text).find(class_="summary")
        page = Page(answer.text)
        address = shown_address(page)
        steps = n.sources[source].SETUP
        spots = sum("{url}" in part for part in (*steps.steps, steps.template))
        assert answer.text.count(address) >= spots + 2
        key = address.rpartition("/")[2]
        link = page.find("a", class_="button first")[0].attrs["href"]
        assert key not in admin.get(link).text
        assert key not in admin.get(LIST).text


def test_what_is_connected_takes_requests(
    admin: LintingClient, n: Notifier, components: list[str]
) -> None:
    answer = connect(
        admin,
        "alertmanager",
        component=components[0],
        severity="critical",
        header="X-Token",
        header_secret=SECRET,
        networks="127.0.0.0/8\n\n2001:db8::/32",
        heartbeat_minutes="5",
    )
    page = Page(answer.text)
    assert "x-token: YOUR-SECRET" in page.text
    assert SECRET not in answer.text
    assert fire(n, shown_address(page)) == 401
    assert fire(n, shown_address(page), **{"x-token": "guess"}) == 401
    assert fire(n, shown_address(page), **{"x-token": SECRET}) == 200
    made = only(n)
    assert made.heartbeat == timedelta(minutes=5)
    assert list(made.networks) == ["127.0.0.0/8", "2001:db8::/32"]
    assert made.severity == "critical"


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"name": " "}, "name", "The name is missing."),
        ({"component": "no-such"}, "component", "The component 'no-such' is none that there is."),
        ({"severity": "bad"}, "severity", "Say how bad an alert is whose tool does not say so."),
        ({"heartbeat_minutes": "1.5"}, "heartbeat_minutes", "The heartbeat must be a whole number"),
        ({"heartbeat_minutes": "0"}, "heartbeat_minutes", "The heartbeat must be from 1 to 10080."),
        ({"networks": "here"}, "networks", "The allowed networks must be such as 192.0.2.0/24;"),
        ({"header": "a b", "header_secret": SECRET}, "header", "The header must be the name of"),
        ({"header": "X-Token"}, "header_secret", "The header’s secret and the name of its header"),
        ({"signing_secret": "short"}, "signing_secret", "The signing secret must have 8 to 4096"),
        ({"option-key": "a["}, "option-key", "“Key” is not a JMESPath expression:"),
    ],
)
def test_what_is_wrong_is_said_by_the_field(
    admin: LintingClient, n: Notifier, changes: dict[str, str], field: str, said: str
) -> None:
    answer = connect(admin, "generic", **changes)
    assert answer.status_code == 422
    page = Page(answer.text)
    assert list(mistakes(page)) == [field]
    assert mistakes(page)[field].startswith(said)
    assert page.find("a", href=f"#{field}")
    with n.db.read() as connection:
        assert store.list_all(connection) == []


def test_no_secret_comes_back_in_a_form(admin: LintingClient) -> None:
    answer = connect(admin, "grafana", name="", signing_secret=SECRET, header_secret=SECRET)
    assert answer.status_code == 422
    assert SECRET not in answer.text


def test_a_secret_is_asked_for_only_where_the_tool_signs_with_one(admin: LintingClient) -> None:
    for source, asked in (("grafana", 1), ("alertmanager", 0), ("aws_sns", 0)):
        fields = admin.page(f"{NEW}?source={source}").find("input", id="signing_secret")
        assert len(fields) == asked, source


def test_the_list_tells_what_is_silent(
    admin: LintingClient, alarms: Alarms, clock: FakeClock
) -> None:
    def told() -> str:
        return admin.page(LIST).one("article", id="integration-1").text

    assert "Nothing heard yet" in told()
    admin.press(admin.page(ONE), ONE, {"heartbeat_minutes": "5"})
    alarms.say("firing")
    alarms.post(b"{")
    assert "Silent" not in told()
    assert "last requests Not understood Understood" in told()
    assert "component Hot water" in told()
    clock.move(minutes=6)
    assert "Silent: no data" in told()
    assert "silent after 5 minutes" in told()


def test_settings_are_changed_and_secrets_stay(admin: LintingClient, n: Notifier) -> None:
    connect(
        admin, "grafana", header="X-Token", header_secret=SECRET, signing_secret="the first one"
    )
    answer = admin.press(admin.page(ONE), ONE, {"name": "Other", "heartbeat_minutes": "90"})
    assert answer.status_code == 303
    changed = only(n)
    assert (changed.name, changed.heartbeat) == ("Other", timedelta(minutes=90))
    assert integrations.keys(n, changed) == integrations.Keys(SECRET, ("the first one",))
    admin.press(admin.page(ONE), ONE, {"header": ""})
    assert integrations.keys(n, only(n)).header == ""


def test_two_signing_secrets_are_believed_unless_the_last_got_out(
    admin: LintingClient, n: Notifier
) -> None:
    connect(admin, "grafana", signing_secret="the first one")

    def rotate(secret: str, **more: str) -> tuple[str, ...]:
        path = f"{ONE}/signing-secret"
        answer = admin.press(admin.page(ONE), path, {"signing_secret": secret, **more})
        assert answer.status_code == 303
        return tuple(integrations.keys(n, only(n)).signing)

    assert rotate("the second one") == ("the second one", "the first one")
    assert "Two are believed" in admin.page(ONE).text
    assert rotate("the third one") == ("the third one", "the second one")
    assert rotate("the fourth one", forget_last="yes") == ("the fourth one",)
    refused = admin.press(admin.page(ONE), f"{ONE}/signing-secret", {"signing_secret": "x"})
    assert refused.status_code == 422
    assert list(mistakes(Page(refused.text))) == ["signing_secret"]


def test_a_tool_that_signs_nothing_takes_no_signing_secret(
    admin: LintingClient, alarms: Alarms
) -> None:
    csrf = admin.page(ONE).find("input", name="csrf")[0].attrs["value"]
    sent = {"csrf": csrf, "signing_secret": "a long secret"}
    assert admin.post(f"{ONE}/signing-secret", data=sent).status_code == 404
    assert integrations.keys(alarms.n, only(alarms.n)).signing == ()


def test_a_new_address_takes_the_place_of_the_old_one(admin: LintingClient, n: Notifier) -> None:
    old = shown_address(Page(connect(admin, "alertmanager").text))
    answer = admin.press(admin.page(ONE), f"{ONE}/address")
    new = shown_address(Page(answer.text))
    assert (fire(n, old), fire(n, new)) == (404, 200)


def test_it_is_removed_only_by_its_name(admin: LintingClient, alarms: Alarms) -> None:
    alarms.fire()
    refused = admin.press(admin.page(ONE), f"{ONE}/remove", {"confirm": "prometheus"})
    assert refused.status_code == 422
    assert mistakes(Page(refused.text)) == {
        "confirm": "To remove it, type its name exactly: Prometheus"
    }
    assert only(alarms.n)
    gone = admin.press(admin.page(ONE), f"{ONE}/remove", {"confirm": " Prometheus "})
    assert gone.status_code == 303
    assert admin.get(ONE).status_code == 404


def test_each_request_opens_with_what_is_understood_of_it_now(
    admin: LintingClient, alarms: Alarms
) -> None:
    alarms.say("firing", "k1", service="sign-in")
    (row,) = admin.page(ONE).find("a", class_="row")
    assert "Understood: 1." in row.text
    page = admin.page(row.attrs["href"])
    assert "Hot water, as no rule matches" in page.text
    assert "when an operator presses the button" in page.text
    assert '"fingerprint": "k1"' in page.text
    allow_auto(alarms.n, component="sign-in", name="Cannot sign in")
    page = admin.page(row.attrs["href"])
    assert "Sign-in, by rule 1" in page.text
    assert "of the preset “Cannot sign in”: You cannot sign in" in page.text
    assert "by itself after 2 minutes, unless somebody stops it" in page.text


def test_what_was_not_understood_says_why(admin: LintingClient, alarms: Alarms) -> None:
    alarms.post(b'{"alerts": \xff\x00')
    (row,) = admin.page(ONE).find("a", class_="row")
    assert "The body is not UTF-8: byte 11 cannot be read." in row.text
    assert "The body is not UTF-8" in admin.page(row.attrs["href"]).text


def test_the_last_hundred_are_listed_and_no_others_requests(
    admin: LintingClient, alarms: Alarms
) -> None:
    for _ in range(105):
        alarms.post(b"{}")
    assert len(admin.page(ONE).find("a", class_="row")) == 100
    assert admin.get(f"{ONE}/requests/{2**62}").status_code == 404
    open_alarms(alarms.n, name="Other")
    assert admin.get(f"{LIST}/2/requests/1").status_code == 404


def test_a_test_begins_with_the_last_request_and_stores_nothing(
    admin: LintingClient, alarms: Alarms
) -> None:
    body = {"alerts": [alarms.alert("firing", "k1", env="test")]}
    alarms.post(body, authorization="hush", **{"x-kind": "alert"})
    page = admin.page(ONE)
    assert json.loads("".join(page.one("textarea", id="body").pieces)) == body
    assert page.one("textarea", id="headers").text == "content-type: application/json x-kind: alert"
    answer = admin.press(page, f"{ONE}/test")
    assert "What would be proposed" in Page(answer.text).text
    assert "Hot water" in Page(answer.text).text
    with alarms.n.db.read() as connection:
        assert len(alerts.list_bodies(connection, 1, limit=10)) == 1


@pytest.mark.usefixtures("alarms")
def test_a_test_shows_what_would_be_refused(admin: LintingClient) -> None:
    path = f"{ONE}/test"
    answer = admin.press(admin.page(ONE), path, {"body": '{"alerts": ['})
    assert "The body is not JSON: Expecting value at line 1, column 13." in answer.text
    wrong = admin.press(admin.page(ONE), path, {"body": "{}", "headers": "content-type"})
    assert wrong.status_code == 422
    assert mistakes(Page(wrong.text)) == {
        "headers": "Write each header as Name: value; “content-type” is not."
    }


def test_a_test_begins_with_the_template_where_that_is_a_body(
    n: Notifier, admin: LintingClient
) -> None:
    begins = []
    for source in ("datadog", "alertmanager"):
        made, _address = integrations.create(n, integrations.Wanted(source=source, name=source))
        page = admin.page(f"{LIST}/{made}")
        begins.append("".join(page.one("textarea", id="body").pieces).strip()[:1])
    assert begins == ["{", ""]


@pytest.mark.parametrize("text", CORPUS)
def test_what_a_tool_says_comes_out_as_text(
    admin: LintingClient, alarms: Alarms, text: str
) -> None:
    member = alarms.alert("firing", text, **{text: text})
    member |= {"annotations": {"summary": text, "description": text}}
    member |= {"generatorURL": f"javascript:{text}"}
    member["labels"]["severity"] = text
    alarms.post({"alerts": [member]}, **{"x-note": text})
    (row,) = admin.page(ONE).find("a", class_="row")
    page = admin.page(row.attrs["href"])
    # The linting client refuses what runs; and only one's own links lead anywhere.
    shown = " ".join("".join(c for c in text if c.isprintable()).split())
    assert shown in page.text
    assert not [a for a in page.find("a") if "javascript" in a.attrs["href"]]
    tried = Page(admin.press(admin.page(ONE), f"{ONE}/test").text)
    assert shown in tried.text
