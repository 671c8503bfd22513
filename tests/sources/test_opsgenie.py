"""Opsgenie and Jira Service Management, on the vendor's bodies and on our own in their shape."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition
from notifier.sources import opsgenie
from tests.sources.bodies import request, sample, shared, shared_request


def test_reads_what_an_operator_needs() -> None:
    (signal,) = opsgenie.parse(sample("opsgenie", "firing"), {}).signals
    assert signal.key == "search-5xx"
    assert signal.severity == "P2"
    assert signal.description == "31 of 200 searches failed"
    assert signal.labels["env"] == "production"
    assert signal.labels["customer-facing"] == "true"
    assert signal.labels["entity"] == "search"
    assert signal.labels["region"] == "eu-west-1"
    assert signal.url == ""


def test_the_end_has_the_position_of_the_start_and_its_own_time() -> None:
    (began,) = opsgenie.parse(sample("opsgenie", "firing"), {}).signals
    (ended,) = opsgenie.parse(sample("opsgenie", "resolved"), {}).signals
    assert began.position == ended.position == datetime(2026, 11, 22, 16, 6, 20, tzinfo=UTC)
    assert ended.at == datetime(2026, 11, 22, 16, 20, 0, 987654, tzinfo=UTC)


def test_an_alias_that_is_used_again_is_a_later_occurrence() -> None:
    body = json.loads(sample("opsgenie", "firing").body)
    body["alert"] |= {"alertId": "another", "createdAt": 1795364900000}
    (again,) = opsgenie.parse(request(body), {}).signals
    (ended,) = opsgenie.parse(sample("opsgenie", "resolved"), {}).signals
    assert again.key == ended.key
    assert again.position > ended.position


@pytest.mark.parametrize(
    ("site", "link"),
    [
        ("https://app.opsgenie.com", "https://app.opsgenie.com/alert/detail/a%2F1/details"),
        ("https://x.atlassian.net/", "https://x.atlassian.net/jira/ops/alerts/a%2F1"),
        ("", ""),
    ],
)
def test_the_link_back_is_made_of_the_sites_address(site: str, link: str) -> None:
    body = {"action": "Create", "alert": {"alertId": "a/1"}}
    (signal,) = opsgenie.parse(request(body), {"site": site}).signals
    assert signal.url == link


@pytest.mark.parametrize(
    ("name", "condition", "severity"),
    [
        ("acknowledged", Condition.ACKNOWLEDGED, "P2"),
        ("priority_raised", Condition.FIRING, "P1"),
        ("resolved", Condition.RESOLVED, "P2"),
    ],
)
def test_each_action_tells_the_state(name: str, condition: Condition, severity: str) -> None:
    (signal,) = opsgenie.parse(sample("opsgenie", name), {}).signals
    assert (signal.condition, signal.severity) == (condition, severity)


def test_a_note_is_ignored() -> None:
    assert opsgenie.parse(sample("opsgenie", "note"), {}).ignored


def test_another_tools_body_is_refused() -> None:
    with pytest.raises(Unreadable, match=r"'alert\.alias' and no 'alert\.alertId'"):
        opsgenie.parse(request({"action": "Create", "alert": {}}), {})


def test_the_vendors_bodies_are_read() -> None:
    """They are of two alerts, so the created one is also read as closed."""
    (began,) = opsgenie.parse(shared_request("opsgenie/create.json"), {}).signals
    assert (began.key, began.severity, began.labels["vip"]) == ("alert-alias", "P3", "true")
    (ended,) = opsgenie.parse(shared_request("opsgenie/close.json"), {}).signals
    assert (ended.key, ended.condition) == ("aliastest", Condition.RESOLVED)
    assert ended.at.year == ended.position.year == 2015
    body = shared("opsgenie/create.json") | {"action": "Close"}
    (own,) = opsgenie.parse(request(body), {}).signals
    assert (own.key, own.position) == (began.key, began.position)
