"""Dynatrace (https://docs.dynatrace.com/docs/analyze-explore-automate/notifications-and-alerting/
problem-notifications/webhook-integration).

The body is a template of {Placeholders}. Ours writes our schema with Dynatrace's own words in it;
Dynatrace's default body is read as well. {PID} is one problem's own from open to resolved, while
{ProblemID} is only its number on display. There is no placeholder for a time, but the second half
of a PID is the time at which the problem began, in milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
from notifier.sources._canonical import filled, read_canonical
from notifier.sources._reading import dig, first, labels_of, read_object, refuse, tags_of, time_of
from notifier.sources._signing import unsigned

NAME = "dynatrace"
TITLE = "Dynatrace"
SIGNS = False
EVIDENCE: Evidence = "documented"
verify = unsigned
SETUP = Setup(
    steps=(
        "In Dynatrace open Settings, Integration, Problem notifications, add one of the type"
        " Custom integration and enter {url} as the webhook URL.",
        "Replace the custom payload by the template below.",
        "Switch on that it is also called when a problem is closed.",
    ),
    template_name="the custom payload",
    template="""\
{
  "dedup_key": "{PID}",
  "status": "{State}",
  "severity": "{ProblemSeverity}",
  "title": "{ProblemTitle}",
  "component": "{ImpactedEntity}",
  "labels": {
    "problem": "{ProblemID}",
    "impact": "{ProblemImpact}",
    "impacted_entities": "{NamesOfImpactedEntities}",
    "tags": "{Tags}"
  },
  "url": "{ProblemURL}"
}
""",
    notes=(
        "{ProblemDetailsText} is left out on purpose: it has several lines, and a quotation mark"
        " in it would make the body unreadable.",
        "A problem that is merged into another one is ignored: the other one goes on, and is told"
        " by itself.",
    ),
    documents="https://docs.dynatrace.com/docs/analyze-explore-automate/notifications-and-alerting/"
    "problem-notifications/webhook-integration",
)

_CONDITIONS = {"OPEN": Condition.FIRING, "RESOLVED": Condition.RESOLVED}
#: For the words of Dynatrace's that `severity_of` does not know.
_SEVERITIES = {"RESOURCE_CONTENTION": "warning", "MONITORING_UNAVAILABLE": "info"}
_TEST = "Dynatrace problem notification test run"
_STARTED = re.compile(r"_(\d{13})V2$")


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """What became of a problem. Raises Unreadable."""
    given = read_object(hook)
    body = _in_our_schema(given) if "State" in given else given
    key, state = filled(body.get("dedup_key")), filled(body.get("status")).upper()
    if not key or not state:
        refuse("state and PID of a problem", of="Dynatrace")
    if filled(body.get("title")) == _TEST:
        return Reading(ignored="it is Dynatrace's test notification")
    if state not in _CONDITIONS:
        return Reading(ignored="the problem was neither opened nor closed")
    severity = filled(body.get("severity")).upper()
    words = {
        "status": _CONDITIONS[state],
        "severity": _SEVERITIES.get(severity, severity),
        "starts_at": _start(key, given),
    }
    signal = read_canonical(body | words, hook)
    return Reading([_tagged(signal, hook)] if signal else [])


def _in_our_schema(body: dict[str, Any]) -> dict[str, Any]:
    """The default body, whose names are Dynatrace's placeholders."""
    return {
        "dedup_key": first(filled(body.get("PID")), filled(body.get("ProblemID"))),
        "status": body.get("State"),
        "severity": body.get("ProblemSeverity"),
        "title": body.get("ProblemTitle"),
        "description": first(filled(body.get("ProblemDetails")), body.get("ProblemDetailsText")),
        "component": body.get("ImpactedEntity"),
        "labels": {
            "problem": body.get("ProblemID"),
            "impact": body.get("ProblemImpact"),
            "impacted_entities": first(
                filled(body.get("NamesOfImpactedEntities")), body.get("ImpactedEntityNames")
            ),
            "tags": body.get("Tags"),
        },
        "url": first(body.get("ProblemURL"), body.get("Problem URL")),
        "ends_at": _milliseconds(dig(body, "ProblemDetailsJSON", "endTime")),
    }


def _start(key: str, given: dict[str, Any]) -> str:
    began = _STARTED.search(key)
    return (
        _milliseconds(began[1])
        if began
        else _milliseconds(dig(given, "ProblemDetailsJSON", "startTime"))
    )


def _milliseconds(value: object) -> str:
    """A time in our schema's spelling, or "" (-1 stands for the end of what is still open)."""
    found = time_of(value, scale=1000)
    return found.isoformat() if found else ""


def _tagged(signal: Signal, hook: Hook) -> Signal:
    """Tags are labels of their own; a close happened when it was told, if nothing says when."""
    labels = dict(signal.labels)
    over = signal.condition is Condition.RESOLVED and signal.at == signal.position
    return replace(
        signal,
        at=max(hook.received_at, signal.at) if over else signal.at,
        labels=labels_of(tags_of(labels.pop("tags", "")), labels),
    )
