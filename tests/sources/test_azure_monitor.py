"""Azure Monitor, on the vendor's bodies and on our own in their shape."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition
from notifier.sources import azure_monitor
from tests.sources.bodies import request, sample, shared_request


def test_reads_what_an_operator_needs() -> None:
    (signal,) = azure_monitor.parse(sample("azure_monitor", "firing"), {}).signals
    assert signal.title == "Too many failed requests"
    assert signal.severity == "Sev1"
    assert signal.labels["configuration_item"] == "shop-web"
    assert signal.labels["component"] == "shop"
    assert signal.position == datetime(2026, 11, 22, 16, 4, 8, 123456, UTC)


def test_the_end_has_the_position_of_the_start_and_its_own_time() -> None:
    (signal,) = azure_monitor.parse(sample("azure_monitor", "resolved"), {}).signals
    assert signal.position == datetime(2026, 11, 22, 16, 4, 8, 123456, UTC)
    assert signal.at == datetime(2026, 11, 22, 16, 23, 10, 765432, UTC)


def test_the_test_of_an_action_group_is_ignored() -> None:
    reading = azure_monitor.parse(sample("azure_monitor", "test_button"), {})
    assert not reading.signals
    assert reading.ignored == "a test of the action group"


def test_the_vendors_pair_has_one_key() -> None:
    (began,) = azure_monitor.parse(
        shared_request("azure-monitor/common_schema_fired.json"), {}
    ).signals
    (ended,) = azure_monitor.parse(
        shared_request("azure-monitor/common_schema_resolved.json"), {}
    ).signals
    assert (began.condition, ended.condition) == (Condition.FIRING, Condition.RESOLVED)
    assert began.key == ended.key
    assert began.position == ended.position
    assert ended.at == datetime(2019, 3, 22, 14, 3, 16, 224631, UTC)


@pytest.mark.parametrize("name", ["classic_metric_alert", "new_metric_alert"])
def test_other_schemas_of_azure_are_refused_with_advice(name: str) -> None:
    with pytest.raises(Unreadable, match="set 'Enable the common alert schema' to Yes"):
        azure_monitor.parse(shared_request(f"azure-monitor/{name}.json"), {})


def test_another_schema_of_our_own_making_is_refused_with_advice() -> None:
    for body in ({"schemaId": "Microsoft.Insights/activityLogs"}, {"status": "x", "context": {}}):
        with pytest.raises(Unreadable, match="common alert schema"):
            azure_monitor.parse(request(body), {})


def test_another_tools_body_is_refused() -> None:
    with pytest.raises(Unreadable, match=r"so it is not one of Azure Monitor's\.$"):
        azure_monitor.parse(request({"alerts": []}), {})
