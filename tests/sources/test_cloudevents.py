"""CloudEvents in every mode, and the handshake; bodies made with the project's own SDK."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition, Hook
from notifier.sources import cloudevents
from tests.sources.bodies import NOW, request, sample, shared

_EVENT = {"specversion": "1.0", "id": "1", "source": "/m", "subject": "s", "type": "a.alert.firing"}


def test_reads_an_event_with_its_extensions() -> None:
    (signal,) = cloudevents.parse(sample("cloudevents", "firing"), {}).signals
    assert signal.key == "/monitoring/sign-in sign-in-errors"
    assert signal.position == datetime(2026, 11, 22, 16, 2, tzinfo=UTC)
    assert signal.title == "More than 5% of sign-ins fail"
    assert signal.labels["region"] == "eu-west-1"
    assert signal.labels["component"] == "sign-in"
    assert signal.labels["type"] == "com.example.alert.firing"


def test_reads_a_batch_and_leaves_out_what_is_no_alert() -> None:
    signals = cloudevents.parse(sample("cloudevents", "batch"), {}).signals
    assert [s.condition for s in signals] == [Condition.FIRING, Condition.RESOLVED]
    assert len({s.key for s in signals}) == 2


def test_reads_an_event_whose_attributes_are_headers() -> None:
    (signal,) = cloudevents.parse(sample("cloudevents", "binary"), {}).signals
    assert signal.key == "/monitoring/münchen sign-in-errors"
    assert signal.title == "Zu viele Fehler"
    assert signal.labels["region"] == "eu-central-1"


def test_the_data_may_be_our_own_schema_and_comes_first() -> None:
    data = {
        "dedup_key": "ours",
        "status": "resolved",
        "starts_at": "2026-11-22T15:00:00Z",
        "labels": {"host": "web-1"},
    }
    (signal,) = cloudevents.parse(request(_EVENT | {"data": data}), {}).signals
    assert signal.key == "ours"
    assert signal.condition is Condition.RESOLVED
    assert signal.position == datetime(2026, 11, 22, 15, tzinfo=UTC)
    assert signal.labels["host"] == "web-1"


def test_the_data_may_be_base64_or_text_or_missing() -> None:
    packed = base64.b64encode(json.dumps({"title": "Packed"}).encode()).decode()
    (signal,) = cloudevents.parse(request(_EVENT | {"data_base64": packed}), {}).signals
    assert signal.title == "Packed"
    (signal,) = cloudevents.parse(request(_EVENT | {"data": "disk full"}), {}).signals
    assert (signal.title, signal.description) == ("s", "disk full")
    (signal,) = cloudevents.parse(request(_EVENT), {}).signals
    assert (signal.key, signal.position) == ("/m s", NOW)


def test_an_event_about_nothing_in_particular_is_known_by_its_source() -> None:
    event = {name: value for name, value in _EVENT.items() if name != "subject"}
    (signal,) = cloudevents.parse(request(event), {}).signals
    assert signal.key == "/m"


def test_other_events_are_ignored() -> None:
    reading = cloudevents.parse(sample("cloudevents", "other_type"), {})
    assert not reading.signals
    assert reading.ignored
    assert cloudevents.parse(request([]), {}).ignored


def test_agrees_to_be_delivered_to() -> None:
    reading = cloudevents.parse(sample("cloudevents", "handshake"), {})
    assert reading.headers == {
        "Allow": "POST, OPTIONS",
        "WebHook-Allowed-Origin": "events.example.com",
        "WebHook-Allowed-Rate": "*",
    }


def test_names_a_rate_only_where_one_was_asked_for() -> None:
    asked = Hook("OPTIONS", {"webhook-request-origin": "events.example.com"}, "", b"", NOW)
    assert "WebHook-Allowed-Rate" not in cloudevents.parse(asked, {}).headers


@pytest.mark.parametrize("origin", ["", "a\r\nSet-Cookie: b", "é.example", "a b"])
def test_no_origin_smuggles_a_header_into_the_answer(origin: str) -> None:
    asked = Hook("OPTIONS", {"webhook-request-origin": origin}, "", b"", NOW)
    with pytest.raises(Unreadable, match="WebHook-Request-Origin"):
        cloudevents.parse(asked, {})


@pytest.mark.parametrize("body", [{"type": "x"}, [1], [{"type": "x"}], [_EVENT, {}]])
def test_what_is_no_event_is_refused(body: list[object]) -> None:
    with pytest.raises(Unreadable, match="specversion"):
        cloudevents.parse(request(json.dumps(body)), {})


def test_data_that_is_not_what_it_says_is_refused() -> None:
    with pytest.raises(Unreadable, match="base64"):
        cloudevents.parse(request(_EVENT | {"data_base64": "%"}), {})
    hook = replace(sample("cloudevents", "binary"), body=b'{"status": ')
    with pytest.raises(Unreadable, match="column"):
        cloudevents.parse(hook, {})


@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_the_events_of_the_sdk_are_read_alike(mode: str) -> None:
    made = shared(f"cloudevents/{mode}.json")
    hook = request(made["body_raw"].encode(), **made["headers"])
    (signal,) = cloudevents.parse(hook, {}).signals
    assert signal.key == "/monitoring/checkout checkout-api"
    assert signal.condition is Condition.FIRING
    assert signal.severity == "critical"
    assert signal.title == "5xx above 5%"
    assert signal.position == datetime(2026, 11, 22, 16, tzinfo=UTC)


def test_the_template_is_read() -> None:
    (signal,) = cloudevents.parse(request(cloudevents.SETUP.template.encode()), {}).signals
    assert signal.labels["component"] == "sign-in"
