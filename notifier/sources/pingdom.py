"""Pingdom (https://www.pingdom.com/resources/webhooks/).

One body for each change of a check's state. Checks of transactions say SUCCESS and FAILING instead
of UP and DOWN. There is no signature and no header of one's own: the address is all there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
from notifier.sources._reading import dig, first, labels_of, read_object, refuse, tags_of, time_of
from notifier.sources._signing import unsigned

NAME = "pingdom"
TITLE = "Pingdom"
SIGNS = False
EVIDENCE: Evidence = "documented"
verify = unsigned
SETUP = Setup(
    steps=(
        "In Integrations add an integration of the type Webhook with the URL {url}",
        "Tick it under Connect integrations in each check we should hear of.",
        "Let the check alert when it is back up, or an end is never proposed.",
    ),
    notes=(
        "Pingdom cannot sign or send a header: keep the address secret, and narrow the networks"
        " to Pingdom's if you can.",
        "Importance HIGH is read as major and LOW as minor.",
    ),
    documents="https://www.pingdom.com/resources/webhooks/",
)

_CONDITIONS = {
    "DOWN": Condition.FIRING,
    "FAILING": Condition.FIRING,
    "UP": Condition.RESOLVED,
    "SUCCESS": Condition.RESOLVED,
}
_SEVERITIES = {"HIGH": "high", "LOW": "minor"}


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """The check's alert. Raises Unreadable."""
    body = read_object(hook)
    key, state = first(body.get("check_id")), first(body.get("current_state")).upper()
    if not key or not state:
        refuse("'check_id' with a 'current_state'", of="Pingdom")
    condition = _CONDITIONS.get(state)
    if condition is None:
        return Reading(ignored="the check is neither up nor down")
    return Reading([_signal(body, key, condition, hook)])


def _signal(body: dict[str, Any], key: str, condition: Condition, hook: Hook) -> Signal:
    at = time_of(body.get("state_changed_timestamp")) or time_of(body.get("state_changed_utc_time"))
    at = at or hook.received_at
    name = first(body.get("check_name"), key)
    importance = first(body.get("importance_level")).upper()
    return Signal(
        key=key,
        condition=condition,
        position=at,
        at=at,
        title=f"{name} is {'down' if condition is Condition.FIRING else 'up'}",
        description=first(
            body.get("custom_message"), body.get("long_description"), body.get("description")
        ),
        severity=_SEVERITIES.get(importance, ""),
        labels=_labels(body, importance),
    )


def _labels(body: dict[str, Any], importance: str) -> dict[str, str]:
    params = body.get("check_params")
    return labels_of(
        tags_of(body.get("tags")),
        check=body.get("check_name"),
        check_type=body.get("check_type"),
        importance=importance,
        host=dig(params, "hostname"),
        target=first(dig(params, "full_url"), dig(params, "url")),
    )
