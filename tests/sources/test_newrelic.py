"""New Relic, on bodies its users have kept and on our own in their shape."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition
from notifier.sources import newrelic
from tests.sources.bodies import request, sample, shared, shared_request


def test_reads_what_an_operator_needs() -> None:
    (signal,) = newrelic.parse(sample("newrelic", "firing"), {}).signals
    assert signal.key == "0c1de7a4-52b3-4e0f-9a11-6f2b7d8c9e30"
    assert signal.severity == "CRITICAL"
    assert signal.labels == {
        "entity": "accounts-api",
        "policy": "Accounts",
        "condition": "Failed sign-ins",
        "workflow": "notifier",
        "priority": "CRITICAL",
    }
    assert signal.position == datetime(2026, 11, 22, 16, 3, 20, 500000, UTC)


@pytest.mark.parametrize(
    ("name", "condition"),
    [
        ("acknowledged", Condition.ACKNOWLEDGED),
        ("one_of_two_closed", Condition.FIRING),
        ("resolved", Condition.RESOLVED),
        ("legacy_acknowledged", Condition.ACKNOWLEDGED),
        ("legacy_open", Condition.FIRING),
        ("legacy_closed", Condition.RESOLVED),
    ],
)
def test_each_state_is_understood(name: str, condition: Condition) -> None:
    (signal,) = newrelic.parse(sample("newrelic", name), {}).signals
    assert signal.condition is condition


def test_a_deactivated_issue_is_not_closed_yet() -> None:
    assert newrelic.parse(sample("newrelic", "deactivated"), {}).ignored


@pytest.mark.parametrize("given", [None, "", "{{ json issueId }}"])
def test_an_issue_without_an_id_is_refused_with_advice(given: str | None) -> None:
    body = json.loads(sample("newrelic", "firing").body) | {"id": given}
    with pytest.raises(Unreadable, match=r'add "id": \{\{ json issueId \}\} to the payload'):
        newrelic.parse(request(body), {})


def test_another_tools_body_is_refused() -> None:
    with pytest.raises(Unreadable, match="no 'state' and no 'current_state'"):
        newrelic.parse(request({"id": "1"}), {})
    with pytest.raises(Unreadable, match="no 'incident_id'"):
        newrelic.parse(request({"current_state": "open"}), {})


def test_the_old_body_is_known_by_its_incident_and_ordered_by_its_time() -> None:
    (began,) = newrelic.parse(sample("newrelic", "legacy_open"), {}).signals
    (ended,) = newrelic.parse(sample("newrelic", "legacy_closed"), {}).signals
    assert began.key == ended.key == "8812"
    assert began.position < ended.position
    assert began.labels["env"] == "production"


def test_the_template_of_the_instructions_is_read_once_filled() -> None:
    """As New Relic fills it: each placeholder becomes a JSON value."""
    values = {
        "issueId": "17",
        "state": "CLOSED",
        "createdAt": 1795363400000,
        "updatedAt": 1795364200000,
        "entitiesData.names": ["shop"],
    }
    filled = re.sub(
        r"\{\{ (?:json )?(\S+) \}\}",
        lambda found: json.dumps(values.get(found[1], "text")),
        newrelic.SETUP.template,
    )
    (signal,) = newrelic.parse(request(filled), {}).signals
    assert (signal.key, signal.condition) == ("17", Condition.RESOLVED)
    assert signal.labels["entity"] == "shop"
    assert signal.at > signal.position


def test_the_kept_bodies_are_read() -> None:
    """They are of two issues, so the activated one is also read as closed."""
    (began,) = newrelic.parse(shared_request("newrelic/issue_activated.json"), {}).signals
    assert began.key == "c5faa7e6-7b54-402d-af79-f99601e0278c"
    (ended,) = newrelic.parse(shared_request("newrelic/issue_closed.json"), {}).signals
    assert ended.condition is Condition.RESOLVED
    body = shared("newrelic/issue_activated.json") | {"state": "CLOSED"}
    (own,) = newrelic.parse(request(body), {}).signals
    assert (own.key, own.position) == (began.key, began.position)


def test_the_kept_test_of_an_old_channel_is_ignored() -> None:
    reading = newrelic.parse(shared_request("newrelic/legacy_incident.json"), {})
    assert reading.ignored == "a test of the notification channel"
