"""Splunk Observability Cloud (formerly SignalFx): a detector's webhook.

The body's fields: https://docs.splunk.com/observability/admin/notif-services/webhook.html; its
signature: https://dev.splunk.com/observability/docs/integrations/webhook_integration_overview.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifier.domain.signal import Condition, Evidence, Hook, Reading, Secrets, Setup, Signal
from notifier.sources._reading import first, labels_of, read_object, refuse, time_of
from notifier.sources._signing import check_hmac, in_base64

NAME = "splunk_observability"
TITLE = "Splunk Observability Cloud"
SIGNS = True
EVIDENCE: Evidence = "documented"
SETUP = Setup(
    steps=(
        "In Data Management, Add Integration, choose Webhook.",
        "URL: {url}. Method: POST. Shared secret: this integration's signing secret.",
        "Leave the message as it is, and add the integration as a recipient of the detector's"
        " rule.",
    ),
    notes=(
        "A detector that is edited or deleted while it fires sends an end that says nothing about"
        " the service; the alert is then shown as no longer reported.",
    ),
    documents="https://docs.splunk.com/observability/admin/notif-services/webhook.html",
)

_CONDITIONS = {
    "anomalous": Condition.FIRING,
    "ok": Condition.RESOLVED,
    "manually resolved": Condition.RESOLVED,
}


def verify(hook: Hook, secrets: Secrets) -> None:
    """X-SFX-Signature: the HMAC-SHA256 of the body in base64. Raises Untrusted."""
    given = hook.headers.get("x-sfx-signature", "")
    check_hmac([given], hook.body, secrets.signing, write=in_base64)


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """The incident's signal. Raises Unreadable."""
    body = read_object(hook)
    key = first(body.get("incidentId"))
    status = first(body.get("statusExtended"), body.get("status")).lower()
    if not key or not status:
        refuse("'incidentId' and 'status'", of="Splunk Observability Cloud")
    condition = _CONDITIONS.get(status)
    if condition is None:
        return Reading(ignored=f"the detector's state is {status[:50]!r}, neither firing nor over")
    at = time_of(body.get("timestamp")) or hook.received_at
    signal = Signal(
        key=key,
        condition=condition,
        position=at,
        at=at,
        title=first(body.get("messageTitle"), body.get("rule"), body.get("detector"), key),
        description=first(body.get("messageBody"), body.get("description")),
        severity=first(body.get("severity")),
        labels=labels_of(
            _dimensions(body.get("inputs")), detector=body.get("detector"), rule=body.get("rule")
        ),
        url=first(body.get("detectorUrl")),
    )
    return Reading((signal,))


def _dimensions(inputs: object) -> dict[str, Any]:
    """The dimensions of all inputs: `key` in the vendor's list, `dimensions` in its sample."""
    found: dict[str, Any] = {}
    for value in inputs.values() if isinstance(inputs, Mapping) else ():
        given = value.get("key", value.get("dimensions")) if isinstance(value, Mapping) else None
        found |= given if isinstance(given, Mapping) else {}
    return found
