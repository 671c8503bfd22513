"""Sentry, on the vendor's bodies and on our own in their shape."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition
from notifier.sources import sentry
from tests.sources.bits import assert_only_this_is_trusted
from tests.sources.bodies import request, sample, shared, shared_request

HEADER = "sentry-hook-signature"


def test_reads_what_an_operator_needs_of_an_issue() -> None:
    (signal,) = sentry.parse(sample("sentry", "firing"), {}).signals
    assert signal.key == "issue:5501873402"
    assert signal.title == "TimeoutError: no connection in 5 s"
    assert signal.severity == "error"
    assert signal.labels["project"] == "accounts"
    assert signal.url == "https://northvale.sentry.io/issues/5501873402/"


def test_the_end_of_its_issue_ends_an_issue_alert() -> None:
    (alert,) = sentry.parse(sample("sentry", "event_alert"), {}).signals
    (ended,) = sentry.parse(sample("sentry", "resolved"), {}).signals
    assert alert.condition is Condition.FIRING
    assert alert.key == ended.key
    assert alert.position < ended.position
    assert alert.labels["rule"] == "Many timeouts"
    assert alert.labels["server_name"] == "accounts-2"


def test_an_applications_fast_clock_does_not_put_an_alert_after_its_end() -> None:
    body = json.loads(sample("sentry", "event_alert").body)
    body["data"]["event"]["datetime"] = "2030-01-01T00:00:00Z"
    headers = {"sentry-hook-timestamp": "1795363403"}
    (signal,) = sentry.parse(request(body, **headers), {}).signals
    assert signal.position == datetime(2026, 11, 22, 16, 3, 23, tzinfo=UTC)


def test_an_issue_that_comes_back_is_after_its_end() -> None:
    (ended,) = sentry.parse(sample("sentry", "resolved"), {}).signals
    (again,) = sentry.parse(sample("sentry", "unresolved"), {}).signals
    assert (again.key, again.condition) == (ended.key, Condition.FIRING)
    assert again.position > ended.position


def test_a_metric_alert_ends_by_itself() -> None:
    (began,) = sentry.parse(sample("sentry", "metric_critical"), {}).signals
    (ended,) = sentry.parse(sample("sentry", "metric_resolved"), {}).signals
    assert (began.condition, ended.condition) == (Condition.FIRING, Condition.RESOLVED)
    assert began.key == ended.key == "metric_alert:88"
    assert began.position == ended.position == datetime(2026, 11, 22, 16, 2, tzinfo=UTC)
    assert (began.severity, ended.severity) == ("critical", "")
    assert began.labels["environment"] == "production"


def test_a_metric_alert_without_a_number_is_known_by_its_rule() -> None:
    alert = {"alert_rule": {"id": "7"}, "projects": ["shop"]}
    body = {"action": "warning", "data": {"metric_alert": alert}}
    assert sentry.parse(request(body), {}).signals[0].key == "alert_rule:7:shop"


def test_whoever_takes_an_issue_acknowledges_it() -> None:
    (signal,) = sentry.parse(sample("sentry", "assigned"), {}).signals
    assert signal.condition is Condition.ACKNOWLEDGED


@pytest.mark.parametrize("name", ["archived", "installation"])
def test_what_says_nothing_about_an_alert_is_ignored(name: str) -> None:
    reading = sentry.parse(sample("sentry", name), {})
    assert not reading.signals
    assert reading.ignored


def test_another_tools_body_is_refused() -> None:
    with pytest.raises(Unreadable, match="no 'action' and 'data'"):
        sentry.parse(request({"project_slug": "x", "event": {}}), {})
    with pytest.raises(Unreadable, match=r"no 'data\.event\.issue_id'"):
        sentry.parse(request({"action": "triggered", "data": {"event": {}}}), {})


def test_the_vendors_bodies_are_read_without_their_headers() -> None:
    """Both are ends, so each is also read as its own beginning."""
    for path, action in (("issue_resolved", "created"), ("metric_alert_resolved", "critical")):
        (ended,) = sentry.parse(shared_request(f"sentry/{path}.json"), {}).signals
        assert ended.condition is Condition.RESOLVED
        body = shared(f"sentry/{path}.json") | {"action": action}
        (began,) = sentry.parse(request(body), {}).signals
        assert (began.key, began.condition) == (ended.key, Condition.FIRING)
        assert began.position <= ended.position


def test_the_vector_verifies_and_no_changed_bit_does() -> None:
    vector = shared("signature-vectors/hmac.json")["sentry"]
    hook = request(vector["body"], **{HEADER: vector["value"]})
    assert_only_this_is_trusted(sentry.verify, hook, HEADER, vector["secret"])
