"""Sentry's integration platform
(https://docs.sentry.io/organization/integrations/integration-platform/webhooks/).

Three kinds of request are read. A metric alert ends by itself and keeps its id and start. An issue
is created, resolved, and unresolved again under one id, so its events are put in order by the time
they were sent. An issue alert ("event_alert") never ends: it is about an issue, whose resolving
ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from notifier.domain.signal import Condition, Evidence, Hook, Reading, Secrets, Setup, Signal
from notifier.sources._reading import dig, first, labels_of, read_object, refuse, text, time_of
from notifier.sources._signing import check_hmac

NAME = "sentry"
TITLE = "Sentry"
SIGNS = True
EVIDENCE: Evidence = "documented"
SETUP = Setup(
    steps=(
        "In Sentry, open Settings, Custom Integrations, create an internal integration with the"
        " webhook URL {url} and turn on 'Alert Rule Action'.",
        "Give it 'Issue & Event: Read', and under Webhooks tick 'issue'.",
        "Copy the client secret and enter it here as signing secret.",
        "In your alert rules, add the action 'Send a notification via' this integration.",
    ),
    notes=(
        "An issue alert never says that it is over. Resolve the issue in Sentry, or the alert"
        " becomes 'no longer reported' after a while.",
        "With 'issue' ticked, every new issue of the organisation is an alert: route by project"
        " and level.",
        "Sentry sends each request once. What is lost on the way stays lost.",
    ),
    documents="https://docs.sentry.io/organization/integrations/integration-platform/webhooks/",
)

_METRIC_CONDITIONS = {
    "critical": Condition.FIRING,
    "warning": Condition.FIRING,
    "resolved": Condition.RESOLVED,
}
_ISSUE_CONDITIONS = {
    "created": Condition.FIRING,
    "unresolved": Condition.FIRING,
    "assigned": Condition.ACKNOWLEDGED,
    "resolved": Condition.RESOLVED,
}


def verify(hook: Hook, secrets: Secrets) -> None:
    """Sentry-Hook-Signature: hexadecimal HMAC-SHA256 of the body. Raises Untrusted."""
    check_hmac([hook.headers.get("sentry-hook-signature", "")], hook.body, secrets.signing)


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """One signal. Raises Unreadable."""
    body = read_object(hook)
    action, data = first(body.get("action")), body.get("data")
    if not action or not isinstance(data, dict):
        refuse("'action' and 'data'", of="Sentry")
    reader = _READERS.get(_resource(hook, data))
    if reader is None:
        return Reading(ignored="neither an issue nor an alert")
    return reader(action, data, hook)


def _resource(hook: Hook, data: Mapping[str, object]) -> str:
    """What the request is about: a header says so, else what the body holds."""
    named = hook.headers.get("sentry-hook-resource", "").strip()
    held = {"metric_alert": "metric_alert", "event": "event_alert", "issue": "issue"}
    return named or next((held[field] for field in held if field in data), "")


def _read_metric_alert(action: str, data: dict[str, Any], hook: Hook) -> Reading:
    condition = _METRIC_CONDITIONS.get(action)
    if condition is None:
        return Reading(ignored="a metric alert that neither fires nor is over")
    alert = data.get("metric_alert")
    start = time_of(dig(alert, "date_started")) or _sent_at(hook)
    signal = Signal(
        key=_metric_alert_key(alert),
        condition=condition,
        position=start,
        at=max(start, _sent_at(hook)),
        title=first(data.get("description_title"), dig(alert, "title"), "A metric alert"),
        description=first(data.get("description_text")),
        severity=action if condition is Condition.FIRING else "",
        labels=labels_of(
            project=dig(alert, "projects", 0),
            rule=dig(alert, "alert_rule", "name"),
            environment=dig(alert, "alert_rule", "environment"),
            dataset=dig(alert, "alert_rule", "dataset"),
        ),
        url=first(data.get("web_url")),
    )
    return Reading([signal])


def _metric_alert_key(alert: object) -> str:
    """Alerts and issues are numbered apart from each other, so the number alone is no key."""
    if number := first(dig(alert, "id")):
        return f"metric_alert:{number}"
    rule, project = first(dig(alert, "alert_rule", "id")), first(dig(alert, "projects", 0))
    if not rule:
        refuse("'data.metric_alert.id'", of="Sentry")
    return f"alert_rule:{rule}:{project}"


def _read_issue(action: str, data: dict[str, Any], hook: Hook) -> Reading:
    condition = _ISSUE_CONDITIONS.get(action)
    if condition is None:  # archived or ignored: nobody looks, which does not mean it is over
        return Reading(ignored="the issue was neither opened, nor taken, nor resolved")
    issue = data.get("issue")
    sent = _sent_at(hook)
    signal = Signal(
        key=_issue_key(dig(issue, "id"), "data.issue.id"),
        condition=condition,
        position=sent,
        at=sent,
        title=first(dig(issue, "title"), "An issue without a title"),
        description=first(dig(issue, "metadata", "value"), dig(issue, "culprit")),
        severity=first(dig(issue, "level")),
        labels=labels_of(
            project=dig(issue, "project", "slug"),
            level=dig(issue, "level"),
            platform=dig(issue, "platform"),
            culprit=dig(issue, "culprit"),
            short_id=dig(issue, "shortId"),
            category=dig(issue, "issueCategory"),
            priority=dig(issue, "priority"),
        ),
        url=first(dig(issue, "permalink"), dig(issue, "web_url")),
    )
    return Reading([signal])


def _read_event_alert(action: str, data: dict[str, Any], hook: Hook) -> Reading:
    event = data.get("event")
    happened = _happened(event, hook)
    signal = Signal(
        key=_issue_key(dig(event, "issue_id"), "data.event.issue_id"),
        condition=Condition.FIRING,
        position=happened,
        at=happened,
        title=first(dig(event, "title"), dig(event, "message"), "An event without a title"),
        description=first(dig(event, "culprit"), dig(event, "location")),
        severity=first(dig(event, "level")),
        labels=labels_of(
            _pairs(dig(event, "tags")),
            rule=data.get("triggered_rule"),
            level=dig(event, "level"),
            platform=dig(event, "platform"),
            environment=dig(event, "environment"),
            project_id=dig(event, "project"),
        ),
        url=first(dig(event, "web_url")),
    )
    return Reading([signal])


def _issue_key(number: object, field: str) -> str:
    found = first(number)
    if not found:
        refuse(f"'{field}'", of="Sentry")
    return f"issue:{found}"


def _happened(event: object, hook: Hook) -> datetime:
    """An application's clock may be fast, and must not put its alert after the issue's end."""
    given = time_of(dig(event, "datetime"))
    return min(given or _sent_at(hook), _sent_at(hook))


def _sent_at(hook: Hook) -> datetime:
    return time_of(hook.headers.get("sentry-hook-timestamp", "")) or hook.received_at


def _pairs(tags: object) -> dict[str, str]:
    """Tags as Sentry writes them: [["browser", "Firefox 128"], ...]."""
    listed = tags if isinstance(tags, list) else []
    return {text(dig(tag, 0)): text(dig(tag, 1)) for tag in listed}


_READERS: Mapping[str, Callable[[str, dict[str, Any], Hook], Reading]] = {
    "metric_alert": _read_metric_alert,
    "issue": _read_issue,
    "event_alert": _read_event_alert,
}
