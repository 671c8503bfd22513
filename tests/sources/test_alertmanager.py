"""Alertmanager, on bodies recorded from version 0.25 and on our own in their shape."""

from __future__ import annotations

from datetime import UTC, datetime

from notifier.domain.signal import Condition
from notifier.sources import alertmanager
from tests.sources.bodies import request, sample, shared_request


def test_each_member_of_a_group_counts_by_itself() -> None:
    reading = alertmanager.parse(sample("alertmanager", "mixed"), {})
    assert [s.condition for s in reading.signals] == [Condition.FIRING, Condition.RESOLVED]
    assert reading.signals[0].key != reading.signals[1].key


def test_reads_what_an_operator_needs() -> None:
    (signal,) = alertmanager.parse(sample("alertmanager", "firing"), {}).signals
    assert signal.title == "More than 5% of sign-ins fail"
    assert signal.severity == "critical"
    assert signal.labels["service"] == "sign-in"
    assert signal.position == datetime(2026, 11, 22, 16, 2, 11, 120456, UTC)
    assert signal.url == "http://prometheus.example.com/graph?g0.expr=x"


def test_an_alert_without_a_name_or_a_fingerprint_has_a_key_of_its_labels() -> None:
    body = {"alerts": [{"status": "firing", "labels": {"b": "2", "a": "1"}}]}
    same = {"alerts": [{"status": "resolved", "labels": {"a": "1", "b": "2"}}]}
    (began,), (ended,) = (alertmanager.parse(request(b), {}).signals for b in (body, same))
    assert began.key == ended.key
    assert began.title == "An alert without a name"


def test_the_recorded_bodies_are_read() -> None:
    (signal,) = alertmanager.parse(
        shared_request("alertmanager-real/01_firing_single.json"), {}
    ).signals
    assert signal.key == "a24103132a36d2fa"
    mixed = shared_request("alertmanager-real/03_mixed_one_resolved_status_firing.json")
    conditions = {s.condition for s in alertmanager.parse(mixed, {}).signals}
    assert conditions == {Condition.FIRING, Condition.RESOLVED}
    cut = shared_request("alertmanager-real/07_firing_truncated_max_alerts_3_of_5.json")
    assert len(alertmanager.parse(cut, {}).signals) == 3
