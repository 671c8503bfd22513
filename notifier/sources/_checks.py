"""What Nagios, Icinga 2 and Checkmk share: hosts and services, their states, and notifications.

None of them has HTTP of its own: a script sends, usually our `notifier-send.sh` (our own schema,
with the kind of notification beside it), or one that the operator has.
https://assets.nagios.com/downloads/nagioscore/docs/nagioscore/4/en/notifications.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from notifier.domain.signal import Condition, Hook, Option, Reading, Signal
from notifier.domain.text import Invalid
from notifier.sources._canonical import filled, filled_labels, read_canonical
from notifier.sources._reading import refuse, time_of

#: The settings file and the folder that the sender needs, as every step list has them.
INSTALL = (
    "Copy notifier-send.sh (it is among notifier's files, in notifier/sources) to"
    " /usr/local/bin and make it executable.",
    "Make the folder for what could not be delivered, owned by the monitoring's user and closed"
    " to others: install -d -o USER -m 700 /var/spool/notifier-send",
    "Write the file /etc/notifier-send.conf with the one line url={url} and let nobody but the"
    " monitoring's user read it.",
    "Have cron run notifier-send.sh --flush once a minute as the monitoring's user: what waits"
    " then leaves without a next alert.",
)

UNKNOWN = Option(
    name="unknown",
    label="What the state UNKNOWN means",
    help="A severity (critical, major or minor), or ignore: the check could not say.",
    default="minor",
)

_UNKNOWN_VALUES = ("critical", "major", "minor", "ignore")
_CONDITIONS = {
    "PROBLEM": Condition.FIRING,
    "RECOVERY": Condition.RESOLVED,
    "ACKNOWLEDGEMENT": Condition.ACKNOWLEDGED,
}
_NOTICES = ("FLAPPING", "DOWNTIME", "CUSTOM", "ALERTHANDLER")


def check_unknown(options: Mapping[str, str]) -> None:
    """Raises Invalid for a value of `UNKNOWN` that is none."""
    if options.get("unknown", "minor") not in _UNKNOWN_VALUES:
        raise Invalid("unknown", "is one of critical, major, minor and ignore")


def read_notification(
    body: Mapping[str, Any], hook: Hook, options: Mapping[str, str], *, tool: str
) -> Reading:
    """The signal in a notification about a host or a service. Raises Unreadable."""
    kind = _first(body, "notification_type", "type").upper()
    if kind.startswith(_NOTICES):
        return Reading(ignored=f"a notification of type {kind} is no alert")
    if _first(body, "state_type").upper() == "SOFT":
        return Reading(ignored="the state is soft: the check is still being repeated")
    signal = read_canonical(body, hook) or _signal(body, hook, kind)
    if signal is None:
        refuse("host with a type of PROBLEM, RECOVERY or ACKNOWLEDGEMENT", of=tool)
    return _with_unknown(signal, options)


def _signal(body: Mapping[str, Any], hook: Hook, kind: str) -> Signal | None:
    host, service = _first(body, "host", "hostname"), _first(body, "service", "servicedesc")
    condition = _CONDITIONS.get(kind)
    if condition is None or not host:
        return None
    state = _first(body, "state", "status")
    named = f"{service} on {host}" if service else host
    changed = time_of(_first(body, "last_state_change")) or time_of(_first(body, "timet"))
    start = changed or hook.received_at
    return Signal(
        key=f"{host}!{service}" if service else host,
        condition=condition,
        position=start,
        at=start,
        title=_first(body, "summary") or (f"{named} is {state}" if state else named),
        description=_first(body, "output", "comment"),
        severity=state,
        labels=filled_labels(body.get("labels"), **_labels(body, host, service, state)),
        url=_first(body, "url", "notes_url"),
    )


def _labels(body: Mapping[str, Any], host: str, service: str, state: str) -> dict[str, str]:
    more = ("alias", "address", "site", "hostgroups", "servicegroups")
    return {
        "host": host,
        "service": service,
        "state": state,
        **{name: _first(body, name) for name in more},
    }


def _with_unknown(signal: Signal, options: Mapping[str, str]) -> Reading:
    if not re.fullmatch(r"unkn?(nown)?|3", signal.severity.strip().lower()):
        return Reading([signal])
    meaning = options.get("unknown", UNKNOWN.default)
    if meaning == "ignore":
        return Reading(ignored="the state is UNKNOWN, which this integration ignores")
    return Reading([replace(signal, severity=meaning)])


def _first(body: Mapping[str, Any], *names: str) -> str:
    return next((found for name in names if (found := filled(body.get(name)))), "")
