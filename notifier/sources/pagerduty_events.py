"""PagerDuty's Events API v2, spoken to us (https://developer.pagerduty.com/docs/events-api-v2-overview).

Many tools can send it to an address of one's choice, so it serves as a common tongue: `trigger`,
`acknowledge` and `resolve` about a `dedup_key`. Only a trigger has to have a `payload`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
from notifier.sources._reading import dig, first, labels_of, read_object, refuse, time_of
from notifier.sources._signing import unsigned

NAME = "pagerduty_events"
TITLE = "PagerDuty Events API v2 (a tool that speaks it)"
SIGNS = False
EVIDENCE: Evidence = "fields"
verify = unsigned
SETUP = Setup(
    steps=(
        "In the tool that speaks the PagerDuty Events API v2, set the address to {url} instead of"
        " https://events.pagerduty.com/v2/enqueue.",
        "Enter anything as routing key: it is neither used nor kept.",
        "To try it by hand, run the command below.",
    ),
    template_name="a shell script",
    template="""\
curl -fsS --retry 3 -H 'Content-Type: application/json' '{url}' -d '{
  "routing_key": "unused",
  "event_action": "trigger",
  "dedup_key": "sign-in-errors",
  "payload": {
    "summary": "More than 5% of sign-ins fail",
    "source": "sign-in-1.example.com",
    "severity": "critical",
    "component": "sign-in"
  }
}'
""",
    notes=(
        "PagerDuty invents a dedup_key where a trigger has none. We cannot tell it to your tool,"
        " so such a trigger is known by its source and summary, and a resolve needs the key.",
    ),
    documents="https://developer.pagerduty.com/docs/events-api-v2-overview",
)

_CONDITIONS = {
    "trigger": Condition.FIRING,
    "acknowledge": Condition.ACKNOWLEDGED,
    "resolve": Condition.RESOLVED,
}


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """One signal. Raises Unreadable."""
    body = read_object(hook)
    condition = _CONDITIONS.get(first(body.get("event_action")).lower())
    if condition is None:
        refuse("'event_action' of trigger, acknowledge or resolve", of="the Events API v2")
    return Reading([_signal(body, condition, hook)])


def _signal(body: dict[str, Any], condition: Condition, hook: Hook) -> Signal:
    payload = body.get("payload")
    key = first(body.get("dedup_key")) or _own_key(payload, condition)
    happened = _happened(payload, condition, hook)
    return Signal(
        key=key,
        condition=condition,
        position=happened,
        at=happened,
        title=first(dig(payload, "summary"), key),
        description=first(dig(payload, "custom_details")),
        severity=first(dig(payload, "severity")),
        labels=_labels(body, payload),
        url=first(dig(body, "links", 0, "href"), body.get("client_url")),
    )


def _own_key(payload: object, condition: Condition) -> str:
    summary = first(dig(payload, "summary"))
    if condition is not Condition.FIRING or not summary:
        refuse("'dedup_key'", of="the Events API v2")
    return f"{first(dig(payload, 'source'))}: {summary}"


def _happened(payload: object, condition: Condition, hook: Hook) -> datetime:
    """A resolve has no time of its own, so a trigger from a clock that is fast counts as now."""
    given = time_of(dig(payload, "timestamp")) if condition is Condition.FIRING else None
    return min(given or hook.received_at, hook.received_at)


def _labels(body: dict[str, Any], payload: object) -> dict[str, str]:
    return labels_of(
        dig(payload, "custom_details"),
        source=dig(payload, "source"),
        component=dig(payload, "component"),
        group=dig(payload, "group"),
        **{"class": dig(payload, "class")},
        client=body.get("client"),
    )
