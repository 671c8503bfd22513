"""LibreNMS (https://docs.librenms.org/Alerting/Transports/, the API transport).

The transport sends what the operator names. Its query is encoded properly; in its body a quote in
a title breaks the JSON, so we suggest the query and read both. state: 0 recovered, 1 alert, 2
acknowledged, 3 worse, 4 better. `alert_id` is that of rule and device; `uid` and `id` are of one
log entry. Times have no zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
from notifier.sources._canonical import filled, filled_labels, read_canonical
from notifier.sources._reading import read_flat, refuse, time_of
from notifier.sources._signing import unsigned

NAME = "librenms"
TITLE = "LibreNMS"
SIGNS = False
EVIDENCE: Evidence = "documented"
verify = unsigned
SETUP = Setup(
    steps=(
        "In Alerts > Alert Transports create a transport of the type API.",
        "API Method: POST. API URL: {url}",
        "Paste the lines below into Options, and leave the body empty.",
        "Attach the transport to the alert rules we should hear of, and let them send recoveries.",
    ),
    template_name="Options",
    template="""\
alert_id={{ $alert_id }}
rule_id={{ $rule_id }}
device_id={{ $device_id }}
state={{ $state }}
severity={{ $severity }}
title={{ $title }}
name={{ $name }}
hostname={{ $hostname }}
sysName={{ $sysName }}
location={{ $location }}
type={{ $type }}
os={{ $os }}
timestamp={{ $timestamp }}
msg={{ $msg }}
""",
    notes=(
        "A body of JSON is read as well, but breaks where a title holds a quotation mark.",
        "LibreNMS cuts what stands behind a question mark off the API URL.",
        "Our own schema is not used here because state is a number, which no template turns into"
        " a word.",
    ),
    documents="https://docs.librenms.org/Alerting/Transports/",
)

_CONDITIONS = {
    "0": Condition.RESOLVED,
    "1": Condition.FIRING,
    "2": Condition.ACKNOWLEDGED,
    "3": Condition.FIRING,
    "4": Condition.FIRING,
}


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """The alert. Raises Unreadable."""
    body = read_flat(hook)
    signal = read_canonical(body, hook) or _signal(body, hook)
    if signal is None:
        refuse("'alert_id' (or 'rule_id' and 'device_id') with a 'state' from 0 to 4", of=TITLE)
    return Reading([signal])


def _signal(body: Mapping[str, Any], hook: Hook) -> Signal | None:
    fields = {name: filled(value) for name, value in body.items()}
    condition, key = _CONDITIONS.get(fields.get("state", "")), _key(fields)
    if condition is None or not key:
        return None
    # Read as UTC. East of it, that would be in the future, and the clock here knows better.
    logged = time_of(fields.get("timestamp")) or hook.received_at
    named = fields.get("name") or "An alert without a name"
    return Signal(
        key=key,
        condition=condition,
        position=min(logged, hook.received_at),
        at=hook.received_at,
        title=fields.get("title") or named,
        description=fields.get("msg", ""),
        severity=fields.get("severity", ""),
        labels=_labels(fields),
    )


def _key(fields: Mapping[str, str]) -> str:
    if fields.get("alert_id"):
        return fields["alert_id"]
    rule, device = fields.get("rule_id"), fields.get("device_id")
    return f"rule {rule} on {device}" if rule and device else ""


def _labels(fields: Mapping[str, str]) -> dict[str, str]:
    named = ("hostname", "sysName", "location", "type", "os", "hardware", "device_id", "rule_id")
    return filled_labels(
        {name.lower(): fields.get(name, "") for name in named}, rule=fields.get("name")
    )
