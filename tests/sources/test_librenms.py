"""LibreNMS, on a documented body and on queries as its API transport builds them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition, Hook
from notifier.sources import librenms
from tests.sources.bodies import NOW, request, sample, shared_request


def test_reads_what_an_operator_needs() -> None:
    (signal,) = librenms.parse(sample("librenms", "firing"), {}).signals
    assert (signal.key, signal.severity) == ("311", "critical")
    assert signal.title == 'Alert for device edge-2: "Uplink" is down'
    assert signal.position == datetime(2026, 11, 22, 16, 2, tzinfo=UTC)
    assert signal.labels["rule"] == "Uplink down"
    assert signal.labels["sysname"] == "edge-2"


def test_a_body_of_json_is_read_as_well() -> None:
    (signal,) = librenms.parse(sample("librenms", "body"), {}).signals
    assert (signal.key, signal.condition) == ("311", Condition.FIRING)


@pytest.mark.parametrize(
    ("state", "condition"),
    [
        ("0", Condition.RESOLVED),
        ("1", Condition.FIRING),
        ("2", Condition.ACKNOWLEDGED),
        ("3", Condition.FIRING),
        ("4", Condition.FIRING),
    ],
)
def test_the_state_is_a_number(state: str, condition: Condition) -> None:
    body = {"rule_id": "9", "device_id": "42", "state": state}
    (signal,) = librenms.parse(request(body), {}).signals
    assert (signal.key, signal.condition) == ("rule 9 on 42", condition)


def test_a_local_time_that_would_be_in_the_future_is_not_believed() -> None:
    body = {"alert_id": "1", "state": "1", "timestamp": "2026-11-22 17:30:00"}
    assert librenms.parse(request(body), {}).signals[0].position == NOW


def test_the_options_filled_in_are_what_we_read() -> None:
    values = {"alert_id": "8", "state": "0", "title": 'Back: "uplink" & more', "name": "Uplink"}
    lines = (line.split("=", 1) for line in librenms.SETUP.template.splitlines())
    fill = re.compile(r"\{\{ \$(\w+) \}\}")
    fields = {n: fill.sub(lambda m: values.get(m[1], ""), v) for n, v in lines}
    hook = Hook("POST", {"content-type": "text/plain"}, urlencode(fields), b"", NOW)
    (signal,) = librenms.parse(hook, {}).signals
    assert (signal.key, signal.condition) == ("8", Condition.RESOLVED)
    assert signal.title == 'Back: "uplink" & more'


def test_the_documented_body_is_read() -> None:
    (signal,) = librenms.parse(shared_request("librenms/recovered.json"), {}).signals
    assert (signal.key, signal.condition) == ("26", Condition.RESOLVED)
    assert signal.position == datetime(2025, 3, 4, 11, 1, 41, tzinfo=UTC)


@pytest.mark.parametrize("body", [{"state": "1"}, {"alert_id": "1"}, {"alert_id": "1", "state": 9}])
def test_anything_else_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(Unreadable, match=r"so it is not one of LibreNMS's\.$"):
        librenms.parse(request(body), {})
