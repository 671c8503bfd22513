"""Datadog, on what its variables make of our template."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from string import Template
from typing import Any

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition, Reading
from notifier.sources import datadog
from tests.sources.bodies import request, sample, shared, shared_request

VALUES = {
    "ALERT_CYCLE_KEY": "3320958841276655873",
    "ALERT_TRANSITION": "Triggered",
    "ALERT_PRIORITY": "P1",
    "ALERT_TYPE": "error",
    "DATE": "1795363404000",
    "EVENT_TITLE": "[Triggered] Payments take long",
    "TAGS": "env:production,service:payments",
    "LINK": "https://app.datadoghq.com/event/event?id=77",
}


def fill(template: str, **changes: str) -> Reading:
    """What is read of a template as Datadog sends it: unknown variables are left as they are."""
    return datadog.parse(request(Template(template).safe_substitute(VALUES | changes)), {})


def test_reads_what_an_operator_needs() -> None:
    (signal,) = datadog.parse(sample("datadog", "firing"), {}).signals
    assert signal.key == "3320958841276655873"
    assert signal.severity == "P2"
    assert signal.labels == {
        "service": "payments",
        "availability-zone": "eu-west-1a",
        "env": "production",
        "team": "money",
        "monitor": "true",
        "host": "pay-3.example.com",
        "monitor_id": "48120",
        "priority": "P2",
        "org": "Northvale",
    }
    assert signal.position == datetime(2026, 11, 22, 16, 3, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("transition", "condition"),
    [
        ("Triggered", Condition.FIRING),
        ("Re-Triggered", Condition.FIRING),
        ("Warn", Condition.FIRING),
        ("No Data", Condition.FIRING),
        ("Renotify", Condition.FIRING),
        ("Recovered", Condition.RESOLVED),
        ("Recovered from No Data", Condition.RESOLVED),
    ],
)
def test_our_template_is_read_once_filled(transition: str, condition: Condition) -> None:
    (signal,) = fill(datadog.SETUP.template, ALERT_TRANSITION=transition).signals
    assert (signal.key, signal.condition) == ("3320958841276655873", condition)
    assert signal.labels["service"] == "payments"
    assert signal.description == ""  # $TEXT_ONLY_MSG was left as it is
    assert "host" not in signal.labels


def test_the_shared_template_is_read_once_filled_and_ignored_before() -> None:
    path = "datadog/recommended_template.json"
    began = fill(json.dumps(shared(path))).signals[0]
    ended = fill(json.dumps(shared(path)), ALERT_TRANSITION="Recovered").signals[0]
    assert began.key == ended.key == "3320958841276655873"
    assert (began.condition, ended.condition) == (Condition.FIRING, Condition.RESOLVED)
    assert began.url == VALUES["LINK"]
    assert not datadog.parse(shared_request(path), {}).signals


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"cycle_key": "$ALERT_CYCLE_KEY"}, "7c21d0b1f0e94f0ba95f3dd1a5f1e0aa"),
        (
            {"cycle_key": "", "aggreg_key": "$AGGREG_KEY"},
            "48120:service:payments, availability-zone:eu-west-1a",
        ),
    ],
)
def test_without_a_cycle_the_next_best_key_counts(changes: dict[str, Any], key: str) -> None:
    body = json.loads(sample("datadog", "firing").body) | changes
    assert datadog.parse(request(body), {}).signals[0].key == key


def test_an_alert_without_any_key_is_refused() -> None:
    body = {"alert_transition": "Triggered", "cycle_key": "$ALERT_CYCLE_KEY"}
    with pytest.raises(Unreadable, match="names no alert"):
        datadog.parse(request(body), {})


def test_a_monitor_without_a_priority_has_the_severity_of_its_event() -> None:
    (signal,) = datadog.parse(sample("datadog", "form"), {}).signals
    assert signal.severity == "warning"
    (ended,) = fill(
        datadog.SETUP.template,
        ALERT_TRANSITION="Recovered",
        ALERT_PRIORITY="",
        ALERT_TYPE="success",
    ).signals
    assert ended.severity == ""


@pytest.mark.parametrize(
    ("message", "place"),
    [('say "hello"', r"line 15, column 17"), ("two\nlines", r"line 15, column 15")],
)
def test_free_text_that_breaks_the_json_is_refused_with_its_place(message: str, place: str) -> None:
    with pytest.raises(Unreadable, match=rf"The body is not JSON: .* at {place}\.$"):
        fill(datadog.SETUP.template, TEXT_ONLY_MSG=message)


def test_the_default_payload_is_refused_with_advice() -> None:
    with pytest.raises(Unreadable, match="replace the webhook's Payload in Datadog"):
        datadog.parse(request({"id": "$ID", "title": "x", "event_type": "y"}), {})


def test_a_test_of_the_notifications_is_ignored() -> None:
    assert datadog.parse(sample("datadog", "test_button"), {}).ignored


def test_the_template_names_only_variables_in_capitals() -> None:
    """Datadog leaves others standing, and `filled` would take them for missing."""
    assert set(re.findall(r"\$(\w+)", datadog.SETUP.template)) >= {"ALERT_CYCLE_KEY", "LINK"}
    assert all(name.isupper() for name in re.findall(r"\$(\w+)", datadog.SETUP.template))
