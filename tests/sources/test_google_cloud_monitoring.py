"""Google Cloud Monitoring: 1.1 on kept bodies, 1.2 on our own in the shape of its fields."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition
from notifier.sources import google_cloud_monitoring as source
from tests.sources.bodies import request, sample, shared_request

NAME = "google_cloud_monitoring"


def test_reads_what_an_operator_needs_of_version_1_2() -> None:
    (signal,) = source.parse(sample(NAME, "firing"), {}).signals
    assert signal.title == "Login fails"
    assert signal.severity == "Error"
    assert signal.labels == {
        "service_name": "login",
        "location": "europe-west4",
        "response_code_class": "5xx",
        "team": "accounts",
        "component": "sign-in",
        "policy": "Login fails",
        "condition": "5xx ratio > 5%",
        "resource": "login",
        "resource_type": "cloud_run_revision",
        "project": "northvale-prod",
    }
    assert signal.position == datetime(2026, 11, 22, 16, 4, 5, tzinfo=UTC)


def test_version_1_1_has_fewer_labels_and_may_shout_its_state() -> None:
    (signal,) = source.parse(sample(NAME, "firing_1_1"), {}).signals
    assert signal.condition is Condition.FIRING
    assert signal.severity == ""
    assert signal.labels["resource_type"] == "Cloud Run Revision"
    assert signal.at == signal.position


def test_no_severity_is_none() -> None:
    body = {"incident": {"incident_id": "1", "state": "open", "severity": "No severity"}}
    assert source.parse(request(body), {}).signals[0].severity == ""


def test_a_test_of_the_channel_is_ignored() -> None:
    reading = source.parse(sample(NAME, "test_button"), {})
    assert not reading.signals
    assert reading.ignored == "a test of the notification channel"


def test_the_kept_pair_has_one_key() -> None:
    (began,) = source.parse(shared_request("google-cloud-monitoring/open_v1.1.json"), {}).signals
    (ended,) = source.parse(shared_request("google-cloud-monitoring/closed_v1.1.json"), {}).signals
    assert (began.condition, ended.condition) == (Condition.FIRING, Condition.RESOLVED)
    assert began.key == ended.key == "f2e08c333dc64cb09f75eaab355393bz"
    assert began.position == ended.position
    assert (ended.at - ended.position).seconds == 622


def test_another_tools_body_is_refused() -> None:
    with pytest.raises(Unreadable, match=r"has no 'incident\.incident_id'"):
        source.parse(request({"incident": "x"}), {})
