"""Grafana, on bodies in the shape of its documentation and on the shared signature vectors."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from notifier.domain.receipt import Unreadable, Untrusted
from notifier.domain.signal import Condition, Hook, Secrets, severity_of
from notifier.sources import grafana
from tests.sources.bits import assert_only_this_is_trusted, each_bit_changed
from tests.sources.bodies import request, sample, shared

HEADER = "x-grafana-alerting-signature"


def test_each_member_of_a_group_counts_by_itself() -> None:
    reading = grafana.parse(sample("grafana", "mixed"), {})
    assert [s.condition for s in reading.signals] == [Condition.FIRING, Condition.RESOLVED]
    assert [s.labels["service"] for s in reading.signals] == ["checkout", "basket"]
    assert reading.signals[0].key != reading.signals[1].key


def test_reads_what_an_operator_needs() -> None:
    (signal,) = grafana.parse(sample("grafana", "firing"), {}).signals
    assert signal.title == "Checkout answers slowly"
    assert signal.severity == "critical"
    assert signal.labels["rule_uid"] == "fe41k"
    assert signal.position == datetime(2026, 11, 22, 16, 5, 40, tzinfo=UTC)
    assert signal.url == "https://grafana.example.com/d/shop?orgId=1&viewPanel=4"


def test_the_end_has_the_position_of_the_start_and_its_own_time() -> None:
    (signal,) = grafana.parse(sample("grafana", "resolved"), {}).signals
    assert signal.position == datetime(2026, 11, 22, 16, 5, 40, tzinfo=UTC)
    assert signal.at == datetime(2026, 11, 22, 16, 21, 40, tzinfo=UTC)


def test_that_grafana_could_not_look_is_only_information() -> None:
    (signal,) = grafana.parse(sample("grafana", "no_data"), {}).signals
    assert severity_of(signal.severity, default=None) is None
    assert signal.labels["severity"] == "critical"


@pytest.mark.parametrize("name", ["test_button", "legacy_test_button"])
def test_a_test_button_is_ignored(name: str) -> None:
    reading = grafana.parse(sample("grafana", name), {})
    assert not reading.signals
    assert reading.ignored.startswith("a test of the")


def test_a_member_without_a_fingerprint_is_known_by_its_labels_or_its_group() -> None:
    labels = {"b": "2", "a": "1"}
    first = {"alerts": [{"status": "firing", "labels": labels}]}
    last = {"alerts": [{"status": "resolved", "labels": dict(sorted(labels.items()))}]}
    keys = {grafana.parse(request(body), {}).signals[0].key for body in (first, last)}
    assert len(keys) == 1
    bare = {"alerts": [{"status": "firing", "labels": {}}], "groupKey": "{}:{}"}
    assert grafana.parse(request(bare), {}).signals[0].key == "{}:{}"


def test_the_old_body_is_known_by_its_rule() -> None:
    (began,) = grafana.parse(sample("grafana", "legacy_alerting"), {}).signals
    (ended,) = grafana.parse(sample("grafana", "legacy_ok"), {}).signals
    assert (began.condition, ended.condition) == (Condition.FIRING, Condition.RESOLVED)
    assert began.key == ended.key == "42"
    assert began.labels == {
        "service": "mail",
        "severity": "warning",
        "rule": "Mail queue is long",
        "dashboard_id": "9",
        "panel_id": "3",
    }


def test_an_old_rule_without_data_is_ignored() -> None:
    reading = grafana.parse(sample("grafana", "legacy_no_data"), {})
    assert reading.ignored == "the rule neither alerts nor is it fine again"


def test_another_tools_body_is_refused() -> None:
    with pytest.raises(Unreadable, match=r"no list 'alerts' and no 'ruleId', so it is not one"):
        grafana.parse(request({"status": "firing"}), {})


def test_the_vector_without_a_time_verifies_and_no_changed_bit_does() -> None:
    vector = shared("signature-vectors/hmac.json")["grafana_no_timestamp"]
    hook = request(vector["body"], **{HEADER: vector["value"]})
    assert_only_this_is_trusted(grafana.verify, hook, HEADER, vector["secret"])


def test_the_vector_with_a_time_verifies_and_no_changed_bit_does() -> None:
    vector = shared("signature-vectors/hmac.json")["grafana_timestamp"]
    headers = {HEADER: vector["value"], "x-signed-at": vector["timestamp"]}
    hook = request(vector["body"], **headers)
    assert_only_this_is_trusted(_verify_with_time, hook, HEADER, vector["secret"])
    for time in each_bit_changed(vector["timestamp"].encode()):
        changed = {**hook.headers, "x-signed-at": time.decode("latin-1")}
        with pytest.raises(Untrusted):
            _verify_with_time(replace(hook, headers=changed), Secrets([vector["secret"]]))


def _verify_with_time(hook: Hook, secrets: Secrets) -> None:
    grafana.verify(hook, replace(secrets, options={"timestamp_header": "X-Signed-At"}))


def test_a_signature_over_the_body_alone_does_not_do_where_a_time_is_expected() -> None:
    body = b"{}"
    headers = {HEADER: hmac.new(b"s", body, hashlib.sha256).hexdigest()}
    with pytest.raises(Untrusted, match="no header X-Signed-At"):
        grafana.verify(
            request(body, **headers), Secrets(["s"], {"timestamp_header": "X-Signed-At"})
        )
