"""PagerDuty's webhooks, version 3 (https://developer.pagerduty.com/docs/webhooks-overview).

One event about one incident in each request. An incident may be reopened under its old id, so
events are put in order by the time they happened and not by the incident's start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifier.domain.signal import (
    Annotation,
    Condition,
    Evidence,
    Hook,
    Reading,
    Secrets,
    Setup,
    Signal,
)
from notifier.sources._reading import dig, first, labels_of, read_object, refuse, time_of
from notifier.sources._signing import check_hmac

NAME = "pagerduty"
TITLE = "PagerDuty (webhooks)"
SIGNS = True
EVIDENCE: Evidence = "documented"
SETUP = Setup(
    steps=(
        "In PagerDuty, open Integrations, Generic Webhooks (v3) and add one with the URL {url}.",
        "Choose the service, team or account, and the events incident.triggered, acknowledged,"
        " unacknowledged, reopened, priority_updated, resolved and status_update_published.",
        "Copy the signing secret, which is shown once, and enter it here.",
        "Press Send Test Event: it is understood and ignored.",
    ),
    notes=(
        "PagerDuty turns a webhook off for a day after three deliveries that fail for good.",
        "A high urgency counts as critical where an incident has no priority.",
        "A published status update is shown beside the incident; customers never see it by itself.",
    ),
    documents="https://developer.pagerduty.com/docs/webhooks-overview",
)

_BY_EVENT = {
    "incident.triggered": Condition.FIRING,
    "incident.unacknowledged": Condition.FIRING,
    "incident.reopened": Condition.FIRING,
    "incident.acknowledged": Condition.ACKNOWLEDGED,
    "incident.resolved": Condition.RESOLVED,
}
_BY_STATUS = {
    "triggered": Condition.FIRING,
    "acknowledged": Condition.ACKNOWLEDGED,
    "resolved": Condition.RESOLVED,
}
#: "high" alone would read as the second of our levels, but PagerDuty knows nothing above it.
_URGENCIES = {"high": "urgent"}


def verify(hook: Hook, secrets: Secrets) -> None:
    """X-PagerDuty-Signature: "v1=<hex>,v1=<hex>" while a secret is replaced. Raises Untrusted."""
    parts = [part.strip() for part in hook.headers.get("x-pagerduty-signature", "").split(",")]
    given = [part.removeprefix("v1=") for part in parts if part.startswith("v1=")]
    check_hmac(given, hook.body, secrets.signing)


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """The state of the incident after the event. Raises Unreadable."""
    event = dig(read_object(hook), "event")
    kind = first(dig(event, "event_type"))
    if not kind:
        refuse("'event.event_type'", of="PagerDuty")
    if kind == "pagey.ping":
        return Reading(ignored="a test event")
    if kind == "incident.status_update_published":
        return Reading(annotations=[_status_update(event, hook)])
    return _read_incident(event, kind, hook)


def _read_incident(event: dict[str, Any], kind: str, hook: Hook) -> Reading:
    if not kind.startswith("incident."):
        return Reading(ignored="an event that is not about an incident")
    data = event.get("data")
    if not isinstance(data, dict) or not first(data.get("id")):
        refuse("'event.data.id'", of="PagerDuty")
    condition = _BY_EVENT.get(kind) or _BY_STATUS.get(first(data.get("status")))
    if first(data.get("type")) not in ("", "incident") or condition is None:
        return Reading(ignored="an event that does not tell how an incident is")
    return Reading([_signal(event, data, condition, hook)])


def _signal(
    event: dict[str, Any], data: dict[str, Any], condition: Condition, hook: Hook
) -> Signal:
    happened = time_of(event.get("occurred_at")) or hook.received_at
    urgency = first(data.get("urgency"))
    return Signal(
        key=first(data["id"]),
        condition=condition,
        position=happened,
        at=happened,
        title=first(data.get("title"), data.get("summary"), "An incident without a title"),
        severity=first(dig(data, "priority", "summary"), _URGENCIES.get(urgency), urgency),
        labels=_labels(data),
        url=first(data.get("html_url")),
    )


def _labels(data: dict[str, Any]) -> dict[str, str]:
    return labels_of(
        service=dig(data, "service", "summary"),
        service_id=dig(data, "service", "id"),
        team=dig(data, "teams", 0, "summary"),
        escalation_policy=dig(data, "escalation_policy", "summary"),
        priority=dig(data, "priority", "summary"),
        urgency=data.get("urgency"),
        number=data.get("number"),
    )


def _status_update(event: dict[str, Any], hook: Hook) -> Annotation:
    data = event.get("data")
    key = first(event.get("id"), dig(data, "id"))
    if not key:
        refuse("'event.id'", of="PagerDuty")
    return Annotation(
        key=key,
        at=time_of(event.get("occurred_at")) or hook.received_at,
        title=first(dig(data, "message"), "A status update without a text"),
        url=first(dig(data, "incident", "html_url")),
        labels=labels_of(
            incident=dig(data, "incident", "id"),
            incident_title=dig(data, "incident", "summary"),
        ),
    )
