"""What a request would come to: the same as when it comes, and nothing is stored by looking."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from notifier.domain.incident import Severity
from notifier.domain.signal import Condition, Hook
from notifier.ports import Notifier
from notifier.services import audience, hook_preview, integrations
from notifier.services.hook_preview import SHOWN_MAX, Outlook
from notifier.store import alerts, hook_bodies
from notifier.store import integrations as store
from tests.alerts.alarms import Alarms, allow_auto, open_alarms


@pytest.fixture
def alarms(n: Notifier) -> Alarms:
    for slug in ("hot-water", "sign-in"):
        audience.put_component(n, slug_=slug, name=slug.title())
    return open_alarms(n, component="hot-water")


def look(alarms: Alarms, body: Any) -> Outlook:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    n = alarms.n
    with n.db.read() as connection:
        one = store.find(connection, alarms.integration_id)
        assert one is not None
        return hook_preview.understand(n, connection, one, Hook("POST", {}, "", raw, n.clock()))


def look_at_one(alarms: Alarms, status: str = "firing", **labels: str) -> Any:
    (one,) = look(alarms, {"alerts": [alarms.alert(status, **labels)]}).signals
    return one


def test_without_a_rule_the_integrations_own_settings_decide(alarms: Alarms) -> None:
    one = look_at_one(alarms)
    assert (one.rule, one.ignored) == (None, "")
    assert one.proposed.component.slug == "hot-water"
    assert one.proposed.severity is Severity.CRITICAL
    assert one.proposed.words.title == "Problems with Hot-Water"
    assert (one.proposed.preset, one.proposed.auto_after) == ("", None)


def test_a_rule_decides_and_is_named_by_its_place(alarms: Alarms) -> None:
    integrations.add_rule(alarms.n, match={"env": "test*"}, component="")
    allow_auto(alarms.n, component="sign-in", name="Cannot sign in")
    one = look_at_one(alarms, service="sign-in")
    assert one.rule == 2
    assert one.proposed.component.slug == "sign-in"
    assert one.proposed.preset == "Cannot sign in"
    assert one.proposed.words.title == "You cannot sign in"
    assert one.proposed.auto_after == timedelta(minutes=2)


def test_what_is_ignored_says_why(alarms: Alarms) -> None:
    integrations.add_rule(alarms.n, match={"env": "test*"}, component="")
    by_rule = look_at_one(alarms, env="test-1")
    assert (by_rule.rule, by_rule.proposed, by_rule.ignored) == (1, None, "the rule says so")
    for_information = look_at_one(alarms, severity="info")
    assert for_information.rule is None
    assert for_information.ignored == "'info' is no more than information"


def test_an_end_proposes_nothing_by_itself(alarms: Alarms) -> None:
    one = look_at_one(alarms, "resolved")
    assert one.signal.condition is Condition.RESOLVED
    assert (one.proposed, one.ignored) == (None, "")


def test_what_cannot_be_read_says_so_in_a_sentence(alarms: Alarms) -> None:
    assert look(alarms, b'{"alerts": [').unreadable == (
        "The body is not JSON: Expecting value at line 1, column 13."
    )


def test_of_a_storm_the_first_hundred_are_shown(alarms: Alarms) -> None:
    outlook = look(alarms, {"alerts": [alarms.alert("firing", f"k{i}") for i in range(300)]})
    assert (len(outlook.signals), outlook.count) == (SHOWN_MAX, 300)


def test_it_proposes_what_then_comes_and_stores_nothing(alarms: Alarms) -> None:
    allow_auto(alarms.n, component="sign-in")
    seen = look_at_one(alarms, service="sign-in").proposed
    with alarms.n.db.read() as connection:
        assert hook_bodies.list_entries(connection, alarms.integration_id) == []
        assert not alerts.has_changed(connection)
    (draft,) = alarms.fire(service="sign-in")
    assert draft.component_id == seen.component.id
    assert draft.severity is seen.severity
    assert draft.auto_at == alarms.n.clock() + seen.auto_after


def test_a_kept_request_is_understood_again(alarms: Alarms) -> None:
    alarms.say("firing", "k7", api_key="hush", token="hush")
    with alarms.n.db.read() as connection:
        kept = hook_bodies.find_newest(connection, alarms.integration_id)
        assert kept is not None
        one = store.find(connection, alarms.integration_id)
        assert one is not None
        hook = hook_preview.kept_hook(kept)
        outlook = hook_preview.understand(alarms.n, connection, one, hook)
    assert b"hush" not in kept.body
    assert outlook.signals[0].signal.key == "k7"
