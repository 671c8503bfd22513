"""Netdata: the Cloud's fixed bodies, and what our `custom_sender` makes an agent send.

Cloud (https://learn.netdata.cloud/docs/alerts-&-notifications/notifications/
centralized-cloud-notifications/webhook): an alert, whose `severity` is also its state, or a node's
reachability. An alert's body does not name its node, so the key is what is left: the alert, its
chart and the space, with the node only where the link back holds its id.

Agent (src/health/notifications/alarm-notify.sh.in): our shell function sends a form, because a
form needs no escaping that bash could get wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from notifier.domain.receipt import one_line
from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
from notifier.sources._canonical import filled, read_canonical
from notifier.sources._reading import dig, first, labels_of, read_flat, refuse, time_of
from notifier.sources._signing import unsigned

NAME = "netdata"
TITLE = "Netdata"
SIGNS = False
EVIDENCE: Evidence = "fields"
verify = unsigned
SETUP = Setup(
    steps=(
        "Netdata Cloud: open Space settings, Alerts & Notifications, add a configuration of the"
        " type Webhook and enter {url}, which has to begin with https.",
        "Press Test there. The test shows up among the last requests of this integration, with the"
        " token that Netdata asks for under Verification.",
        "Agents without the Cloud: put the lines below at the end of health_alarm_notify.conf"
        " (sudo ./edit-config health_alarm_notify.conf); no restart is needed.",
    ),
    template_name="health_alarm_notify.conf",
    template="""\
SEND_CUSTOM="YES"
DEFAULT_RECIPIENT_CUSTOM="notifier"
custom_sender() {
  local httpcode
  httpcode=$(docurl -X POST --max-time 10 --retry 3 \\
    --data-urlencode "dedup_key=${host}/${chart}/${name}" \\
    --data-urlencode "status=${status}" \\
    --data-urlencode "severity=${status}" \\
    --data-urlencode "title=${summary:-${name}} on ${host}" \\
    --data-urlencode "description=${info}" \\
    --data-urlencode "starts_at=${when}" \\
    --data-urlencode "url=${goto_url}" \\
    --data-urlencode "host=${host}" \\
    --data-urlencode "alert=${name}" \\
    --data-urlencode "chart=${chart}" \\
    --data-urlencode "context=${context}" \\
    --data-urlencode "class=${classification}" \\
    --data-urlencode "component=${component}" \\
    --data-urlencode "role=${roles}" \\
    "{url}")
  if [ "${httpcode:0:1}" = "2" ]; then
    info "told notifier about ${name} on ${host}"
    sent=$((sent + 1))
  else
    error "could not tell notifier about ${name} on ${host}: HTTP status ${httpcode}"
  fi
}
""",
    notes=(
        "Netdata Cloud needs a paid plan for webhooks.",
        "Netdata Cloud does not say which node an alert is of: two nodes with the same alert and"
        " chart are one alert here. Use one integration for each room, or the agents' sender.",
        "The agents' own test (alarm-notify.sh test) is understood and ignored.",
    ),
    documents="https://learn.netdata.cloud/docs/alerts-&-notifications/notifications/"
    "centralized-cloud-notifications/webhook",
)

_CONDITIONS = {
    "warning": Condition.FIRING,
    "critical": Condition.FIRING,
    "clear": Condition.RESOLVED,
}
_NODE = re.compile(r"/nodes?/([\w-]{1,64})")
_AGENT_TEST = "test_alarm"


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """An alert, or a node's reachability. Raises Unreadable."""
    body = read_flat(hook)
    if "dedup_key" in body:
        return _read_agent(body, hook)
    if token := _token(body):
        return Reading(ignored=f"it is Netdata's test; the token to enter there is {token}")
    if isinstance(dig(body, "status", "reachable"), bool):
        return _read_reachability(body, hook)
    return _read_alert(body, hook)


def _token(body: dict[str, Any]) -> str:
    """The token in the body of a test. It is told, because raw bodies are shown redacted."""
    found = next((first(body[name]) for name in body if "token" in name.lower()), "")
    return one_line(found)[:200]


def _read_alert(body: dict[str, Any], hook: Hook) -> Reading:
    severity = first(body.get("severity")).lower()
    if not severity or not first(body.get("alert"), body.get("alarm")):
        refuse("alert with a severity, and no reachability", of="Netdata")
    condition = _CONDITIONS.get(severity)
    if condition is None:
        return Reading(ignored="the alert is neither raised nor cleared")
    at = time_of(body.get("date")) or hook.received_at
    alert, chart = first(body.get("alert"), body.get("alarm")), first(body.get("chart"))
    url = first(body.get("alert_url"), body.get("alarm_url"))
    node = first(body.get("host"), *_NODE.findall(url)[:1])
    signal = Signal(
        key=f"{first(body.get('space'))}/{node}/{chart}/{alert}",
        condition=condition,
        position=at,
        at=at,
        title=first(body.get("message"), alert),
        description=first(body.get("info")),
        severity="" if condition is Condition.RESOLVED else severity,
        labels=_alert_labels(body) | labels_of(alert=alert, node=node),
        url=url,
    )
    return Reading([signal])


def _alert_labels(body: dict[str, Any]) -> dict[str, str]:
    rooms = body.get("Rooms")
    names = ("chart", "context", "space", "family", "class")
    return labels_of(
        {name: body.get(name) for name in names},
        rooms=", ".join(sorted(rooms)) if isinstance(rooms, dict) else "",
    )


def _read_reachability(body: dict[str, Any], hook: Hook) -> Reading:
    host = first(body.get("host"))
    if not host:
        refuse("'host' beside its reachability", of="Netdata")
    reachable = body["status"]["reachable"]
    signal = Signal(
        key=f"reachability:{host}",
        condition=Condition.RESOLVED if reachable else Condition.FIRING,
        position=hook.received_at,
        at=hook.received_at,
        title=first(body.get("message"), f"{host} is unreachable"),
        severity="" if reachable else first(body.get("severity")),
        labels=labels_of(host=host),
        url=first(body.get("url")),
    )
    return Reading([signal])


def _read_agent(body: dict[str, Any], hook: Hook) -> Reading:
    condition = _CONDITIONS.get(filled(body.get("status")).lower())
    if condition is None:
        return Reading(ignored="the alert is neither raised nor cleared")
    if filled(body.get("alert")) == _AGENT_TEST:
        return Reading(ignored="it is the test of a Netdata agent")
    names = ("host", "alert", "chart", "context", "class", "role")
    words = {
        "status": condition,
        "severity": "" if condition is Condition.RESOLVED else body.get("severity"),
        "labels": {name: body.get(name) for name in names},
    }
    signal = read_canonical(body | words, hook)
    if signal is None:
        refuse("'dedup_key'", of="Netdata")
    return Reading([signal])
