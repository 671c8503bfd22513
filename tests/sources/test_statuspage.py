"""A supplier's Statuspage, on documented bodies and on our own in their shape."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition
from notifier.domain.text import Invalid
from notifier.sources import statuspage
from tests.sources.bodies import request, sample, shared_request

_REPORT = {"maintenance": "report"}


def test_reads_an_incident() -> None:
    (signal,) = statuspage.parse(sample("statuspage", "firing"), {}).signals
    assert signal.key == "pg1/inc77"
    assert signal.title == "Payments are delayed"
    assert signal.description == "We look into delayed payments."
    assert signal.severity == "major"
    assert signal.labels["components"] == "Card payments"
    assert signal.url == "https://stspg.example/inc77"
    assert signal.position == datetime(2026, 11, 22, 16, 2, 0, 507000, UTC)


def test_a_component_goes_down_and_comes_back() -> None:
    (began,) = statuspage.parse(sample("statuspage", "component_down"), {}).signals
    (ended,) = statuspage.parse(sample("statuspage", "component_up"), {}).signals
    assert began.key == ended.key == "pg1/component/c1"
    assert (began.condition, ended.condition) == (Condition.FIRING, Condition.RESOLVED)
    assert began.position < ended.position
    assert (began.severity, began.title) == ("critical", "Card payments: major outage")


@pytest.mark.parametrize(
    "name", ["maintenance", "scheduled", "component_maintenance", "backfilled"]
)
def test_planned_work_and_what_was_entered_afterwards_open_nothing(name: str) -> None:
    reading = statuspage.parse(sample("statuspage", name), {})
    assert not reading.signals
    assert reading.ignored


def test_planned_work_is_reported_where_it_is_asked_for_once_it_begins() -> None:
    for name in ("maintenance", "component_maintenance"):
        (signal,) = statuspage.parse(sample("statuspage", name), _REPORT).signals
        assert (signal.condition, signal.severity) == (Condition.FIRING, "info")
    assert statuspage.parse(sample("statuspage", "scheduled"), _REPORT).ignored
    assert statuspage.parse(sample("statuspage", "backfilled"), _REPORT).ignored


def test_the_link_that_ends_the_subscription_is_not_kept() -> None:
    for name in ("firing", "resolved", "component_down"):
        reading = statuspage.parse(sample("statuspage", name), _REPORT)
        assert "unsubscribe" not in repr(reading)
        assert "secretlink01" not in repr(reading)


def test_the_documented_pair_is_one_incident() -> None:
    (began,) = statuspage.parse(shared_request("statuspage/incident_created.json"), {}).signals
    (ended,) = statuspage.parse(shared_request("statuspage/incident_resolved.json"), {}).signals
    assert began.key == ended.key == "jb7j80lkgqvb/z3lct0r596n4"
    assert (began.condition, ended.condition) == (Condition.FIRING, Condition.RESOLVED)
    assert began.position == ended.position
    assert ended.at > ended.position
    assert "unsubscribe" not in repr((began, ended))


def test_the_documented_component_is_under_maintenance() -> None:
    hook = shared_request("statuspage/component_update.json")
    assert "maintenance" in statuspage.parse(hook, {}).ignored
    (signal,) = statuspage.parse(hook, _REPORT).signals
    assert signal.key == "jb7j80lkgqvb/component/sqm6pl84wzjc"


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({}, "'page'"),
        ({"page": {"id": "p"}}, "'incident'"),
        ({"page": {"id": "p"}, "incident": {}}, "'id' in its incident"),
        ({"page": {"id": "p"}, "component_update": {"component_id": "c"}}, "'new_status'"),
    ],
)
def test_says_what_is_missing(body: dict[str, object], missing: str) -> None:
    with pytest.raises(Unreadable, match=missing):
        statuspage.parse(request(body), {})


def test_the_option_is_checked() -> None:
    statuspage.check_options(_REPORT)
    with pytest.raises(Invalid, match="maintenance must be ignore or report"):
        statuspage.check_options({"maintenance": "yes"})
