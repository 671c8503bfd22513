"""Our own schema, for scripts and for tools that let their user write the body.

One object, or a list of them (what a spool sends after an outage). See `_canonical`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Evidence, Hook, Reading, Setup, Signal
from notifier.sources._canonical import filled, read_canonical
from notifier.sources._hub import check_hub_signature
from notifier.sources._reading import objects, read_json

NAME = "canonical"
TITLE = "notifier's own schema"
SIGNS = True
EVIDENCE: Evidence = "documented"
verify = check_hub_signature
SETUP = Setup(
    steps=(
        "Have your script or tool POST the JSON below to the address of this integration.",
        'When it is over, send the same dedup_key again with "status": "resolved".',
        "To sign, send the header X-Hub-Signature-256: sha256=<hex>, the HMAC-SHA256 of the body"
        " under the signing secret.",
    ),
    template_name="a shell script",
    template="""\
curl -fsS --retry 3 -H 'Content-Type: application/json' '{url}' -d '{
  "dedup_key": "sign-in-errors",
  "status": "firing",
  "severity": "critical",
  "title": "More than 5% of sign-ins fail",
  "description": "9.1% failed in the last 5 minutes",
  "component": "sign-in",
  "labels": {"region": "eu-west-1"},
  "url": "https://monitoring.example.com/alerts/17",
  "starts_at": "2026-11-22T16:02:00Z"
}'
""",
    notes=(
        "dedup_key and status (firing, acknowledged or resolved) are needed, the rest is not.",
        "Send the same starts_at with firing and with resolved, or none at all.",
        "A list of such objects is read too.",
    ),
)


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """One signal for each object. Raises Unreadable."""
    body = read_json(hook)
    alerts = objects(body if isinstance(body, list) else [body])
    if not alerts:
        raise Unreadable("The body is JSON, but neither an object nor a list of objects.")
    return Reading([_signal(alert, hook) for alert in alerts])


def _signal(alert: dict[str, Any], hook: Hook) -> Signal:
    signal = read_canonical(alert, hook)
    if signal:
        return signal
    if not filled(alert.get("dedup_key")):
        raise Unreadable("The body has no 'dedup_key', which has to name the alert.")
    raise Unreadable("The body's 'status' is none of firing, acknowledged and resolved.")
