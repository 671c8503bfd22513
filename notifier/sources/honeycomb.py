"""Honeycomb's triggers and burn alerts (https://docs.honeycomb.io/notify/webhooks/).

The body is the one of Honeycomb's own example listener
(github.com/honeycombio/examples/tree/master/webhook-listener-triggers). It holds no time, and its
"signature" is the shared secret itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from notifier.domain.receipt import Untrusted
from notifier.domain.signal import Condition, Evidence, Hook, Reading, Secrets, Setup, Signal
from notifier.sources._canonical import read_canonical
from notifier.sources._reading import dig, first, labels_of, objects, read_object, refuse

NAME = "honeycomb"
TITLE = "Honeycomb"
SIGNS = True
EVIDENCE: Evidence = "documented"
SETUP = Setup(
    steps=(
        "In Honeycomb: Team Settings, Integrations, Add Integration, Webhook.",
        "Webhook URL: {url}. Shared secret: this integration's signing secret.",
        "Leave the payload as it is, and add the webhook as a recipient of a trigger or of an SLO's"
        " burn alert.",
    ),
    notes=(
        "The shared secret travels in clear in X-Honeycomb-Webhook-Token, so only https protects"
        " it.",
        "A payload of your own is read too, if it writes our own schema.",
        "Honeycomb gives no severity: rules on the trigger's name set it.",
    ),
    documents="https://docs.honeycomb.io/notify/webhooks/",
)

_CONDITIONS = {"triggered": Condition.FIRING, "ok": Condition.RESOLVED}


def verify(hook: Hook, secrets: Secrets) -> None:
    """X-Honeycomb-Webhook-Token must be one of the signing secrets. Raises Untrusted."""
    given = hook.headers.get("x-honeycomb-webhook-token", "").encode("utf-8", "replace")
    if not given:
        raise Untrusted("The header X-Honeycomb-Webhook-Token is missing.")
    matches = [hmac.compare_digest(given, secret.encode()) for secret in secrets.signing]
    if not any(matches):
        raise Untrusted("X-Honeycomb-Webhook-Token is not the shared secret of this integration.")


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """The trigger's signal. Raises Unreadable."""
    body = read_object(hook)
    if own := read_canonical(body, hook):
        return Reading((own,))
    key = first(body.get("id"), body.get("trigger_url"), body.get("name"))
    condition = _CONDITIONS.get(first(body.get("status")).lower())
    if not key or condition is None:
        refuse("'id' and 'status' of TRIGGERED or OK", of="Honeycomb")
    if body.get("is_test") is True:
        return Reading(ignored="it is Honeycomb's test")
    signal = Signal(
        key=key,
        condition=condition,
        position=hook.received_at,
        at=hook.received_at,
        title=first(body.get("name"), body.get("summary"), key),
        description=first(body.get("description"), body.get("trigger_description")),
        labels=_labels(body),
        url=first(body.get("result_url"), body.get("trigger_url"), body.get("slo_url")),
    )
    return Reading((signal,))


def _labels(body: Mapping[str, Any]) -> dict[str, str]:
    """The trigger, and the group that fires where there is only one."""
    groups = objects(body.get("result_groups_triggered"))
    group = dig(groups, 0, "Group") if len(groups) == 1 else None
    return labels_of(
        group,
        trigger=body.get("name"),
        dataset=first(body.get("dataset"), body.get("dataset_name")),
        environment=body.get("environment"),
    )
