"""Cronitor (https://cronitor.io/docs/using-webhooks).

`id` is the monitor's and the same in each of its alerts; one monitor may fail in several
environments by itself. No time is told. Bodies from before `type` existed say only in words that
a monitor has recovered.
"""

from __future__ import annotations

from collections.abc import Mapping

from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
from notifier.sources._reading import first, labels_of, read_object, refuse
from notifier.sources._signing import unsigned

NAME = "cronitor"
TITLE = "Cronitor"
SIGNS = False
EVIDENCE: Evidence = "fields"
verify = unsigned
SETUP = Setup(
    steps=(
        "In Cronitor open Settings, Integrations, add a webhook with the address {url} and let it"
        " send POST requests.",
        "Add it to the notification list that your monitors use.",
    ),
    notes=("Cronitor does not say when something happened: the time of arrival is taken.",),
    documents="https://cronitor.io/docs/using-webhooks",
)

_CONDITIONS = {"alert": Condition.FIRING, "recovery": Condition.RESOLVED}


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """A monitor that fails or has recovered. Raises Unreadable."""
    body = read_object(hook)
    monitor, description = first(body.get("id")), first(body.get("description"))
    if not monitor or not (first(body.get("type")) or description):
        refuse("id and type", of="Cronitor")
    condition = _condition(first(body.get("type")).lower(), description.lower())
    if condition is None:
        return Reading(ignored="it is neither an alert nor a recovery")
    environment = first(body.get("environment"))
    signal = Signal(
        key=f"{monitor}:{environment}" if environment else monitor,
        condition=condition,
        position=hook.received_at,
        at=hook.received_at,
        title=first(body.get("monitor"), monitor),
        description=description,
        labels=labels_of(
            monitor=body.get("monitor"),
            environment=environment,
            group=body.get("group"),
            rule=body.get("rule"),
        ),
        url=first(body.get("issue_url"), body.get("monitor_url")),
    )
    return Reading([signal])


def _condition(kind: str, description: str) -> Condition | None:
    if kind:
        return _CONDITIONS.get(kind)
    return Condition.RESOLVED if "recovered" in description else Condition.FIRING
