"""Elastic: our template filled in as Mustache does, and Watcher's context."""

from __future__ import annotations

import json
import re

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition
from notifier.sources import kibana
from tests.sources.bodies import request, sample


def fill(**values: str) -> str:
    """The template as Kibana fills it in: JSON's escapes in values, "" for what is not known."""

    def value(found: re.Match[str]) -> str:
        return json.dumps(values.get(found[1].replace(".", "_"), ""))[1:-1]

    return re.sub(r"\{\{([\w.]+)\}\}", value, kibana.SETUP.template)


def test_the_action_for_recovered_ends_the_alert() -> None:
    began, ended = (
        kibana.parse(sample("kibana", name), {}).signals[0] for name in ("firing", "resolved")
    )
    assert began.key == ended.key
    assert began.severity == "warning"
    assert ended.condition is Condition.RESOLVED
    assert began.labels["team"] == "identity"


def test_the_template_is_json_that_we_read() -> None:
    body = fill(
        alert_uuid="u-1",
        alert_actionGroup="query matched",
        rule_name='more "errors"',
        context_message="line one\nline two",
        date="2026-11-22T16:02:11.544Z",
    )
    (signal,) = kibana.parse(request(body), {}).signals
    assert (signal.key, signal.condition) == ("u-1", Condition.FIRING)
    assert signal.title == 'more "errors"'
    assert signal.description == "line one\nline two"
    assert signal.severity == ""


def test_before_8_6_the_rule_and_the_alert_are_the_key() -> None:
    bodies = (
        fill(rule_id="r", alert_id="host-1", alert_actionGroup=group)
        for group in ("fired", "recovered")
    )
    began, ended = (kibana.parse(request(body), {}).signals[0] for body in bodies)
    assert began.key == ended.key == "r:host-1"


def test_a_watch_fires_and_never_ends() -> None:
    (signal,) = kibana.parse(sample("kibana", "watcher"), {}).signals
    assert (signal.key, signal.severity) == ("signin", "critical")
    assert signal.condition is Condition.FIRING


def test_a_body_without_group_or_key_is_refused() -> None:
    with pytest.raises(Unreadable, match="action group and id"):
        kibana.parse(request(kibana.SETUP.template), {})
