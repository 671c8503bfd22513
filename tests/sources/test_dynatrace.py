"""Dynatrace: its default body and our template, filled in as its documentation says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from notifier.domain.incident import Severity
from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition, Signal, severity_of
from notifier.sources import dynatrace
from tests.sources.bodies import NOW, request, sample, shared

BEGAN = datetime(2026, 11, 22, 16, 2, 11, tzinfo=UTC)
VALUES = {
    "{State}": "OPEN",
    "{PID}": "-7_1795363331000V2",
    "{ProblemID}": "P-1",
    "{ProblemTitle}": "Failure rate increase",
    "{ProblemSeverity}": "AVAILABILITY",
    "{Tags}": "env:prod",
    "{ProblemURL}": "https://abc.live.dynatrace.com/#p",
    "{ProblemDetailsJSON}": "",
}


def only(name: str) -> Signal:
    (signal,) = dynatrace.parse(sample("dynatrace", name), {}).signals
    return signal


def fill(template: str) -> str:
    for name, value in VALUES.items():
        template = template.replace(name, value)
    return template


def test_a_problem_keeps_the_start_that_its_pid_names() -> None:
    began, ended = only("firing"), only("resolved")
    assert began.position == ended.position == BEGAN
    assert began.at == BEGAN
    assert ended.at == NOW  # nothing says when it closed
    assert began.labels["env"] == "prod"
    assert began.labels["component"] == "web-1"


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("AVAILABILITY", Severity.CRITICAL),
        ("ERROR", Severity.MAJOR),
        ("PERFORMANCE", Severity.MINOR),
        ("RESOURCE_CONTENTION", Severity.MINOR),
        ("MONITORING_UNAVAILABLE", None),
        ("CUSTOM_ALERT", Severity.MAJOR),  # unknown: the default that is asked for below
    ],
)
def test_each_severity_is_one_we_know(word: str, level: Severity | None) -> None:
    body = {"dedup_key": "1", "status": "OPEN", "severity": word}
    (signal,) = dynatrace.parse(request(body), {}).signals
    assert severity_of(signal.severity, default=Severity.MAJOR) == level


@pytest.mark.parametrize("name", ["merged", "test_button"])
def test_merged_problems_and_the_test_button_are_ignored(name: str) -> None:
    reading = dynatrace.parse(sample("dynatrace", name), {})
    assert reading.ignored
    assert not reading.signals


def test_the_details_say_when_a_problem_of_the_default_body_closed() -> None:
    signal = only("default_body_closed")
    assert signal.position == BEGAN
    assert signal.at == BEGAN + timedelta(minutes=20)


def test_details_of_a_problem_that_is_still_open_end_at_minus_one() -> None:
    body = {"State": "OPEN", "PID": "1", "ProblemDetailsJSON": {"startTime": -1, "endTime": -1}}
    (signal,) = dynatrace.parse(request(body), {}).signals
    assert signal.position == NOW


def test_our_template_is_json_that_we_read() -> None:
    body = fill(dynatrace.SETUP.template)
    json.loads(body)
    (signal,) = dynatrace.parse(request(body), {}).signals
    assert signal.key == VALUES["{PID}"]
    assert signal.condition is Condition.FIRING
    assert "impact" not in signal.labels  # its placeholder was left standing


def test_the_default_template_is_read() -> None:
    template = json.dumps(shared("dynatrace/template.json"))
    (signal,) = dynatrace.parse(request(fill(template)), {}).signals
    assert (signal.key, signal.title) == (VALUES["{PID}"], VALUES["{ProblemTitle}"])
    assert signal.url == VALUES["{ProblemURL}"]
    with pytest.raises(Unreadable, match="state and PID"):
        dynatrace.parse(request(template), {})
