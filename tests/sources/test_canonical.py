"""Our own schema: what counts as given, which words it knows, and its signature."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition
from notifier.sources import canonical
from notifier.sources._canonical import condition_of, filled, filled_labels, read_canonical
from tests.sources.bits import assert_only_this_is_trusted
from tests.sources.bodies import NOW, request, sample


def test_reads_every_field() -> None:
    (signal,) = canonical.parse(sample("canonical", "resolved"), {}).signals
    assert signal.key == "sign-in-errors"
    assert signal.condition is Condition.RESOLVED
    assert signal.position == datetime(2026, 11, 22, 16, 2, tzinfo=UTC)
    assert signal.at == datetime(2026, 11, 22, 16, 20, tzinfo=UTC)
    assert signal.severity == "critical"
    assert signal.labels == {"region": "eu-west-1", "component": "sign-in"}
    assert signal.url == "https://monitoring.example.com/alerts/17"


def test_a_key_and_a_status_are_enough() -> None:
    (signal,) = canonical.parse(request({"dedup_key": 17, "status": "down"}), {}).signals
    assert (signal.key, signal.title) == ("17", "17")
    assert signal.position == signal.at == NOW


def test_an_end_without_a_start_stands_where_it_ended() -> None:
    body = {"dedup_key": "a", "status": "ok", "ends_at": "2026-11-22T16:20:00Z"}
    (signal,) = canonical.parse(request(body), {}).signals
    assert signal.position == signal.at == datetime(2026, 11, 22, 16, 20, tzinfo=UTC)


def test_a_list_is_read_one_by_one() -> None:
    signals = canonical.parse(sample("canonical", "list"), {}).signals
    assert [s.key for s in signals] == ["sign-in-errors", "checkout"]


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({"status": "firing"}, "dedup_key"),
        ({"dedup_key": "{EVENT.ID}", "status": "firing"}, "dedup_key"),
        ({"dedup_key": "a"}, "status"),
        ({"dedup_key": "a", "status": "perhaps"}, "status"),
        ([], "list of objects"),
    ],
)
def test_says_what_is_missing(body: dict[str, str] | list[str], missing: str) -> None:
    with pytest.raises(Unreadable, match=missing):
        canonical.parse(request(body), {})


@pytest.mark.parametrize(
    "left_standing",
    [
        "*monitorID*",
        "*UNKNOWN*",
        "$ALERT_CYCLE_KEY",
        "$CODE",
        "$HOSTNAME$",
        "${NAME}",
        "{EVENT.ID}",
        "{$ZABBIX.URL}",
        "{PID}",
        "{{alert.uuid}}",
        "{{ .Alert.InstanceID }}",
        "[ENDPOINT_NAME]",
        "  $CODE ",
    ],
)
def test_a_placeholder_that_was_left_standing_is_nothing(left_standing: str) -> None:
    assert filled(left_standing) == ""


@pytest.mark.parametrize(
    "value", ["*", "$5", "costs $5", "{}", '{"a": 1}', "[P1]", "a {b} c", "**"]
)
def test_what_only_looks_like_a_placeholder_stays(value: str) -> None:
    assert filled(value) == value


def test_labels_are_an_object_or_tags_without_what_was_not_filled_in() -> None:
    assert filled_labels({"a": 1, "b": "{HOST.NAME}"}) == {"a": "1"}
    assert filled_labels(["env:prod", "urgent"]) == {"env": "prod", "urgent": "true"}
    assert filled_labels("$TAGS", host="web-1") == {"host": "web-1"}


def test_no_word_means_two_things_and_none_is_guessed() -> None:
    assert condition_of(" DOWN ") is Condition.FIRING
    assert condition_of("Recovered") is Condition.RESOLVED
    assert condition_of("ack") is Condition.ACKNOWLEDGED
    assert condition_of("") is None
    assert condition_of("maintenance") is None


def test_a_body_of_another_schema_is_left_to_its_source() -> None:
    assert read_canonical({"alertId": "1", "action": "Create"}, request({})) is None


def test_the_template_is_read_by_its_own_source() -> None:
    _, _, rest = canonical.SETUP.template.partition("-d '")
    (signal,) = canonical.parse(request(json.loads(rest.strip().removesuffix("'"))), {}).signals
    assert signal.labels["component"] == "sign-in"


def test_a_signature_is_good_for_one_body_only() -> None:
    body = b'{"dedup_key": "a", "status": "firing"}'
    digest = hmac.digest(b"ours", body, hashlib.sha256).hex()
    hook = request(body, x_hub_signature_256=f"sha256={digest}")
    assert_only_this_is_trusted(canonical.verify, hook, "x-hub-signature-256", "ours")
