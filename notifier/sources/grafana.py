"""Grafana: Alerting since version 8, and the dashboard alerts before it.

https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
describes today's body, which is Alertmanager's with more in it: each member counts by itself. The
old body is about one rule, has no time in it and is known by its `ruleId`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifier.domain.receipt import Untrusted
from notifier.domain.signal import (
    Condition,
    Evidence,
    Hook,
    Option,
    Reading,
    Secrets,
    Setup,
    Signal,
)
from notifier.sources._reading import first, labels_of, objects, read_object, refuse, time_of
from notifier.sources._signing import check_hmac

NAME = "grafana"
TITLE = "Grafana"
SIGNS = True
EVIDENCE: Evidence = "documented"
SETUP = Setup(
    steps=(
        "In Grafana, open Alerting, Contact points, add one of type Webhook with the URL {url}"
        " and the method POST, or provision it with the file below.",
        "Leave 'Disable resolved message' off, or an end is never proposed.",
        "To sign (Grafana 12 and later): enter a secret under HMAC Signature, leave the header"
        " name as it is, and enter the same secret here. If you also name a timestamp header"
        " there, name it here too.",
        "Name the contact point in a notification policy.",
    ),
    template_name="provisioning/alerting/notifier.yaml",
    template="""\
apiVersion: 1
contactPoints:
  - orgId: 1
    name: notifier
    receivers:
      - uid: notifier
        type: webhook
        disableResolveMessage: false
        settings:
          url: "{url}"
          httpMethod: POST
          maxAlerts: "0"
""",
    notes=(
        "Leave the payload as it is: a custom payload is not read.",
        "DatasourceNoData and DatasourceError say that Grafana could not look, not that your"
        " service is down: they count as information.",
        "The test button is understood and ignored.",
    ),
    documents="https://grafana.com/docs/grafana/latest/alerting/configure-notifications/"
    "manage-contact-points/integrations/webhook-notifier/",
)
OPTIONS = (
    Option(
        name="timestamp_header",
        label="Timestamp header",
        help="The name you gave under HMAC Signature in Grafana. Empty: the body alone is signed.",
    ),
)

_CONDITIONS = {"firing": Condition.FIRING, "resolved": Condition.RESOLVED}
_LEGACY_CONDITIONS = {"alerting": Condition.FIRING, "ok": Condition.RESOLVED}
#: Alerts about Grafana's own sight.
_BLIND = ("DatasourceNoData", "DatasourceError")


def verify(hook: Hook, secrets: Secrets) -> None:
    """X-Grafana-Alerting-Signature: hexadecimal HMAC-SHA256 of the body, or of "<time>:<body>".

    How old the time is does not matter: a request that is played back changes nothing, since an
    alert's position is in its body. Raises Untrusted.
    """
    given = hook.headers.get("x-grafana-alerting-signature", "")
    check_hmac([given], _signed(hook, secrets.options), secrets.signing)


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """One signal for each member, or for the rule of an old body. Raises Unreadable."""
    body = read_object(hook)
    if isinstance(body.get("alerts"), list):
        return _read_members(body, hook)
    if not first(body.get("ruleId")):
        refuse("list 'alerts' and no 'ruleId'", of="Grafana")
    return _read_rule(body, hook)


def _signed(hook: Hook, options: Mapping[str, str]) -> bytes:
    name = options.get("timestamp_header", "").strip()
    if not name:
        return hook.body
    time = hook.headers.get(name.lower(), "")
    if not time:
        raise Untrusted(f"The request has no header {name}, which this integration expects.")
    return time.encode("utf-8", "replace") + b":" + hook.body


def _read_members(body: dict[str, Any], hook: Hook) -> Reading:
    members = objects(body["alerts"])
    real = [member for member in members if not _is_test(labels_of(member.get("labels")))]
    if members and not real:
        return Reading(ignored="a test of the contact point")
    signals = [signal for member in real if (signal := _member(member, body, hook))]
    return Reading(signals, ignored="" if signals else "the body lists no alert")


def _is_test(labels: Mapping[str, str]) -> bool:
    return labels.get("alertname") == "TestAlert" and labels.get("instance") == "Grafana"


def _member(alert: dict[str, Any], body: dict[str, Any], hook: Hook) -> Signal | None:
    labels = labels_of(alert.get("labels"))
    condition = _CONDITIONS.get(first(alert.get("status")).lower())
    key = _key(alert, labels, body)
    if condition is None or not key:
        return None
    start = time_of(alert.get("startsAt")) or hook.received_at
    end = time_of(alert.get("endsAt")) if condition is Condition.RESOLVED else None
    notes = labels_of(alert.get("annotations"))
    name = labels.get("alertname", "")
    return Signal(
        key=key,
        condition=condition,
        position=start,
        at=end or start,
        title=first(notes.get("summary"), name, body.get("title"), "An alert without a name"),
        description=first(notes.get("description"), notes.get("message")),
        severity="info" if name in _BLIND else labels.get("severity", ""),
        labels=labels_of(labels, rule_uid=alert.get("ruleUID")),
        url=first(alert.get("panelURL"), alert.get("dashboardURL"), alert.get("generatorURL")),
    )


def _key(alert: dict[str, Any], labels: Mapping[str, str], body: dict[str, Any]) -> str:
    """The fingerprint; where it is missing the labels it is made of, and the group at last."""
    made_of = repr(sorted(labels.items())) if labels else ""
    return first(alert.get("fingerprint"), made_of, body.get("groupKey"))


def _read_rule(body: dict[str, Any], hook: Hook) -> Reading:
    if first(body.get("ruleName")) == "Test notification":
        return Reading(ignored="a test of the notification channel")
    condition = _LEGACY_CONDITIONS.get(first(body.get("state")).lower())
    if condition is None:
        return Reading(ignored="the rule neither alerts nor is it fine again")
    return Reading([_rule(body, condition, hook)])


def _rule(body: dict[str, Any], condition: Condition, hook: Hook) -> Signal:
    tags = labels_of(body.get("tags"))
    return Signal(
        key=first(body.get("ruleId")),
        condition=condition,
        position=hook.received_at,
        at=hook.received_at,
        title=first(body.get("ruleName"), body.get("title"), "An alert without a name"),
        description=first(body.get("message")),
        severity=tags.get("severity", ""),
        labels=labels_of(
            tags,
            rule=body.get("ruleName"),
            dashboard_id=body.get("dashboardId"),
            panel_id=body.get("panelId"),
        ),
        url=first(body.get("ruleUrl")),
    )
