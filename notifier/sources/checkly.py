"""Checkly (https://www.checklyhq.com/docs/integrations/alerts/webhooks.md).

The body is a Handlebars template of the operator's. Ours writes our schema with Checkly's own
words in it; the body that Keep tells its users to paste is read as well. CHECK_ID is the same for
every alert of a check. The kinds of alert are those of
https://www.checklyhq.com/docs/alerting-and-retries/alert-states/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from html import unescape
from typing import Any

from notifier.domain.signal import Condition, Evidence, Hook, Reading, Secrets, Setup, Signal
from notifier.sources._canonical import filled, read_canonical
from notifier.sources._reading import first, labels_of, read_object, refuse, tags_of
from notifier.sources._signing import check_hmac

NAME = "checkly"
TITLE = "Checkly"
SIGNS = True
EVIDENCE: Evidence = "documented"
SETUP = Setup(
    steps=(
        "In Checkly open Alerts, add an alert channel of the type Webhook, with the method POST"
        " and the address {url}.",
        "Replace the body by the template below.",
        "Make up a webhook secret, enter it there and as this integration's signing secret.",
        "Let the channel send failures, degradations and recoveries, and subscribe your checks.",
    ),
    template_name="the body of the webhook",
    template="""\
{
  "dedup_key": "{{CHECK_ID}}",
  "status": "{{ALERT_TYPE}}",
  "title": "{{ALERT_TITLE}}",
  "component": "{{CHECK_NAME}}",
  "labels": {
    "check_name": "{{CHECK_NAME}}",
    "check_type": "{{CHECK_TYPE}}",
    "group_name": "{{GROUP_NAME}}",
    "run_location": "{{RUN_LOCATION}}",
    "tags": "{{TAGS}}"
  },
  "url": "{{{RESULT_LINK}}}",
  "starts_at": "{{STARTED_AT}}"
}
""",
    notes=(
        "Notices about certificates that run out are ignored.",
        "{{CHECK_ERROR_MESSAGE}} is left out on purpose: that of a browser check has many lines,"
        " which would make the body unreadable just when the check fails.",
    ),
    documents="https://www.checklyhq.com/docs/integrations/alerts/webhooks.md",
)

#: For each kind of alert: what it says, and what it is worth.
_KINDS = {
    "ALERT_FAILURE": (Condition.FIRING, "error"),
    "ALERT_FAILURE_REMAIN": (Condition.FIRING, "error"),
    "ALERT_DEGRADED_FAILURE": (Condition.FIRING, "error"),
    "ALERT_DEGRADED": (Condition.FIRING, "degraded"),
    "ALERT_DEGRADED_REMAIN": (Condition.FIRING, "degraded"),
    "ALERT_FAILURE_DEGRADED": (Condition.FIRING, "degraded"),
    "ALERT_RECOVERY": (Condition.RESOLVED, ""),
    "ALERT_DEGRADED_RECOVERY": (Condition.RESOLVED, ""),
}


def verify(hook: Hook, secrets: Secrets) -> None:
    """The header is the HMAC-SHA256 of the body, in hexadecimal. Raises Untrusted."""
    check_hmac([hook.headers.get("x-checkly-signature", "")], hook.body, secrets.signing)


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """What became of a check. Raises Unreadable."""
    body = _in_our_schema(read_object(hook))
    kind = filled(body.get("status"))
    if not kind or not filled(body.get("dedup_key")):
        refuse("kind of alert and check id", of="Checkly")
    if kind not in _KINDS:
        return Reading(ignored="it is no alert about a failure or a recovery")
    condition, severity = _KINDS[kind]
    signal = read_canonical(body | {"status": condition, "severity": severity}, hook)
    return Reading([_readable(signal)] if signal else [])


def _in_our_schema(body: dict[str, Any]) -> dict[str, Any]:
    """The body itself, or the one that Keep's template makes, in our schema."""
    if "alert_type" not in body:
        return body
    names = ("check_name", "check_type", "group_name", "run_location", "region", "tags")
    return {
        "dedup_key": body.get("check_id"),
        "status": body.get("alert_type"),
        "title": first(body.get("event"), body.get("check_name")),
        "description": body.get("check_error_message"),
        "component": body.get("check_name"),
        "labels": {name: body.get(name) for name in names},
        "url": body.get("link"),
        "starts_at": body.get("started_at"),
    }


def _readable(signal: Signal) -> Signal:
    """Handlebars has written text for HTML (&quot; and such); tags are labels of their own."""
    labels = {name: unescape(value) for name, value in signal.labels.items()}
    return replace(
        signal,
        title=unescape(signal.title),
        description=unescape(signal.description),
        labels=labels_of(tags_of(labels.pop("tags", "")), labels),
        url=unescape(signal.url),
    )
