"""Better Stack: bodies of our own in the shape its documentation lists; none were to be had."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition, Signal
from notifier.sources import betterstack
from tests.sources.bodies import request, sample


def only(name: str) -> Signal:
    (signal,) = betterstack.parse(sample("betterstack", name), {}).signals
    return signal


def test_an_incident_keeps_its_start_from_firing_to_resolved() -> None:
    began, taken, ended = (only(name) for name in ("firing", "acknowledged", "resolved"))
    assert [s.condition for s in (began, taken, ended)] == [
        Condition.FIRING,
        Condition.ACKNOWLEDGED,
        Condition.RESOLVED,
    ]
    assert {s.key for s in (began, taken, ended)} == {"741852963"}
    assert began.position == taken.position == ended.position
    assert ended.at == datetime(2026, 11, 22, 16, 24, 30, 2000, UTC)
    assert began.title == "Sign-in page"
    assert began.description == "Status 503"
    assert began.labels["monitor"] == "3307"


def test_a_body_without_a_status_is_read_by_its_event() -> None:
    body = {
        "event": "acknowledged",
        "data": {
            "id": "1",
            "type": "incident",
            "attributes": {"name": "x", "started_at": "2026-11-22T16:00:00Z"},
        },
    }
    (signal,) = betterstack.parse(request(body), {}).signals
    assert signal.condition is Condition.ACKNOWLEDGED


@pytest.mark.parametrize("name", ["unconfirmed", "monitor_changed", "page_maintenance"])
def test_what_is_no_incident_yet_is_ignored(name: str) -> None:
    reading = betterstack.parse(sample("betterstack", name), {})
    assert reading.ignored
    assert not reading.signals


def test_a_report_is_over_once_it_was_updated_and_the_page_is_operational() -> None:
    began, ended = only("page_incident"), only("page_incident_over")
    assert (began.condition, ended.condition) == (Condition.FIRING, Condition.RESOLVED)
    assert began.key == ended.key
    assert began.position == ended.position
    assert ended.description == "Payments work again."
    assert "unsubscribe" not in repr(began)


def test_the_first_report_on_a_page_that_is_well_is_open() -> None:
    at = "2026-11-22T15:58:00Z"
    body = {
        "event_type": "incident",
        "page": {"id": "1", "status_indicator": "operational"},
        "incident": {"id": "2", "name": "x", "created_at": at, "updated_at": at},
    }
    (signal,) = betterstack.parse(request(body), {}).signals
    assert signal.condition is Condition.FIRING


def test_a_component_goes_down_and_up() -> None:
    began, ended = only("page_component_down"), only("page_component_up")
    assert (began.condition, ended.condition) == (Condition.FIRING, Condition.RESOLVED)
    assert began.key == ended.key
    assert began.position < ended.position
    assert began.severity == "degraded"
    assert began.labels["component"] == "Card payments"


def test_the_header_says_what_a_body_without_event_type_is() -> None:
    hook = request({"maintenance": {}}, x_betteruptime_event="maintenance")
    assert betterstack.parse(hook, {}).ignored == "it announces maintenance"


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({"alerts": []}, "object 'data' with a type"),
        ({"data": {"type": "incident"}}, "incident with an id"),
        ({"event_type": "incident"}, "'incident' with an id"),
        ({"event_type": "component_update"}, "'component' with an id"),
    ],
)
def test_other_bodies_are_refused_by_what_they_lack(body: dict[str, object], missing: str) -> None:
    with pytest.raises(Unreadable, match=missing):
        betterstack.parse(request(body), {})
