"""Splunk's two products, on documented bodies and on our own in their shape."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition
from notifier.sources import splunk, splunk_observability
from tests.sources.bits import assert_only_this_is_trusted
from tests.sources.bodies import NOW, request, sample, shared, shared_request


def test_a_search_is_known_by_its_name() -> None:
    (signal,) = splunk.parse(sample("splunk", "firing"), {}).signals
    assert signal.key == "Sign-in errors"
    assert signal.condition is Condition.FIRING
    assert signal.position == datetime(2026, 11, 22, 16, 2, tzinfo=UTC)
    assert signal.labels["host"] == "login-1"
    assert "_raw" not in signal.labels
    assert signal.severity == "high"


def test_chosen_fields_of_the_result_tell_alerts_of_one_search_apart() -> None:
    options = {"fields": "host, sourcetype"}
    (signal,) = splunk.parse(sample("splunk", "firing"), options).signals
    assert signal.key == "Sign-in errors/login-1/app"


def test_a_search_without_a_name_is_known_by_its_run() -> None:
    (signal,) = splunk.parse(sample("splunk", "without_a_name"), {}).signals
    assert (signal.key, signal.position) == ("rt_17", NOW)


def test_the_documented_result_is_read() -> None:
    (signal,) = splunk.parse(shared_request("splunk/search_one_result.json"), {}).signals
    assert (signal.key, signal.labels["host"]) == ("sudo", "myserver")
    assert signal.url.startswith("http://example.com:8000/app/search")


def test_what_is_not_splunks_is_refused() -> None:
    with pytest.raises(Unreadable, match="'sid'"):
        splunk.parse(request({"search_name": "a"}), {})
    with pytest.raises(Unreadable, match="'incidentId'"):
        splunk_observability.parse(request({"status": "ok"}), {})


def test_reads_a_detectors_incident_with_its_dimensions() -> None:
    hook = sample("splunk_observability", "firing")
    (signal,) = splunk_observability.parse(hook, {}).signals
    assert signal.key == "INC9"
    assert signal.title == "Sign-in: too many errors"
    assert signal.severity == "Critical"
    assert signal.labels == {
        "service": "login",
        "dc": "eu-1",
        "detector": "Sign-in",
        "rule": "Too many errors",
    }
    assert signal.url.startswith("https://app.eu0.signalfx.com/")


def test_a_detector_that_was_changed_says_nothing_about_the_service() -> None:
    reading = splunk_observability.parse(sample("splunk_observability", "stopped"), {})
    assert not reading.signals
    assert "stopped" in reading.ignored


def test_an_end_by_hand_is_an_end() -> None:
    body = {"incidentId": "INC9", "status": "ok", "statusExtended": "manually resolved"}
    (signal,) = splunk_observability.parse(request(body), {}).signals
    assert signal.condition is Condition.RESOLVED


def test_the_documented_signature_is_good_for_one_body_only() -> None:
    vector = shared("signature-vectors/hmac.json")["splunk_observability"]
    hook = request(vector["body"], x_sfx_signature=vector["value"])
    verify = splunk_observability.verify
    assert_only_this_is_trusted(verify, hook, "x-sfx-signature", vector["secret"])
