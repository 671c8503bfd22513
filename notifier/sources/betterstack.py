"""Better Stack (https://betterstack.com/docs/uptime/webhooks/): incidents, and status pages.

An incident comes as JSON:API does: `data` with an id and attributes. The attributes are those of
https://betterstack.com/docs/uptime/api/incidents-api-response-params; older bodies have no
`status` but say at the top which `event` it was. A status page sends other bodies, told apart by
`event_type` (https://betterstack.com/docs/uptime/subscribing-to-status-updates/
subscribing-with-webhooks). Such a report has no status of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
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

NAME = "betterstack"
TITLE = "Better Stack"
SIGNS = False
EVIDENCE: Evidence = "fields"
verify = unsigned
SETUP = Setup(
    steps=(
        "For incidents: in Better Stack open Integrations, Exporting data, and add an outgoing"
        " webhook of the type Incident with the address {url}.",
        "Let it call when an incident starts, is acknowledged and is resolved, and leave the body"
        " as it is.",
        "For a status page (of a supplier, say): on that page choose Get updates, Webhook, enter"
        " {url} and confirm the mail that follows.",
    ),
    notes=(
        "After 10 failed calls Better Stack ends the subscription to a status page and says so"
        " only by mail.",
        "A report on a status page does not say that it is over. We take it for over once it was"
        " updated and the page as a whole is operational again.",
        "Maintenance that is announced on a status page is ignored.",
    ),
    documents="https://betterstack.com/docs/uptime/webhooks/",
)

_CONDITIONS = {
    "started": Condition.FIRING,
    "validating": Condition.FIRING,
    "acknowledged": Condition.ACKNOWLEDGED,
    "resolved": Condition.RESOLVED,
}
_PAGE_SEVERITIES = {"downtime": "down", "degraded": "degraded"}
_WELL = "operational"


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """An incident, or what a status page reports. Raises Unreadable."""
    body = read_object(hook)
    kind = first(body.get("event_type"), hook.headers.get("x-betteruptime-event"))
    if kind:
        return _read_page(kind.lower(), body, hook)
    data = body.get("data")
    if not isinstance(data, dict) or not first(data.get("type")):
        refuse("object 'data' with a type", of="Better Stack")
    if data["type"] != "incident":
        return Reading(ignored="it is not about an incident")
    return _read_incident(data, first(body.get("event")), hook)


def _read_incident(data: dict[str, Any], event: str, hook: Hook) -> Reading:
    key, found = first(data.get("id")), data.get("attributes")
    if not key or not isinstance(found, dict):
        refuse("incident with an id and attributes", of="Better Stack")
    word = first(found.get("status"), event).lower()
    ended = time_of(found.get("resolved_at"))
    condition = Condition.RESOLVED if ended else _CONDITIONS.get(word)
    if condition is None:
        return Reading(ignored="the incident is not confirmed yet")
    start = time_of(found.get("started_at")) or ended or hook.received_at
    taken = time_of(found.get("acknowledged_at"))
    steps = {Condition.RESOLVED: ended, Condition.ACKNOWLEDGED: taken}
    signal = Signal(
        key=key,
        condition=condition,
        position=start,
        at=max(steps.get(condition) or start, start),
        title=first(found.get("name"), found.get("url"), "An incident without a name"),
        description=first(found.get("cause")),
        labels=_incident_labels(data, found),
    )
    return Reading([signal])


def _incident_labels(data: dict[str, Any], found: dict[str, Any]) -> dict[str, str]:
    return labels_of(
        name=found.get("name"),
        url=found.get("url"),
        team_name=found.get("team_name"),
        http_method=found.get("http_method"),
        monitor=dig(data, "relationships", "monitor", "data", "id"),
        heartbeat=dig(data, "relationships", "heartbeat", "data", "id"),
    )


def _read_page(kind: str, body: dict[str, Any], hook: Hook) -> Reading:
    if kind == "maintenance":
        return Reading(ignored="it announces maintenance")
    if kind == "incident":
        return _read_report(body, hook)
    if kind == "component_update":
        return _read_component(body, hook)
    return Reading(ignored="it is neither an incident nor an update of a component")


def _read_report(body: dict[str, Any], hook: Hook) -> Reading:
    report = body.get("incident")
    if not isinstance(report, dict) or not first(report.get("id")):
        refuse("'incident' with an id", of="a Better Stack status page")
    indicator = first(dig(body, "page", "status_indicator")).lower()
    start = time_of(report.get("created_at")) or hook.received_at
    changed = max(time_of(report.get("updated_at")) or start, start)
    updates = objects(report.get("incident_updates"))
    signal = Signal(
        key=_page_key(body, "incident", report),
        condition=_report_condition(report, indicator, start, changed),
        position=start,
        at=changed,
        title=first(report.get("name"), "A report without a name"),
        description=first(updates[0].get("body")) if updates else "",
        severity=_PAGE_SEVERITIES.get(indicator, ""),
        labels=_page_labels(body),
        url=first(report.get("shortlink")),
    )
    return Reading([signal])


def _report_condition(
    report: dict[str, Any], indicator: str, start: datetime, changed: datetime
) -> Condition:
    """What the report says, or what can be concluded: a new one on a page that is well is open."""
    said = first(report.get("status")).lower() == "resolved" or time_of(report.get("resolved_at"))
    over = said or (indicator == _WELL and changed > start)
    return Condition.RESOLVED if over else Condition.FIRING


def _read_component(body: dict[str, Any], hook: Hook) -> Reading:
    component = body.get("component")
    if not isinstance(component, dict) or not first(component.get("id")):
        refuse("'component' with an id", of="a Better Stack status page")
    status = first(dig(body, "component_update", "new_status"), component.get("status")).lower()
    if status != _WELL and status not in _PAGE_SEVERITIES:
        return Reading(ignored="the component is neither operational, nor degraded, nor down")
    at = (
        time_of(dig(body, "component_update", "created_at"))
        or time_of(component.get("updated_at"))
        or hook.received_at
    )
    name = first(component.get("name"), component.get("id"))
    signal = Signal(
        key=_page_key(body, "component", component),
        condition=Condition.RESOLVED if status == _WELL else Condition.FIRING,
        position=at,
        at=at,
        title=f"{name}: {status}",
        severity=_PAGE_SEVERITIES.get(status, ""),
        labels=_page_labels(body) | labels_of(component=name),
    )
    return Reading([signal])


def _page_key(body: dict[str, Any], kind: str, item: dict[str, Any]) -> str:
    return f"page:{first(dig(body, 'page', 'id'))}:{kind}:{first(item.get('id'))}"


def _page_labels(body: dict[str, Any]) -> dict[str, str]:
    return labels_of(
        page=dig(body, "page", "id"), status_indicator=dig(body, "page", "status_indicator")
    )
