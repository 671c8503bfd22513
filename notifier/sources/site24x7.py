"""Site24x7 (https://www.site24x7.com/help/admin/third-party-integration/webhooks.html).

All names are in capitals. Which fields there are was read in the source of receivers of such
bodies (GoAlert, Keep, devopsext/events), so their presence is not relied upon: an account may
send JSON or a form, and numbers as text. MONITOR_ID is the same while a monitor lives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
from notifier.sources._canonical import filled
from notifier.sources._reading import labels_of, read_flat, refuse, tags_of, time_of
from notifier.sources._signing import unsigned

NAME = "site24x7"
TITLE = "Site24x7"
SIGNS = False
EVIDENCE: Evidence = "fields"
verify = unsigned
SETUP = Setup(
    steps=(
        "In Site24x7 open Admin, Third-Party Integrations, add Webhooks and enter {url} as the"
        " hook URL, with the method POST.",
        "Switch on Send Incident Parameters and Post as JSON.",
        "Choose which monitors and which alerts (Down, Trouble, Critical) it is for.",
    ),
    notes=("A monitor that is suspended or under maintenance is ignored.",),
    documents="https://www.site24x7.com/help/admin/third-party-integration/webhooks.html",
)

_CONDITIONS = {
    "down": Condition.FIRING,
    "critical": Condition.FIRING,
    "trouble": Condition.FIRING,
    "up": Condition.RESOLVED,
}


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """What a monitor's status has become. Raises Unreadable."""
    body = read_flat(hook)
    given = {name: found for name, value in body.items() if (found := filled(value))}
    status = given.get("STATUS", "")
    key = given.get("MONITOR_ID") or given.get("MONITORID") or given.get("MONITORNAME", "")
    if not status or not key:
        refuse("STATUS and MONITOR_ID (or MONITORNAME)", of="Site24x7")
    condition = _CONDITIONS.get(status.lower())
    if condition is None:
        return Reading(ignored="the monitor is neither up, nor down, nor in trouble")
    # INCIDENT_TIME is left out: it is written for people, in the account's own time zone.
    at = (
        time_of(given.get("INCIDENT_TIME_ISO"))
        or time_of(given.get("OUTAGE_TIME_UNIX_FORMAT"))
        or hook.received_at
    )
    signal = Signal(
        key=key,
        condition=condition,
        position=at,
        at=at,
        title=given.get("MONITORNAME", key),
        description=given.get("INCIDENT_REASON") or given.get("REASON", ""),
        severity="" if condition is Condition.RESOLVED else status,
        labels=_labels(given, body),
        url=given.get("MONITOR_DASHBOARD_LINK") or given.get("RCA_LINK", ""),
    )
    return Reading([signal])


def _labels(given: Mapping[str, str], body: Mapping[str, Any]) -> dict[str, str]:
    return labels_of(
        tags_of(body.get("GROUP_TAGS")),
        tags_of(body.get("TAGS")),
        monitorname=given.get("MONITORNAME"),
        monitor_groupname=given.get("MONITOR_GROUPNAME"),
        monitortype=given.get("MONITORTYPE"),
        monitorurl=given.get("MONITORURL"),
        failed_locations=given.get("FAILED_LOCATIONS"),
    )
