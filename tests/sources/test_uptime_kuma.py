"""Uptime Kuma, on bodies recorded from 2.5.3 and on our own in their shape."""

from __future__ import annotations

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition
from notifier.sources import uptime_kuma
from tests.sources.bodies import request, sample, shared_request


def test_reads_what_an_operator_needs() -> None:
    (signal,) = uptime_kuma.parse(sample("uptime_kuma", "firing"), {}).signals
    assert (signal.key, signal.title) == ("7", "Checkout is down")
    assert signal.position.isoformat() == "2026-11-22T16:03:10.412000+00:00"
    assert signal.severity == ""
    assert signal.labels == {
        "component": "checkout",
        "public": "true",
        "monitor": "Checkout",
        "path": "Shop / Checkout",
        "group": "Shop",
        "type": "http",
        "target": "https://shop.example.com/health",
    }


@pytest.mark.parametrize("name", ["query", "multipart"])
def test_the_same_comes_in_other_wrappings(name: str) -> None:
    plain = uptime_kuma.parse(sample("uptime_kuma", "firing"), {})
    assert uptime_kuma.parse(sample("uptime_kuma", name), {}) == plain


def test_an_operators_own_template_has_the_same_key() -> None:
    (signal,) = uptime_kuma.parse(sample("uptime_kuma", "template"), {}).signals
    assert (signal.key, signal.condition) == ("7", Condition.RESOLVED)
    ours = {"dedup_key": "7", "status": "down"}
    assert uptime_kuma.parse(request(ours), {}).signals[0].condition is Condition.FIRING


@pytest.mark.parametrize("name", ["pending", "maintenance", "certificate"])
def test_what_is_no_alert_is_ignored(name: str) -> None:
    assert uptime_kuma.parse(sample("uptime_kuma", name), {}).ignored


def test_the_recorded_bodies_are_read() -> None:
    test = shared_request("uptime-kuma-real/01_test_button_nulls.json")
    assert "a test" in uptime_kuma.parse(test, {}).ignored
    form = shared_request("uptime-kuma-real/03_down_multipart_chunked.json")
    own = shared_request("uptime-kuma-real/05_down_custom_body_wrong_content_type.json")
    (one,), (other,) = (uptime_kuma.parse(hook, {}).signals for hook in (form, own))
    assert one.key == other.key == "1"
    assert one.condition is other.condition is Condition.FIRING
    assert one.labels["component"] == "checkout-api"


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"msg": "x"},
        {"heartbeat": {"status": 9}, "monitor": {"id": 1}},
        {"heartbeat": {"status": 0}, "monitor": {}},
        {"monitor_id": "1", "status": ""},
    ],
)
def test_anything_else_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(Unreadable, match=r"so it is not one of Uptime Kuma's\.$"):
        uptime_kuma.parse(request(body), {})
