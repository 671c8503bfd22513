"""Kibana's webhook connector, and Watcher's webhook action.

The body of each action of a rule is a Mustache template, and a recovery is an action of its own
that has to be added (https://www.elastic.co/guide/en/kibana/current/rule-action-variables.html).
`alert.uuid` stays the same from an alert's start to its recovery; versions before 8.6 have none,
there the rule and the alert's name stand in. A watch never says that it is over
(https://www.elastic.co/guide/en/elasticsearch/reference/current/actions-webhook.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from notifier.domain.signal import (
    Condition,
    Evidence,
    Hook,
    Reading,
    Setup,
    Signal,
    severity_of,
)
from notifier.sources._canonical import filled, read_canonical
from notifier.sources._reading import (
    dig,
    first,
    labels_of,
    read_object,
    refuse,
    tags_of,
    time_of,
)
from notifier.sources._signing import unsigned

NAME = "kibana"
TITLE = "Elastic (Kibana, Watcher)"
SIGNS = False
EVIDENCE: Evidence = "fields"
verify = unsigned
SETUP = Setup(
    steps=(
        "In Kibana open Stack Management, Connectors, and create one of the type Webhook with the"
        " method POST and the address {url}.",
        "In each rule add an action with it, for each alert and on status changes, and paste the"
        " template below as its body.",
        "Add a second action that runs when Recovered, with the very same body: without it an end"
        " is never proposed.",
        "For Watcher: a webhook action to {url} with the body {{#toJson}}ctx{{/toJson}}.",
    ),
    template_name="the body of both actions",
    template="""\
{
  "dedup_key": "{{alert.uuid}}",
  "status": "{{alert.actionGroup}}",
  "title": "{{rule.name}}",
  "description": "{{context.reason}}{{context.message}}",
  "labels": {
    "rule": "{{rule.name}}",
    "rule_id": "{{rule.id}}",
    "rule_type": "{{rule.type}}",
    "alert": "{{alert.id}}",
    "space": "{{rule.spaceId}}",
    "tags": "{{rule.tags}}"
  },
  "url": "{{rule.url}}",
  "starts_at": "{{date}}"
}
""",
    notes=(
        "rule.url is empty until server.publicBaseUrl is set in kibana.yml.",
        "Summaries of alerts cannot be read: let the action run for each alert.",
        "Use two braces, not three: only then does Kibana write what JSON can hold.",
        "A watch has no recovery: its alerts end as no longer reported.",
    ),
    documents="https://www.elastic.co/guide/en/kibana/current/webhook-action-type.html",
)

_RECOVERED = "recovered"


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """What one alert of a rule, or a watch, says. Raises Unreadable."""
    body = read_object(hook)
    if watch := first(body.get("watch_id")):
        return Reading([_read_watch(watch, body, hook)])
    group = filled(body.get("status")).lower()
    key = filled(body.get("dedup_key")) or _old_key(body)
    if not group or not key:
        refuse("action group and id of an alert", of="Kibana")
    words = {
        "dedup_key": key,
        "status": Condition.RESOLVED if group == _RECOVERED else Condition.FIRING,
        "severity": first(filled(body.get("severity")), _severity(group)),
    }
    signal = read_canonical(body | words, hook)
    return Reading([_tagged(signal)] if signal else [])


def _old_key(body: dict[str, Any]) -> str:
    rule, alert = (filled(dig(body, "labels", name)) for name in ("rule_id", "alert"))
    return f"{rule}:{alert}" if rule and alert else ""


def _severity(group: str) -> str:
    """Groups are called "metrics.threshold.warning", "slo.burnRate.high", "query matched"."""
    word = group.rpartition(".")[2]
    return word if severity_of(word, default=None) else ""


def _tagged(signal: Signal) -> Signal:
    """Kibana writes a list of tags with commas."""
    labels = dict(signal.labels)
    return replace(signal, labels=labels_of(tags_of(labels.pop("tags", "")), labels))


def _read_watch(watch: str, body: dict[str, Any], hook: Hook) -> Signal:
    at = (
        time_of(body.get("execution_time"))
        or time_of(dig(body, "trigger", "triggered_time"))
        or hook.received_at
    )
    metadata = body.get("metadata")
    return Signal(
        key=watch,
        condition=Condition.FIRING,
        position=at,
        at=at,
        title=first(dig(metadata, "name"), watch),
        description=first(dig(metadata, "description")),
        severity=first(dig(metadata, "severity")),
        labels=labels_of(metadata, watch_id=watch),
    )
