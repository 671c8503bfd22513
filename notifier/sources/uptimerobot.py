"""UptimeRobot (https://help.uptimerobot.com/en/articles/11361364-webhook-integration).

The body is the user's: JSON, a form or a query of the variables *monitorID*, *alertType* and so on,
named as the user likes; we read UptimeRobot's own names, those with underscores, and our schema.
A variable that does not apply is sent as it stands. alertType: 1 down, 2 up, 3 a certificate that
runs out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
from notifier.sources._canonical import filled, filled_labels, read_canonical
from notifier.sources._reading import read_flat, refuse, tags_of, time_of
from notifier.sources._signing import unsigned

NAME = "uptimerobot"
TITLE = "UptimeRobot"
SIGNS = False
EVIDENCE: Evidence = "documented"
verify = unsigned
SETUP = Setup(
    steps=(
        "In Integrations choose Webhook, and as URL to notify {url}",
        "Paste the JSON below as the POST value and tick Send as JSON.",
        "Let it notify of up events too, or an end is never proposed; leave certificates out.",
        "Attach the integration to the monitors we should hear of.",
    ),
    template_name="POST value (JSON)",
    template="""\
{
  "monitorID": "*monitorID*",
  "monitorURL": "*monitorURL*",
  "monitorFriendlyName": "*monitorFriendlyName*",
  "alertType": "*alertType*",
  "alertTypeFriendlyName": "*alertTypeFriendlyName*",
  "alertDetails": "*alertDetails*",
  "alertDateTime": "*alertDateTime*"
}
""",
    notes=(
        "Our own schema is not used here because alertType is a number, which no template turns"
        " into a word.",
        "Webhooks are part of UptimeRobot's paid plans.",
    ),
    documents="https://help.uptimerobot.com/en/articles/11361364-webhook-integration",
)

_CONDITIONS = {
    "1": Condition.FIRING,
    "down": Condition.FIRING,
    "2": Condition.RESOLVED,
    "up": Condition.RESOLVED,
}


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """The monitor's alert. Raises Unreadable."""
    body = read_flat(hook)
    signal = read_canonical(body, hook)
    if signal:
        return Reading([signal])
    fields = {_plain(name): filled(value) for name, value in body.items()}
    kind = fields.get("alerttype") or fields.get("alerttypefriendlyname", "").lower()
    key = next((v for n in ("monitorid", "monitorurl") if (v := fields.get(n, ""))), "")
    if not kind and "alerttype" in fields:
        return Reading(ignored="the variables are not filled in: a test")
    if not kind or not key:
        refuse("'monitorID' (or 'monitorURL') with an 'alertType'", of="UptimeRobot")
    condition = _CONDITIONS.get(kind)
    if condition is None:
        return Reading(ignored="a notice that is neither up nor down, such as a certificate's")
    return Reading([_signal(fields, key, condition, hook)])


def _signal(fields: dict[str, str], key: str, condition: Condition, hook: Hook) -> Signal:
    at = time_of(fields.get("alertdatetime")) or hook.received_at
    name = fields.get("monitorfriendlyname") or fields.get("monitorurl") or key
    return Signal(
        key=key,
        condition=condition,
        position=at,
        at=at,
        title=f"{name} is {'down' if condition is Condition.FIRING else 'up'}",
        description=fields.get("alertdetails", ""),
        labels=_labels(fields),
    )


def _labels(fields: Mapping[str, Any]) -> dict[str, str]:
    return filled_labels(
        tags_of(fields.get("monitortags") or fields.get("tags") or ""),
        monitor=fields.get("monitorfriendlyname"),
        target=fields.get("monitorurl"),
        group=fields.get("monitorgroup"),
    )


def _plain(name: str) -> str:
    """ "monitor_friendly_name" and "monitorFriendlyName" are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
