"""A supplier's page on Atlassian Statuspage, as a notice about what ours depends on.

https://support.atlassian.com/statuspage/docs/enable-webhook-notifications/. Nothing is signed, and
what it says is a third party's text. `meta.unsubscribe` is a link that ends the subscription for
whoever opens it: it is read by nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifier.domain.signal import Condition, Evidence, Hook, Option, Reading, Setup, Signal
from notifier.domain.text import Invalid
from notifier.sources._reading import (
    dig,
    first,
    labels_of,
    objects,
    read_object,
    refuse,
    time_of,
)
from notifier.sources._signing import unsigned

NAME = "statuspage"
TITLE = "A supplier's Statuspage"
SIGNS = False
EVIDENCE: Evidence = "documented"
verify = unsigned
OPTIONS = (
    Option(
        "maintenance", "Maintenance", "The supplier's planned work: ignore or report.", "ignore"
    ),
)
SETUP = Setup(
    steps=(
        "Open the supplier's status page and choose Subscribe to Updates, Webhook.",
        "Enter {url} and an address that reads what goes wrong with the webhook.",
        "Choose the components that you depend on, if the page lets you.",
    ),
    notes=(
        "Statuspage signs nothing: look at the supplier's page before you post what it says here.",
        "The supplier's words are for you; write your own for your customers.",
        "An incident and a component's change are two alerts: rules join them by component.",
    ),
    documents="https://support.atlassian.com/statuspage/docs/enable-webhook-notifications/",
)

_REPORT = "report"
_INCIDENT_STATES = {
    "investigating": Condition.FIRING,
    "identified": Condition.FIRING,
    "monitoring": Condition.FIRING,
    "resolved": Condition.RESOLVED,
    "postmortem": Condition.RESOLVED,
}
_MAINTENANCE_STATES = {
    "in_progress": Condition.FIRING,
    "verifying": Condition.FIRING,
    "completed": Condition.RESOLVED,
}
_COMPONENT_SEVERITY = {
    "degraded_performance": "minor",
    "partial_outage": "major",
    "major_outage": "critical",
    "under_maintenance": "info",
}


def check_options(options: Mapping[str, str]) -> None:
    """Raises Invalid naming the option."""
    if options.get("maintenance", "ignore") not in ("ignore", _REPORT):
        raise Invalid("maintenance", "must be ignore or report")


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """The incident's or the component's signal. Raises Unreadable."""
    body = read_object(hook)
    page = first(dig(body, "page", "id"))
    if not page:
        refuse("'page' with an 'id'", of="Statuspage")
    maintained = options.get("maintenance", "ignore") == _REPORT
    if isinstance(body.get("incident"), dict):
        return _read_incident(body["incident"], page, hook, maintained=maintained)
    if not isinstance(body.get("component_update"), dict):
        refuse("'incident' or 'component_update'", of="Statuspage")
    return _read_component(body, page, hook, maintained=maintained)


def _read_incident(incident: dict[str, Any], page: str, hook: Hook, *, maintained: bool) -> Reading:
    number, status = first(incident.get("id")), first(incident.get("status")).lower()
    if not number:
        refuse("'id' in its incident", of="Statuspage")
    if incident.get("backfilled") is True:
        return Reading(ignored="the incident was entered afterwards")
    condition = _INCIDENT_STATES.get(status) or (
        _MAINTENANCE_STATES.get(status) if maintained else None
    )
    if condition is None:
        return Reading(ignored=f"the supplier's work or incident is {status[:50] or 'in no state'}")
    start = time_of(incident.get("created_at")) or hook.received_at
    end = time_of(incident.get("resolved_at")) or time_of(incident.get("updated_at"))
    impact = first(incident.get("impact")).lower()
    signal = Signal(
        key=f"{page}/{number}",
        condition=condition,
        position=start,
        at=end or start if condition is Condition.RESOLVED else start,
        title=first(incident.get("name"), "An incident without a name"),
        description=first(dig(incident, "incident_updates", 0, "body")),
        severity="info" if impact == "maintenance" else impact,
        labels=labels_of(
            page=page,
            status=status,
            impact=impact,
            components=", ".join(first(c.get("name")) for c in objects(incident.get("components"))),
        ),
        url=first(incident.get("shortlink")),
    )
    return Reading((signal,))


def _read_component(body: dict[str, Any], page: str, hook: Hook, *, maintained: bool) -> Reading:
    update, component = body["component_update"], body.get("component")
    number = first(dig(component, "id"), update.get("component_id"))
    status = first(update.get("new_status")).lower()
    if not number or not status:
        refuse("component's 'id' and 'new_status'", of="Statuspage")
    if status == "under_maintenance" and not maintained:
        return Reading(ignored="the supplier's component is under planned maintenance")
    if status != "operational" and status not in _COMPONENT_SEVERITY:
        return Reading(ignored=f"we do not know the component's state {status[:50]!r}")
    name = first(dig(component, "name"), number)
    at = time_of(update.get("created_at")) or hook.received_at
    signal = Signal(
        key=f"{page}/component/{number}",
        condition=Condition.RESOLVED if status == "operational" else Condition.FIRING,
        position=at,
        at=at,
        title=f"{name}: {status.replace('_', ' ')}",
        severity=_COMPONENT_SEVERITY.get(status, ""),
        labels=labels_of(
            page=page,
            component=name,
            status=status,
            group=dig(component, "group_id"),
        ),
    )
    return Reading((signal,))
