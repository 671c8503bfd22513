"""New Relic: workflows with their default payload, and the alert channels they replaced.

https://docs.newrelic.com/docs/alerts/get-notified/notification-integrations/ (webhook). An issue
keeps its id and `createdAt` (milliseconds) from first to last. Whether somebody has taken it is
told by what triggered the notification, not by its state. The old bodies are about an
`incident_id` and have only the time of the event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
from notifier.sources._canonical import filled
from notifier.sources._reading import dig, first, labels_of, read_object, refuse, time_of
from notifier.sources._signing import unsigned

NAME = "newrelic"
TITLE = "New Relic"
SIGNS = False
EVIDENCE: Evidence = "documented"
verify = unsigned
SETUP = Setup(
    steps=(
        "In New Relic, open Alerts, Destinations, and add a Webhook with the endpoint URL {url}.",
        "Open Workflows, add one, choose the issues to send, and under Notify choose that webhook.",
        "Leave the default payload, or paste the one below, which is the same with the tags that"
        " are useful to route on.",
        "Under 'Notify when', leave Activated, Acknowledged, Closed and Priority changed on.",
    ),
    template_name="the payload template of the workflow",
    template="""\
{
  "id": {{ json issueId }},
  "issueUrl": {{ json issuePageUrl }},
  "title": {{ json annotations.title.[0] }},
  "priority": {{ json priority }},
  "impactedEntities": {{ json entitiesData.names }},
  "state": {{ json state }},
  "trigger": {{ json triggerEvent }},
  "createdAt": {{ createdAt }},
  "updatedAt": {{ updatedAt }},
  "alertPolicyNames": {{ json accumulations.policyName }},
  "alertConditionNames": {{ json accumulations.conditionName }},
  "workflowName": {{ json workflowName }}
}
""",
    notes=(
        "Keep 'id' in the payload: without it New Relic's issues cannot be told apart.",
        "New Relic sends nothing about issues for which Activated is not on.",
    ),
    documents="https://docs.newrelic.com/docs/alerts/get-notified/notification-integrations/",
)

#: DEACTIVATED is missing on purpose: the issue may still go on, and CLOSED follows if it does not.
_STATES = {
    "created": Condition.FIRING,
    "activated": Condition.FIRING,
    "acknowledged": Condition.ACKNOWLEDGED,
    "closed": Condition.RESOLVED,
}
_LEGACY_STATES = {
    "open": Condition.FIRING,
    "acknowledged": Condition.ACKNOWLEDGED,
    "closed": Condition.RESOLVED,
}
_LEGACY_TEST = "New Relic Alert - Test"


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """One signal. Raises Unreadable."""
    body = read_object(hook)
    if "current_state" in body:
        return _read_incident(body, hook)
    if "state" not in body:
        refuse("'state' and no 'current_state'", of="New Relic")
    return _read_issue(body, hook)


def _read_issue(body: dict[str, Any], hook: Hook) -> Reading:
    key = filled(body.get("id"))
    if not key:
        raise Unreadable(
            "The body has no 'id', so its issue cannot be told from others: add"
            ' "id": {{ json issueId }} to the payload template in New Relic.'
        )
    condition = _issue_condition(body)
    if condition is None:
        return Reading(ignored="the issue is neither open, nor acknowledged, nor closed")
    return Reading([_issue(body, key, condition, hook)])


def _issue_condition(body: dict[str, Any]) -> Condition | None:
    condition = _STATES.get(filled(body.get("state")).lower())
    taken = filled(body.get("trigger")).upper().endswith("_ACKNOWLEDGED")
    return Condition.ACKNOWLEDGED if taken and condition is Condition.FIRING else condition


def _issue(body: dict[str, Any], key: str, condition: Condition, hook: Hook) -> Signal:
    updated = time_of(body.get("updatedAt"), scale=1e3)
    start = time_of(body.get("createdAt"), scale=1e3) or updated or hook.received_at
    conditions = dig(body, "alertConditionNames", 0)
    return Signal(
        key=key,
        condition=condition,
        position=start,
        at=max(start, updated or start),
        title=first(filled(body.get("title")), conditions, "An issue without a title"),
        severity=filled(body.get("priority")),
        labels=labels_of(
            entity=dig(body, "impactedEntities", 0),
            policy=dig(body, "alertPolicyNames", 0),
            condition=conditions,
            workflow=body.get("workflowName"),
            priority=body.get("priority"),
        ),
        url=filled(body.get("issueUrl")),
    )


def _read_incident(body: dict[str, Any], hook: Hook) -> Reading:
    if first(body.get("policy_name"), body.get("condition_name")).startswith(_LEGACY_TEST):
        return Reading(ignored="a test of the notification channel")
    if not first(body.get("incident_id")):
        refuse("'incident_id'", of="New Relic")
    condition = _LEGACY_STATES.get(first(body.get("current_state")).lower())
    if condition is None:
        return Reading(ignored="the incident is neither open, nor acknowledged, nor closed")
    return Reading([_incident(body, condition, hook)])


def _incident(body: dict[str, Any], condition: Condition, hook: Hook) -> Signal:
    happened = time_of(body.get("timestamp"), scale=1e3) or hook.received_at
    return Signal(
        key=first(body["incident_id"]),
        condition=condition,
        position=happened,
        at=happened,
        title=first(body.get("condition_name"), body.get("details"), "An incident without a name"),
        description=first(body.get("details")),
        severity=first(body.get("severity")),
        labels=labels_of(
            dig(body, "targets", 0, "labels"),
            entity=dig(body, "targets", 0, "name"),
            policy=body.get("policy_name"),
            condition=body.get("condition_name"),
            account=body.get("account_name"),
        ),
        url=first(body.get("incident_url")),
    )
