"""Opsgenie, and Jira Service Management, whose alerts are Opsgenie's.

https://support.atlassian.com/opsgenie/docs/opsgenie-edge-connector-alert-action-data/ and
https://support.atlassian.com/jira-service-management-cloud/docs/alert-action-data-for-jira-edge-connector/
list the actions. An alias is used again after an alert is closed; `createdAt` tells them apart.
It counts milliseconds and `updatedAt` nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from notifier.domain.signal import Condition, Evidence, Hook, Option, Reading, Setup, Signal
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

NAME = "opsgenie"
TITLE = "Opsgenie and Jira Service Management"
SIGNS = False
EVIDENCE: Evidence = "documented"
verify = unsigned
SETUP = Setup(
    steps=(
        "In Opsgenie, open Settings, Integrations, Webhook; in Jira Service Management, open"
        " Operations, Integrations, Webhook (outgoing).",
        "Enter {url} as webhook URL and, if you set a header secret here, the same header there.",
        "Choose the actions Create, Acknowledge, UnAcknowledge, Close, Delete and UpdatePriority.",
        "Tick 'Add alert description' and 'Add alert details' for more to route on, and turn the"
        " integration on.",
    ),
    notes=(
        "Alerts are known by their alias, which is the alert id where nobody sets one.",
        "Opsgenie cuts descriptions and details after 1,000 characters.",
    ),
    documents="https://support.atlassian.com/opsgenie/docs/integrate-opsgenie-with-webhook/",
)
OPTIONS = (
    Option(
        name="site",
        label="Address of your site",
        help="For the link back, since the tool sends none: https://app.opsgenie.com,"
        " https://app.eu.opsgenie.com or https://<your site>.atlassian.net. Empty: no link.",
    ),
)

_CONDITIONS = {
    "create": Condition.FIRING,
    "unacknowledge": Condition.FIRING,
    "updatepriority": Condition.FIRING,
    "acknowledge": Condition.ACKNOWLEDGED,
    "close": Condition.RESOLVED,
    "delete": Condition.RESOLVED,
}


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """The state of the alert after the action. Raises Unreadable."""
    body = read_object(hook)
    alert = body.get("alert")
    if not isinstance(alert, dict) or not first(alert.get("alias"), alert.get("alertId")):
        refuse("'alert.alias' and no 'alert.alertId'", of="Opsgenie")
    condition = _CONDITIONS.get(first(body.get("action")).lower())
    if condition is None:
        return Reading(ignored="an action that does not change how the alert is")
    return Reading([_signal(body, alert, condition, hook, options.get("site", ""))])


def _signal(
    body: dict[str, Any], alert: dict[str, Any], condition: Condition, hook: Hook, site: str
) -> Signal:
    updated = time_of(alert.get("updatedAt"), scale=1e9)
    start = time_of(alert.get("createdAt"), scale=1e3) or updated or hook.received_at
    key = first(alert.get("alias"), alert.get("alertId"))
    return Signal(
        key=key,
        condition=condition,
        position=start,
        at=_later(start, updated),
        title=first(alert.get("message"), key),
        description=first(alert.get("description")),
        severity=_priority(alert),
        labels=_labels(body, alert),
        url=_link(site, first(alert.get("alertId"))),
    )


def _later(start: datetime, updated: datetime | None) -> datetime:
    return max(start, updated or start)


def _priority(alert: dict[str, Any]) -> str:
    """ "P1" to "P5"; some bodies have the mere number."""
    word = first(alert.get("priority"))
    return f"P{word}" if word.isdecimal() else word


def _labels(body: dict[str, Any], alert: dict[str, Any]) -> dict[str, str]:
    return labels_of(
        alert.get("details"),
        tags_of(alert.get("tags")),
        entity=alert.get("entity"),
        source=alert.get("source"),
        priority=_priority(alert),
        team=dig(alert, "teams", 0),
        integration=body.get("integrationName"),
        tiny_id=alert.get("tinyId"),
    )


def _link(site: str, alert_id: str) -> str:
    base = site.strip().rstrip("/")
    if not base or not alert_id:
        return ""
    if base.endswith(".atlassian.net"):
        return f"{base}/jira/ops/alerts/{quote(alert_id, safe='')}"
    return f"{base}/alert/detail/{quote(alert_id, safe='')}/details"
