"""Prometheus Alertmanager (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).

A group is not an alert: the body's own status is "firing" while any member fires, so each member
counts by itself. Its fingerprint is a hash of its labels, the same for every occurrence; what
tells occurrences apart is `startsAt`. Seen in bodies recorded from Alertmanager 0.25.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
from notifier.sources._reading import (
    dig,
    first,
    labels_of,
    objects,
    read_object,
    refuse,
    time_of,
)
from notifier.sources._signing import unsigned

NAME = "alertmanager"
TITLE = "Prometheus Alertmanager"
SIGNS = False
EVIDENCE: Evidence = "recorded"
verify = unsigned
SETUP = Setup(
    steps=(
        "Add the receiver below to alertmanager.yml and name it in a route.",
        "Send resolved alerts too (send_resolved: true), or an end is never proposed.",
        "Reload: kill -HUP, or POST /-/reload.",
    ),
    template_name="alertmanager.yml",
    template="""\
receivers:
  - name: notifier
    webhook_configs:
      - url: "{url}"
        send_resolved: true
        max_alerts: 0
route:
  receiver: notifier
  group_wait: 10s
  group_interval: 1m
  repeat_interval: 1h
""",
    notes=(
        "With max_alerts, members above it are never sent, neither firing nor resolved.",
        "Drop labels that differ between two Prometheus servers (such as replica) with"
        " alert_relabel_configs: they change the fingerprint.",
        "An alert that never reached us is never reported as resolved either.",
    ),
    documents="https://prometheus.io/docs/alerting/latest/configuration/#webhook_config",
)

_CONDITIONS: dict[str, Literal[Condition.FIRING, Condition.RESOLVED]] = {
    "firing": Condition.FIRING,
    "resolved": Condition.RESOLVED,
}


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """One signal for each member. Raises Unreadable."""
    body = read_object(hook)
    if not isinstance(body.get("alerts"), list):
        refuse("list 'alerts'", of="Alertmanager")
    signals = [signal for alert in objects(body["alerts"]) if (signal := _signal(alert, hook))]
    return Reading(signals, ignored="" if signals else "the body lists no alert")


def _signal(alert: dict[str, Any], hook: Hook) -> Signal | None:
    labels = labels_of(alert.get("labels"))
    condition = _CONDITIONS.get(first(alert.get("status")).lower())
    if condition is None:
        return None
    start = time_of(alert.get("startsAt")) or hook.received_at
    end = time_of(alert.get("endsAt"))
    notes = labels_of(alert.get("annotations"))
    return Signal(
        key=first(alert.get("fingerprint")) or repr(sorted(labels.items())),
        condition=condition,
        position=start,
        at=end or start if condition is Condition.RESOLVED else start,
        title=first(notes.get("summary"), labels.get("alertname"), "An alert without a name"),
        description=first(notes.get("description"), notes.get("message")),
        severity=labels.get("severity", ""),
        labels=labels,
        url=first(
            alert.get("dashboardURL"),
            notes.get("dashboard_url"),
            alert.get("generatorURL"),
            dig(notes, "runbook_url"),
        ),
    )
