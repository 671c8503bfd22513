"""PagerDuty: its webhooks v3, and its Events API v2 as others speak it to us."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifier.domain.incident import Severity
from notifier.domain.receipt import Unreadable, Untrusted
from notifier.domain.signal import Condition, Hook, Secrets, severity_of
from notifier.sources import pagerduty, pagerduty_events
from tests.sources.bits import assert_only_this_is_trusted, each_bit_changed
from tests.sources.bodies import NOW, request, sample, shared, shared_request

HEADER = "x-pagerduty-signature"


def test_reads_what_an_operator_needs() -> None:
    (signal,) = pagerduty.parse(sample("pagerduty", "firing"), {}).signals
    assert signal.key == "Q7XN20LKD4SHOP"
    assert signal.title == "Checkout answers slowly"
    assert severity_of(signal.severity, default=None) is Severity.CRITICAL
    assert signal.labels["service"] == "Checkout"
    assert signal.labels["team"] == "Shop"
    assert signal.url == "https://northvale.pagerduty.com/incidents/Q7XN20LKD4SHOP"


def test_an_incident_that_is_reopened_is_after_its_end() -> None:
    (ended,) = pagerduty.parse(sample("pagerduty", "resolved"), {}).signals
    (again,) = pagerduty.parse(sample("pagerduty", "reopened"), {}).signals
    assert again.key == ended.key
    assert again.condition is Condition.FIRING
    assert again.position > ended.position


def test_a_new_priority_keeps_the_state_and_counts_before_the_urgency() -> None:
    (signal,) = pagerduty.parse(sample("pagerduty", "priority_updated"), {}).signals
    assert signal.condition is Condition.ACKNOWLEDGED
    assert signal.severity == "P2"


def test_a_low_urgency_is_information() -> None:
    event = {"event_type": "incident.triggered", "data": {"id": "P1", "urgency": "low"}}
    (signal,) = pagerduty.parse(request({"event": event}), {}).signals
    assert severity_of(signal.severity, default=Severity.MAJOR) is None


def test_a_published_status_update_is_an_annotation() -> None:
    (note,) = pagerduty.parse(sample("pagerduty", "status_update"), {}).annotations
    assert note.title == "We are moving checkout to the second site."
    assert note.labels["incident"] == "Q7XN20LKD4SHOP"
    assert note.at == datetime(2026, 11, 22, 16, 12, tzinfo=UTC)


@pytest.mark.parametrize("name", ["test_button", "annotated", "service_updated"])
def test_what_says_nothing_about_a_state_is_ignored(name: str) -> None:
    reading = pagerduty.parse(sample("pagerduty", name), {})
    assert not reading.signals
    assert reading.ignored


def test_another_tools_body_is_refused() -> None:
    with pytest.raises(Unreadable, match=r"has no 'event\.event_type'"):
        pagerduty.parse(request({"alerts": []}), {})
    with pytest.raises(Unreadable, match=r"has no 'event\.data\.id'"):
        pagerduty.parse(request({"event": {"event_type": "incident.triggered"}}), {})


def test_the_vendors_bodies_are_read() -> None:
    """They are of two incidents, so the resolved one is also read as the end of the other."""
    (began,) = pagerduty.parse(shared_request("pagerduty/v3_incident_triggered.json"), {}).signals
    assert (began.key, began.condition) == ("PFQZPSY", Condition.FIRING)
    (ended,) = pagerduty.parse(shared_request("pagerduty/v3_incident_resolved.json"), {}).signals
    assert (ended.key, ended.condition) == ("PCPZE64", Condition.RESOLVED)
    body = shared("pagerduty/v3_incident_triggered.json")
    body["event"]["event_type"] = "incident.resolved"
    body["event"]["occurred_at"] = "2021-06-04T13:40:00Z"
    (own,) = pagerduty.parse(request(body), {}).signals
    assert own.key == began.key
    assert own.position > began.position


def test_the_vector_verifies_and_no_changed_bit_does() -> None:
    """Of its two signatures only the second was made with our secret."""
    vector = shared("signature-vectors/hmac.json")["pagerduty_v3_rotation"]
    other, own = vector["value"].split(",")
    hook = request(vector["body"], **{HEADER: own})
    assert_only_this_is_trusted(pagerduty.verify, hook, HEADER, vector["secret"])
    pagerduty.verify(_signed(hook, vector["value"]), Secrets([vector["secret"]]))
    for spoiled in each_bit_changed(f",{own}".encode()):
        both = _signed(hook, other + spoiled.decode("latin-1"))
        with pytest.raises(Untrusted):
            pagerduty.verify(both, Secrets([vector["secret"]]))


def _signed(hook: Hook, value: str) -> Hook:
    return replace(hook, headers={**hook.headers, HEADER: value})


@pytest.mark.parametrize("ours", ["new", "old"])
def test_while_pagerduty_replaces_a_secret_either_of_its_signatures_does(ours: str) -> None:
    body = b'{"event": {}}'
    both = (hmac.new(s, body, hashlib.sha256).hexdigest() for s in (b"new", b"old"))
    hook = request(body, **{HEADER: ",".join(f"v1={one}" for one in both)})
    pagerduty.verify(hook, Secrets([ours]))
    pagerduty.verify(hook, Secrets(["another", ours]))
    with pytest.raises(Untrusted):
        pagerduty.verify(hook, Secrets(["another"]))


def test_a_signature_of_another_version_is_none() -> None:
    body = b"{}"
    value = "v2=" + hmac.new(b"s", body, hashlib.sha256).hexdigest()
    with pytest.raises(Untrusted, match="is not signed"):
        pagerduty.verify(request(body, **{HEADER: value}), Secrets(["s"]))


def test_an_event_says_what_it_is_about() -> None:
    (signal,) = pagerduty_events.parse(sample("pagerduty_events", "firing"), {}).signals
    assert signal.key == "disk/db-1/var"
    assert signal.title == "The disk of db-1 is nearly full"
    assert signal.severity == "error"
    assert signal.labels["component"] == "postgres"
    assert signal.labels["class"] == "disk"
    assert signal.labels["service"] == "accounts"
    assert "routing_key" not in signal.labels
    assert signal.url == "https://checks.example.com/disk/db-1"
    assert signal.position == datetime(2026, 11, 22, 16, 15, tzinfo=UTC)


def test_a_resolve_needs_no_payload() -> None:
    (signal,) = pagerduty_events.parse(sample("pagerduty_events", "resolved"), {}).signals
    assert signal.condition is Condition.RESOLVED
    assert signal.position == NOW


def test_a_fast_clock_does_not_put_a_trigger_after_its_end() -> None:
    hook = sample("pagerduty_events", "firing")
    early = replace(hook, received_at=NOW - timedelta(days=365))
    (signal,) = pagerduty_events.parse(early, {}).signals
    assert signal.position == early.received_at


def test_a_trigger_without_a_key_is_known_by_what_it_says_and_a_resolve_is_refused() -> None:
    body = json.loads(sample("pagerduty_events", "firing").body)
    del body["dedup_key"]
    (signal,) = pagerduty_events.parse(request(body), {}).signals
    assert signal.key == "db-1.example.com: The disk of db-1 is nearly full"
    with pytest.raises(Unreadable, match="has no 'dedup_key'"):
        pagerduty_events.parse(request(body | {"event_action": "resolve"}), {})


def test_the_command_of_the_instructions_is_read() -> None:
    _, _, rest = pagerduty_events.SETUP.template.partition("-d '")
    (signal,) = pagerduty_events.parse(request(rest.rpartition("'")[0]), {}).signals
    assert signal.labels["component"] == "sign-in"
    assert severity_of(signal.severity, default=None) is Severity.CRITICAL


def test_an_event_without_an_action_is_refused() -> None:
    with pytest.raises(Unreadable, match="no 'event_action' of trigger, acknowledge or resolve"):
        pagerduty_events.parse(request({"routing_key": "x", "payload": {}}), {})
