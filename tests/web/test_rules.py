"""Where alerts belong and in which words they may be told: set up by an administrator."""

from __future__ import annotations

from datetime import timedelta

import pytest

from notifier.domain.access import Role
from notifier.domain.alerting import Rule
from notifier.domain.incident import Severity
from notifier.ports import Notifier
from notifier.store import integrations as store
from tests.alerts.alarms import open_alarms
from tests.web.conftest import SignIn
from tests.web.pages import LintingClient, Page
from tests.web.test_hostile_text import CORPUS
from tests.web.test_integrations import mistakes

RULES, PRESETS = "/admin/rules", "/admin/presets"
WORDS = {
    "name": "Cannot sign in",
    "title": "You cannot sign in",
    "impact": "You cannot sign in to your account.",
    "explanation": "We have noticed it and look into it.",
}


@pytest.fixture
def admin(sign_in_as: SignIn, components: list[str]) -> LintingClient:
    assert "sign-in" in components
    return sign_in_as(Role.ADMIN, "ada")


def rules(n: Notifier) -> list[Rule]:
    with n.db.read() as connection:
        return store.list_rules(connection)


def approve(admin: LintingClient, **changes: str) -> int:
    return admin.press(admin.page(PRESETS), PRESETS, WORDS | changes).status_code


def add(admin: LintingClient, **given: str) -> Page | None:
    """Add a rule; the page that says what is wrong with it, if anything."""
    answer = admin.press(admin.page(RULES), RULES, {"component": "sign-in"} | given)
    if answer.status_code == 303:
        return None
    assert answer.status_code == 422
    return Page(answer.text)


def test_a_rule_is_added_with_everything_it_can_say(admin: LintingClient, n: Notifier) -> None:
    assert approve(admin) == 303
    open_alarms(n)
    assert (
        add(
            admin,
            match=" service = sign-in \r\n\r\nquery=a=b*",
            integration="1",
            severity="critical",
            preset="1",
            auto_minutes="2",
        )
        is None
    )
    (rule,) = rules(n)
    assert rule.match == {"service": "sign-in", "query": "a=b*"}
    assert (rule.integration_id, rule.preset_id) == (1, 1)
    assert rule.severity is Severity.CRITICAL
    assert rule.auto_after == timedelta(minutes=2)
    said = admin.page(RULES).one("li", id="rule-1").text
    assert (
        "Alerts of Prometheus with service=sign-in and query=a=b* are about Sign-in, in the words"
        " of the preset “Cannot sign in”." in said
    )
    assert "Posts by itself after 2 minutes, unless somebody stops it." in said


def test_alerts_can_be_ignored(admin: LintingClient, n: Notifier) -> None:
    assert add(admin, match="env=staging", component="!ignore") is None
    assert rules(n)[0].component_id is None
    said = admin.page(RULES).one("li", id="rule-1").text
    assert "Alerts of every integration with env=staging are ignored." in said


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"match": ""}, "match", "Write at least one label=pattern."),
        ({"match": "env"}, "match", "Write each label as label=pattern; “env” is not."),
        ({"match": "a=1\na=2"}, "match", "The label “a” stands there twice;"),
        ({"component": ""}, "component", "Say which component these alerts are about,"),
        ({"auto_minutes": "soon"}, "auto_minutes", "The delay must be a whole number of minutes"),
        ({"auto_minutes": "61", "preset": "1"}, "auto_minutes", "The delay must be from 0 to 60."),
        ({"auto_minutes": "5"}, "auto_minutes", "The delay needs a component and a preset"),
        ({"preset": "99"}, "preset", "The preset is none that there is."),
        ({"integration": "9" * 30}, "integration", "The integration is none that there is."),
    ],
)
def test_what_is_wrong_is_said_by_the_field(
    admin: LintingClient, n: Notifier, given: dict[str, str], field: str, said: str
) -> None:
    approve(admin)
    page = add(admin, **({"match": "a=b"} | given))
    assert page is not None
    assert list(mistakes(page)) == [field]
    assert mistakes(page)[field].startswith(said)
    assert rules(n) == []


def test_rules_are_tried_in_the_order_that_the_page_shows(
    admin: LintingClient, n: Notifier
) -> None:
    for label in "abc":
        add(admin, match=f"{label}=1")
    for rule_id, order in ((3, "acb"), (3, "cab"), (2, "cba")):
        assert admin.press(admin.page(RULES), f"{RULES}/{rule_id}/up").status_code == 303
        assert "".join(label for rule in rules(n) for label in rule.match) == order
    shown = [item.find("code")[0].text for item in admin.page(RULES).find("li", class_="card")]
    assert shown == ["c=1", "b=1", "a=1"]
    assert not admin.page(RULES).find("form", action=f"{RULES}/3/up"), "the first goes no higher"


def test_a_rule_is_removed(admin: LintingClient, n: Notifier) -> None:
    add(admin, match="a=1")
    page = admin.page(RULES)
    for _ in range(2):
        assert admin.press(page, f"{RULES}/1/remove").status_code == 303
    assert rules(n) == []


def test_words_are_approved_and_removed(admin: LintingClient) -> None:
    assert approve(admin) == 303
    card = admin.page(PRESETS).one("article", id="preset-1").text
    for words in WORDS.values():
        assert words in card
    assert "used by no rule" in card
    assert admin.press(admin.page(PRESETS), f"{PRESETS}/1/remove").status_code == 303
    assert not admin.page(PRESETS).find("article")


def test_words_that_a_rule_uses_stay(admin: LintingClient) -> None:
    approve(admin)
    add(admin, match="a=1", preset="1")
    answer = admin.press(admin.page(PRESETS), f"{PRESETS}/1/remove")
    assert answer.status_code == 422
    page = Page(answer.text)
    (link,) = page.find("a", href="#preset-1")
    assert link.text == "The preset is used by a rule; remove that rule first."
    assert page.find("article", id="preset-1")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": ""}, "The name is missing."),
        ({"title": "x" * 121}, "The title has 121 characters; at most 120 are allowed."),
        ({"impact": ""}, "How customers are affected is missing."),
        ({"explanation": ""}, "The explanation is missing."),
    ],
)
def test_words_that_cannot_be_posted_are_not_approved(
    admin: LintingClient, changes: dict[str, str], said: str
) -> None:
    answer = admin.press(admin.page(PRESETS), PRESETS, WORDS | changes)
    assert answer.status_code == 422
    (field,) = changes
    assert mistakes(Page(answer.text)) == {field: said}


def test_a_name_in_use_is_said(admin: LintingClient) -> None:
    approve(admin)
    answer = admin.press(admin.page(PRESETS), PRESETS, WORDS)
    assert mistakes(Page(answer.text)) == {
        "name": "The name 'Cannot sign in' is already a preset; choose another."
    }


@pytest.mark.parametrize("path", [RULES, PRESETS, "/admin/integrations"])
def test_the_pages_say_what_may_reach_customers(admin: LintingClient, path: str) -> None:
    text = admin.page(path).text
    assert "ever posted by" in text
    assert "reaches customers" in text


@pytest.mark.parametrize("text", CORPUS)
def test_hostile_words_come_out_as_text(admin: LintingClient, n: Notifier, text: str) -> None:
    words = dict.fromkeys(WORDS, text[:120])
    assert admin.press(admin.page(PRESETS), PRESETS, words).status_code == 303
    assert " ".join(text[:120].split()) in admin.page(PRESETS).text
    open_alarms(n, name=text[:120])
    add(admin, match="a=" + " ".join(text.split()), preset="1", integration="1")
    assert " ".join(text.split()) in admin.page(RULES).text
