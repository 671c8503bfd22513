"""Google Cloud Monitoring, versions 1.1 and 1.2 of its body
(https://cloud.google.com/monitoring/support/notification-options#webhooks).

An incident keeps its id and `started_at` (seconds) until it is closed. Version 1.2 adds a severity
and labels; the case of `state` differs between bodies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
from notifier.sources._reading import dig, first, labels_of, read_object, refuse, time_of
from notifier.sources._signing import unsigned

NAME = "google_cloud_monitoring"
TITLE = "Google Cloud Monitoring"
SIGNS = False
EVIDENCE: Evidence = "documented"
verify = unsigned
SETUP = Setup(
    steps=(
        "In the Google Cloud console, open Monitoring, Alerting, Edit notification channels, and"
        " add a webhook with the endpoint URL {url}.",
        "Name the channel in your alerting policies, and tick 'Notify on incident closure'.",
    ),
    notes=(
        "Google sends no headers of your choice: leave the header secret of this integration"
        " empty. The key in the address lets it in.",
        "'Test connection' is understood and ignored.",
        "Give your policies a severity level, or the integration's own severity counts.",
    ),
    documents="https://cloud.google.com/monitoring/support/notification-options",
)

_CONDITIONS = {
    "open": Condition.FIRING,
    "acknowledged": Condition.ACKNOWLEDGED,
    "closed": Condition.RESOLVED,
}


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """One signal. Raises Unreadable."""
    body = read_object(hook)
    incident = body.get("incident")
    if not isinstance(incident, dict) or not first(incident.get("incident_id")):
        refuse("'incident.incident_id'", of="Google Cloud Monitoring")
    if first(body.get("version")) == "test":
        return Reading(ignored="a test of the notification channel")
    condition = _CONDITIONS.get(first(incident.get("state")).lower())
    if condition is None:
        return Reading(ignored="the incident is neither open nor closed")
    return Reading([_signal(incident, condition, hook)])


def _signal(incident: dict[str, Any], condition: Condition, hook: Hook) -> Signal:
    ended = time_of(incident.get("ended_at"))
    start = time_of(incident.get("started_at")) or ended or hook.received_at
    summary = first(incident.get("summary"))
    return Signal(
        key=first(incident["incident_id"]),
        condition=condition,
        position=start,
        at=max(start, ended or start),
        title=first(incident.get("policy_name"), incident.get("condition_name"), summary)
        or "An incident without a name",
        description=summary,
        severity=_severity(incident),
        labels=_labels(incident),
        url=first(incident.get("url")),
    )


def _severity(incident: dict[str, Any]) -> str:
    word = first(incident.get("severity"))
    return "" if word.lower() == "no severity" else word


def _labels(incident: dict[str, Any]) -> dict[str, str]:
    return labels_of(
        dig(incident, "metric", "labels"),
        dig(incident, "resource", "labels"),
        dig(incident, "metadata", "user_labels"),
        incident.get("policy_user_labels"),
        policy=incident.get("policy_name"),
        condition=incident.get("condition_name"),
        resource=incident.get("resource_name"),
        resource_type=first(
            dig(incident, "resource", "type"), incident.get("resource_type_display_name")
        ),
        project=incident.get("scoping_project_id"),
    )
