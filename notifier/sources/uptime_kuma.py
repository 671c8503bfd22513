"""Uptime Kuma (https://github.com/louislam/uptime-kuma/wiki/Notification-Methods).

{heartbeat, monitor, msg}, as JSON, in the field `data` of a multipart form (chunked), or in the
query of a GET; or whatever the operator's own template makes, which is sent as a form whatever it
is. The test button and notices about certificates have neither heartbeat nor monitor. Times are UTC
without saying so. Seen in bodies recorded from Uptime Kuma 2.5.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
from notifier.sources._canonical import condition_of, filled, read_canonical
from notifier.sources._reading import dig, first, labels_of, objects, read_json, refuse, time_of
from notifier.sources._signing import unsigned

NAME = "uptime_kuma"
TITLE = "Uptime Kuma"
SIGNS = False
EVIDENCE: Evidence = "recorded"
verify = unsigned
SETUP = Setup(
    steps=(
        "In Settings > Notifications > Setup Notification choose the type Webhook.",
        "Post URL: {url}",
        "Request Body: Preset - application/json. Nothing has to be written.",
        "Press Test, save, and switch the notification on for the monitors we should hear of.",
    ),
    notes=(
        "Uptime Kuma tries once: what cannot be delivered is only written to its log.",
        "Tags of a monitor arrive as labels: a tag named component can choose the component.",
        "Pending and maintenance change nothing; certificate notices are for you alone.",
    ),
    documents="https://github.com/louislam/uptime-kuma/wiki/Notification-Methods",
)

_CONDITIONS = {"0": Condition.FIRING, "1": Condition.RESOLVED}
_IGNORED = {
    "2": "the monitor is pending: the check is being repeated",
    "3": "the monitor is under maintenance",
}


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """The monitor's alert. Raises Unreadable."""
    body = read_json(hook)
    if not isinstance(body, dict) or not ({"heartbeat", "monitor_id", "dedup_key"} & body.keys()):
        refuse("'heartbeat', and no 'monitor_id' or 'dedup_key' either", of="Uptime Kuma")
    if "heartbeat" not in body:
        return _read_template(body, hook)
    heartbeat, monitor = body.get("heartbeat"), body.get("monitor")
    if not isinstance(heartbeat, dict) or not isinstance(monitor, dict):
        return Reading(ignored="a test, or a notice about a certificate: it names no monitor")
    return _read_beat(heartbeat, monitor, hook)


def _read_beat(heartbeat: dict[str, Any], monitor: dict[str, Any], hook: Hook) -> Reading:
    status = first(heartbeat.get("status"))
    key = first(monitor.get("id"), heartbeat.get("monitorID"))
    if status in _IGNORED:
        return Reading(ignored=_IGNORED[status])
    condition = _CONDITIONS.get(status)
    if condition is None or not key:
        refuse("'monitor.id' with a 'heartbeat.status' from 0 to 3", of="Uptime Kuma")
    at = time_of(heartbeat.get("time")) or hook.received_at
    name = first(monitor.get("name"), key)
    signal = Signal(
        key=key,
        condition=condition,
        position=at,
        at=at,
        title=f"{name} is {'down' if condition is Condition.FIRING else 'up'}",
        description=first(heartbeat.get("msg")),
        labels=_labels(monitor),
    )
    return Reading([signal])


def _labels(monitor: dict[str, Any]) -> dict[str, str]:
    tags = {
        first(t.get("name")): first(t.get("value"), "true") for t in objects(monitor.get("tags"))
    }
    return labels_of(
        tags,
        monitor=monitor.get("name"),
        path=monitor.get("pathName"),
        group=dig(monitor, "path", 0) if dig(monitor, "path", 1) else "",
        type=monitor.get("type"),
        target=first(monitor.get("url"), monitor.get("hostname")),
    )


def _read_template(body: dict[str, Any], hook: Hook) -> Reading:
    """What an operator's own template makes: our schema, or `monitor_id` and `status`."""
    signal = read_canonical(body, hook)
    if signal:
        return Reading([signal])
    key, words = filled(body.get("monitor_id")), filled(body.get("status")).split()
    condition = condition_of(words[-1]) if words else None  # "🔴 Down"
    if condition is None or not key:
        refuse("'monitor_id' with a 'status' that says Up or Down", of="Uptime Kuma")
    title = filled(body.get("title"))
    signal = Signal(
        key=key,
        condition=condition,
        position=hook.received_at,
        at=hook.received_at,
        title=title or f"Monitor {key} is {words[-1].lower()}",
        description=first(filled(body.get("body")), filled(body.get("msg"))),
    )
    return Reading([signal])
