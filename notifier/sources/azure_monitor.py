"""Azure Monitor with its common alert schema
(https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema).

`alertId` and `firedDateTime` are the same from Fired to Resolved. Each kind of alert also has a
schema of its own, without an id for the alert; those are refused with advice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
from notifier.sources._reading import dig, first, labels_of, read_object, refuse, time_of
from notifier.sources._signing import unsigned

NAME = "azure_monitor"
TITLE = "Azure Monitor"
SIGNS = False
EVIDENCE: Evidence = "documented"
verify = unsigned
SETUP = Setup(
    steps=(
        "In the Azure portal, open Monitor, Alerts, Action groups, and add an action of type"
        " Webhook with the URI {url}.",
        "Set 'Enable the common alert schema' to Yes: other schemas are refused.",
        "Name the action group in the alert rules, and leave 'Automatically resolve alerts' on.",
    ),
    notes=(
        "Activity log, service health and stateless log alerts may never be resolved by Azure.",
        "Azure calls an address no more for 15 minutes after all its tries have failed.",
        "'Test action group' is understood and ignored.",
    ),
    documents="https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema",
)

_CONDITIONS = {"fired": Condition.FIRING, "resolved": Condition.RESOLVED}
_COMMON = "azureMonitorCommonAlertSchema"
#: The subscription of the bodies that "Test action group" sends.
_TEST = "/subscriptions/11111111-1111-1111-1111-111111111111/"


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """One signal. Raises Unreadable."""
    body = read_object(hook)
    essentials = _essentials(body)
    key = first(essentials.get("alertId"), essentials.get("originAlertId"))
    if not key:
        refuse("'data.essentials.alertId'", of="Azure Monitor")
    if key.startswith(_TEST):
        return Reading(ignored="a test of the action group")
    condition = _CONDITIONS.get(first(essentials.get("monitorCondition")).lower())
    if condition is None:
        return Reading(ignored="the alert neither fired nor was it resolved")
    return Reading([_signal(key, condition, essentials, body, hook)])


def _essentials(body: dict[str, Any]) -> dict[str, Any]:
    schema, essentials = first(body.get("schemaId")), dig(body, "data", "essentials")
    if schema == _COMMON and isinstance(essentials, dict):
        return essentials
    if not schema and not isinstance(body.get("context"), dict):
        refuse("'schemaId' and 'data.essentials'", of="Azure Monitor")
    raise Unreadable(
        "The body is not in Azure's common alert schema: set 'Enable the common alert schema' to"
        " Yes in the webhook action of the action group."
    )


def _signal(
    key: str,
    condition: Condition,
    essentials: dict[str, Any],
    body: dict[str, Any],
    hook: Hook,
) -> Signal:
    ended = time_of(essentials.get("resolvedDateTime"))
    start = time_of(essentials.get("firedDateTime")) or ended or hook.received_at
    return Signal(
        key=key,
        condition=condition,
        position=start,
        at=max(start, ended or start),
        title=first(essentials.get("alertRule"), "An alert without a rule"),
        description=first(essentials.get("description")),
        severity=first(essentials.get("severity")),
        labels=_labels(essentials, body),
        url=first(essentials.get("investigationLink")),
    )


def _labels(essentials: dict[str, Any], body: dict[str, Any]) -> dict[str, str]:
    return labels_of(
        dig(body, "data", "alertContext", "properties"),
        dig(body, "data", "customProperties"),
        alert_rule=essentials.get("alertRule"),
        severity=essentials.get("severity"),
        signal_type=essentials.get("signalType"),
        monitoring_service=essentials.get("monitoringService"),
        configuration_item=dig(essentials, "configurationItems", 0),
        target=dig(essentials, "alertTargetIDs", 0),
    )
