"""The checks of single sites and jobs: Site24x7, Cronitor, Freshping, Healthchecks and Gatus."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import yaml

from notifier.domain.incident import Severity
from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition, Hook, Signal, severity_of
from notifier.ports import SourceModule
from notifier.sources import cronitor, freshping, gatus, healthchecks, site24x7
from tests.sources.bodies import NOW, request, sample, shared, shared_request


def only(module: SourceModule, hook: Hook) -> Signal:
    (signal,) = module.parse(hook, {}).signals
    return signal


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (site24x7, "suspended"),
        (freshping, "test_button"),
        (freshping, "paused"),
        (healthchecks, "test_button"),
        (gatus, "other_word"),
    ],
)
def test_what_means_nothing_is_ignored(module: SourceModule, name: str) -> None:
    reading = module.parse(sample(module.NAME, name), {})
    assert reading.ignored
    assert not reading.signals


@pytest.mark.parametrize("module", [site24x7, cronitor, freshping, healthchecks, gatus])
def test_bodies_of_other_tools_are_refused_by_name(module: SourceModule) -> None:
    with pytest.raises(Unreadable, match=f"not one of {module.TITLE}'s"):
        module.parse(request({"alerts": [], "version": "4"}), {})


def test_site24x7_tells_when_and_where() -> None:
    signal = only(site24x7, sample("site24x7", "firing"))
    assert signal.key == "558844000000026001"
    assert signal.position == datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
    assert severity_of(signal.severity, default=None) is Severity.CRITICAL
    assert signal.labels["env"] == "prod"
    assert signal.url.startswith("https://www.site24x7.com/app/")


def test_site24x7_may_send_a_form_with_milliseconds() -> None:
    signal = only(site24x7, sample("site24x7", "trouble_as_form"))
    assert signal.key == "Sign-in"
    assert signal.position == datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
    assert severity_of(signal.severity, default=None) is Severity.MINOR


def test_site24x7_placeholders_that_were_left_standing_are_nothing() -> None:
    assert only(site24x7, sample("site24x7", "resolved")).description == ""


def test_site24x7_fields_in_the_sources_of_receivers_are_read() -> None:
    signal = only(site24x7, shared_request("site24x7/field_list_example.json"))
    assert (signal.key, signal.condition) == ("100000001", Condition.FIRING)
    assert signal.labels["prod"] == "true"


def test_cronitor_monitors_fail_in_each_environment_by_itself() -> None:
    body = {"id": "m", "type": "ALERT", "description": "x"}
    keys = {only(cronitor, request(body | {"environment": where})).key for where in ("", "a", "b")}
    assert len(keys) == 3


def test_cronitor_bodies_without_a_type_are_read_by_their_words() -> None:
    signal = only(cronitor, sample("cronitor", "without_type"))
    assert signal.condition is Condition.RESOLVED
    assert signal.key == only(cronitor, sample("cronitor", "firing")).key


def test_cronitor_documented_fields_are_read() -> None:
    signal = only(cronitor, shared_request("cronitor/field_list_example.json"))
    assert (signal.key, signal.condition) == ("UH6G3i:production", Condition.FIRING)
    assert signal.url == "https://cronitor.io/app/issues/1"
    assert signal.position == NOW


def test_freshping_genuine_body_is_read() -> None:
    signal = only(freshping, shared_request("freshping/unreachable.json"))
    assert (signal.key, signal.condition) == ("585767", Condition.FIRING)
    assert signal.description == "Reporting Error (HTTP status 521)"
    assert signal.position == datetime(2021, 4, 15, 19, 46, 47, 644166, UTC)


def test_healthchecks_query_and_body_are_one_alert() -> None:
    body, query = (
        only(healthchecks, sample("healthchecks", name)) for name in ("firing", "down_by_query")
    )
    assert body.key == query.key
    assert body.title == query.title == 'Nightly "invoices"'
    assert body.position == query.position
    assert body.labels["billing"] == "true"
    assert body.labels["team"] == "money"


def test_healthchecks_whole_check_is_known_by_the_end_of_its_address() -> None:
    signal = only(healthchecks, sample("healthchecks", "whole_check"))
    assert (signal.key, signal.title) == ("0e1f", "Backups")
    assert signal.condition is Condition.FIRING


def test_healthchecks_template_is_json_that_we_read() -> None:
    body = healthchecks.SETUP.template
    values = {
        "$CODE": "c-1",
        "$STATUS": "up",
        "$NAME_JSON": json.dumps('a "name"'),
        "$SLUG": "a-name",
        "$NOW": "2026-11-22T16:02:11+00:00",
    }
    for name, value in values.items():
        body = body.replace(name, value)
    signal = only(healthchecks, request(body))
    assert (signal.key, signal.condition) == ("c-1", Condition.RESOLVED)
    assert signal.title == 'a "name"'
    assert set(signal.labels) == {"check", "slug"}  # $TAGS was left standing


def fill_gatus(template: str, state: str) -> str:
    for name, value in {
        "[ENDPOINT_GROUP]": "",
        "[ENDPOINT_NAME]": "front",
        "[ALERT_TRIGGERED_OR_RESOLVED]": state,
        "[ALERT_DESCRIPTION]": "does not answer",
        "[ENDPOINT_URL]": "https://front.example.com",
    }.items():
        template = template.replace(name, value)
    return template


def test_gatus_template_is_yaml_with_json_that_we_read() -> None:
    config = yaml.safe_load(gatus.SETUP.template)["alerting"]["custom"]
    assert config["method"] == "POST"
    assert config["default-alert"]["send-on-resolved"] is True
    signal = only(gatus, request(fill_gatus(config["body"], "TRIGGERED")))
    assert (signal.key, signal.condition) == ("/front", Condition.FIRING)
    assert signal.description == "does not answer"  # [RESULT_ERRORS] was left standing


def test_gatus_words_for_its_states_may_be_others() -> None:
    options = {"triggered": "boom", "resolved": "fixed"}
    (signal,) = gatus.parse(sample("gatus", "other_word"), options).signals
    assert signal.condition is Condition.FIRING


def test_gatus_query_and_body_are_one_alert() -> None:
    body, query = (only(gatus, sample("gatus", name)) for name in ("firing", "by_query"))
    assert body.key == query.key
    assert body.labels == query.labels


def test_gatus_known_template_is_read() -> None:
    template = shared("gatus/template_example.json")
    body = fill_gatus(json.dumps(template), "RESOLVED")
    signal = only(gatus, request(body))
    assert (signal.key, signal.condition) == ("/front", Condition.RESOLVED)
    with pytest.raises(Unreadable, match="state and name"):
        gatus.parse(request(template), {})
