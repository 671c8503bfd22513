"""Datadog's webhooks (https://docs.datadoghq.com/integrations/webhooks/).

The body is what the operator's template makes of Datadog's variables. The default one tells
neither the alert nor its state, so our template has to be pasted. Free text goes into the JSON as
it is: a quotation mark in it breaks the body, which is refused with the place of the mistake.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
from notifier.sources._canonical import filled, filled_labels
from notifier.sources._reading import dig, read_flat, tags_of, time_of
from notifier.sources._signing import unsigned

NAME = "datadog"
TITLE = "Datadog"
SIGNS = False
EVIDENCE: Evidence = "fields"
verify = unsigned
SETUP = Setup(
    steps=(
        "In Datadog, open Integrations, Webhooks, and add a webhook named notifier with the URL"
        " {url}.",
        "Replace what stands in Payload by the template below.",
        "Name @webhook-notifier in the message of each monitor that should tell us, outside of"
        " {{#is_alert}}, so that recoveries are sent too.",
    ),
    template_name="the webhook's Payload",
    template="""\
{
  "cycle_key": "$ALERT_CYCLE_KEY",
  "aggreg_key": "$AGGREG_KEY",
  "monitor_id": "$ALERT_ID",
  "scopes": "$ALERT_SCOPE",
  "alert_transition": "$ALERT_TRANSITION",
  "alert_type": "$ALERT_TYPE",
  "severity": "$ALERT_PRIORITY",
  "date": "$DATE",
  "url": "$LINK",
  "host": "$HOSTNAME",
  "tags": "$TAGS",
  "org": {"id": "$ORG_ID", "name": "$ORG_NAME"},
  "title": "$EVENT_TITLE",
  "body": "$TEXT_ONLY_MSG"
}
""",
    notes=(
        "If a monitor's message has quotation marks or line breaks in it, leave out the line"
        " with $TEXT_ONLY_MSG (and the comma before it): Datadog may put the text into the JSON"
        " as it is, and then the request is refused.",
        "An alert is known by $ALERT_CYCLE_KEY, which is one from the trigger to the recovery."
        " $ID would not do: it is another one each time.",
        "Datadog tries again only after an answer of 500 or above.",
    ),
    documents="https://docs.datadoghq.com/integrations/webhooks/",
)

_FIRING = ("triggered", "warn", "no data", "renotify")
_PRIORITY = re.compile(r"[Pp][1-5]")
_KEY_FIELDS = ("cycle_key", "aggreg_key", "monitor_id")


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """One signal. Raises Unreadable."""
    body = read_flat(hook)
    if "alert_transition" not in body:
        raise Unreadable(
            "The body has no 'alert_transition': replace the webhook's Payload in Datadog by the"
            " template that stands on this integration's page."
        )
    if filled(body.get("title")).upper().startswith("[TEST]"):
        return Reading(ignored="a test of the monitor's notifications")
    condition = _condition(filled(body["alert_transition"]))
    if condition is None:
        return Reading(ignored="not about an alert that begins or ends")
    return Reading([_signal(body, condition, hook)])


def _condition(transition: str) -> Condition | None:
    """Such as "Re-Triggered", "Warn", "Recovered" and "Recovered from No Data"."""
    word = transition.lower()
    if word.startswith("recovered"):
        return Condition.RESOLVED
    return Condition.FIRING if word.removeprefix("re-") in _FIRING else None


def _signal(body: dict[str, Any], condition: Condition, hook: Hook) -> Signal:
    happened = time_of(body.get("date"), scale=1e3) or hook.received_at
    key = _key(body)
    return Signal(
        key=key,
        condition=condition,
        position=happened,
        at=happened,
        title=filled(body.get("title")) or f"Datadog alert {key}",
        description=filled(body.get("body")),
        severity=_severity(body),
        labels=_labels(body),
        url=filled(body.get("url")),
    )


def _key(body: dict[str, Any]) -> str:
    cycle, group, monitor = (filled(body.get(field)) for field in _KEY_FIELDS)
    scope = filled(body.get("scopes"))
    key = cycle or group or (f"{monitor}:{scope}" if monitor else "")
    if not key:
        raise Unreadable("The body names no alert: 'cycle_key' is empty in it.")
    return key


def _severity(body: dict[str, Any]) -> str:
    """The monitor's priority; where it has none, the kind of the event (error or warning)."""
    priority, kind = filled(body.get("severity")), filled(body.get("alert_type"))
    if _PRIORITY.fullmatch(priority):
        return priority
    return kind if kind != "success" else ""


def _labels(body: dict[str, Any]) -> dict[str, str]:
    tags = tags_of(filled(body.get("scopes"))) | tags_of(filled(body.get("tags")))
    return filled_labels(
        tags,
        host=body.get("host"),
        monitor_id=body.get("monitor_id"),
        priority=body.get("severity"),
        org=dig(body, "org", "name"),
    )
