"""Freshping (https://support.freshping.io/support/solutions/articles/50000003709).

Freshworks has withdrawn it; bodies in its shape are still read. `check_id` is the check's own.
Its test button sends a check that is "Available", of an application named "Webhook test".
"""

from __future__ import annotations

from collections.abc import Mapping

from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
from notifier.sources._reading import first, labels_of, read_object, refuse, time_of
from notifier.sources._signing import unsigned

NAME = "freshping"
TITLE = "Freshping"
SIGNS = False
EVIDENCE: Evidence = "documented"
verify = unsigned
SETUP = Setup(
    steps=("In Freshping open Settings, Integrations, Webhook, and enter {url} as callback URL.",),
    notes=("Freshworks has withdrawn Freshping: choose something else for a new set-up.",),
    documents="https://support.freshping.io/support/solutions/articles/50000003709",
)

_CONDITIONS = {
    "available": Condition.RESOLVED,
    "not responding": Condition.FIRING,
    "reporting error": Condition.FIRING,
}
_TEST = "Webhook test"


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """What state a check is in now. Raises Unreadable."""
    body = read_object(hook)
    event = body.get("webhook_event_data")
    if not isinstance(event, dict) or not first(event.get("check_id")):
        refuse("'webhook_event_data' with a check_id", of="Freshping")
    if first(event.get("application_name")) == _TEST:
        return Reading(ignored="it is Freshping's test")
    state = first(event.get("check_state_name"))
    condition = _CONDITIONS.get(state.lower())
    if condition is None:
        return Reading(ignored="the check is neither available nor failing")
    told = time_of(body.get("webhook_event_created_on")) or hook.received_at
    at = time_of(event.get("request_start_time")) or told
    signal = Signal(
        key=first(event.get("check_id")),
        condition=condition,
        position=at,
        at=at,
        title=first(event.get("check_name"), event.get("request_url"), "A check without a name"),
        description=_described(state, first(event.get("http_status_code"))),
        labels=labels_of(
            check_name=event.get("check_name"),
            application_name=event.get("application_name"),
            organization_name=body.get("organization_name"),
            request_url=event.get("request_url"),
            http_status_code=event.get("http_status_code"),
        ),
    )
    return Reading([signal])


def _described(state: str, code: str) -> str:
    return f"{state} (HTTP status {code})" if code else state
