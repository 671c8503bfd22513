"""Zabbix (https://www.zabbix.com/documentation/current/en/manual/config/notifications/media/webhook).

A webhook is JavaScript that runs in the Zabbix server, so the body is ours: the media type below,
made to be imported, sends our own schema. {EVENT.ID} is the problem's also when it is over. A macro
that Zabbix cannot resolve arrives as it is written, or as *UNKNOWN*. Zabbix tries again only where
the script throws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from notifier.domain.signal import Evidence, Hook, Reading, Setup
from notifier.sources._canonical import filled, read_canonical
from notifier.sources._reading import read_object, refuse, text
from notifier.sources._signing import unsigned

NAME = "zabbix"
TITLE = "Zabbix"
SIGNS = False
EVIDENCE: Evidence = "fields"
verify = unsigned

_TEMPLATE = """\
zabbix_export:
  version: '6.0'
  date: '2026-11-22T12:00:00Z'
  media_types:
    - name: notifier
      type: WEBHOOK
      parameters:
        - name: address
          value: '{url}'
        - name: event_id
          value: '{EVENT.ID}'
        - name: value
          value: '{EVENT.VALUE}'
        - name: acknowledged
          value: '{EVENT.ACK.STATUS}'
        - name: severity
          value: '{EVENT.NSEVERITY}'
        - name: name
          value: '{EVENT.NAME}'
        - name: details
          value: '{EVENT.OPDATA}'
        - name: host
          value: '{HOST.NAME}'
        - name: groups
          value: '{TRIGGER.HOSTGROUP.NAME}'
        - name: tags
          value: '{EVENT.TAGSJSON}'
        - name: started
          value: '{EVENT.TIMESTAMP}'
        - name: link
          value: '{$ZABBIX.URL}/tr_events.php?triggerid={TRIGGER.ID}&eventid={EVENT.ID}'
      max_sessions: '1'
      attempts: '10'
      attempt_interval: 10s
      script: |
        var given = JSON.parse(value), labels = {}, tags = [], i, request, answer;
        try { tags = JSON.parse(given.tags); } catch (error) { tags = []; }
        for (i = 0; i < tags.length; i++) { labels[tags[i].tag] = tags[i].value || 'true'; }
        labels.host = given.host;
        labels.hostgroup = given.groups;
        request = new HttpRequest();
        request.addHeader('Content-Type: application/json');
        answer = request.post(given.address, JSON.stringify({
          dedup_key: given.event_id,
          status: given.value === '0' ? 'resolved'
            : given.acknowledged === 'Yes' ? 'acknowledged' : 'firing',
          severity: given.severity,
          title: given.name,
          description: given.details,
          component: labels.component,
          labels: labels,
          url: given.link,
          starts_at: given.started
        }));
        if (request.getStatus() < 200 || request.getStatus() > 299) {
          throw 'notifier answered ' + request.getStatus() + ': ' + answer;
        }
        return 'OK';
      message_templates:
        - event_source: TRIGGERS
          operation_mode: PROBLEM
          subject: '{EVENT.NAME}'
          message: '{EVENT.OPDATA}'
        - event_source: TRIGGERS
          operation_mode: RECOVERY
          subject: '{EVENT.NAME}'
          message: '{EVENT.OPDATA}'
        - event_source: TRIGGERS
          operation_mode: UPDATE
          subject: '{EVENT.NAME}'
          message: '{EVENT.OPDATA}'
"""

SETUP = Setup(
    steps=(
        "In Alerts > Media types (before 6.4: Administration) press Import and choose a file with"
        " the text below.",
        "Give a user this media type (Send to: notifier), and the right to see the hosts.",
        "In Alerts > Actions > Trigger actions send through it in Operations, in Recovery"
        " operations and in Update operations: without the second an end is never proposed.",
        "Set the global macro {$ZABBIX.URL} to the address of your Zabbix, for links back.",
    ),
    template_name="notifier.yaml",
    template=_TEMPLATE,
    notes=(
        "Tags of the problem arrive as labels.",
        "The script throws where we do not take the alert, and Zabbix then tries again ten times,"
        " ten seconds apart.",
        "Where your Zabbix does not know {EVENT.TIMESTAMP}, what counts is when an alert arrives.",
    ),
    documents=(
        "https://www.zabbix.com/documentation/current/en/manual/config/notifications/media/webhook"
    ),
)

#: {EVENT.NSEVERITY}, and the one word that `severity_of` does not know.
_SEVERITIES = {
    "0": "info",
    "1": "information",
    "2": "warning",
    "3": "average",
    "4": "high",
    "5": "disaster",
    "not classified": "info",
}


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """The problem. Raises Unreadable."""
    body = read_object(hook)
    if text(body.get("dedup_key")) and not filled(body.get("dedup_key")):
        return Reading(ignored="the macros are not filled in: the test of a media type")
    signal = read_canonical(body, hook)
    if signal is None:
        refuse("'dedup_key' with a 'status' of firing or resolved", of="our Zabbix media type")
    severity = _SEVERITIES.get(signal.severity.lower(), signal.severity)
    return Reading([replace(signal, severity=severity)])
