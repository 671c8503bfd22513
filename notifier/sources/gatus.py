"""Gatus (https://gatus.io/docs/alerting-custom, alerting/provider/custom/custom.go).

The `custom` provider sends what the operator writes, with [PLACEHOLDERS] replaced and nothing
escaped. An endpoint is known by its group and its name. The words for its two states may be
changed, so they are asked for. No time is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifier.domain.signal import Condition, Evidence, Hook, Option, Reading, Setup
from notifier.sources._canonical import filled, read_canonical
from notifier.sources._reading import dig, first, read_flat, refuse
from notifier.sources._signing import unsigned

NAME = "gatus"
TITLE = "Gatus"
SIGNS = False
EVIDENCE: Evidence = "fields"
verify = unsigned
SETUP = Setup(
    steps=(
        "Add the provider below to Gatus' configuration.",
        "Give each endpoint an alert of the type custom, with send-on-resolved: true: without it"
        " an end is never proposed.",
    ),
    template_name="config.yaml",
    template="""\
alerting:
  custom:
    url: "{url}"
    method: "POST"
    headers:
      Content-Type: application/json
    body: |
      {
        "dedup_key": "[ENDPOINT_GROUP]/[ENDPOINT_NAME]",
        "status": "[ALERT_TRIGGERED_OR_RESOLVED]",
        "title": "[ENDPOINT_NAME]",
        "description": "[ALERT_DESCRIPTION]",
        "errors": "[RESULT_ERRORS]",
        "component": "[ENDPOINT_NAME]",
        "labels": {
          "endpoint": "[ENDPOINT_NAME]",
          "group": "[ENDPOINT_GROUP]",
          "endpoint_url": "[ENDPOINT_URL]"
        }
      }
    default-alert:
      send-on-resolved: true
""",
    notes=(
        "Gatus does not escape a quotation mark in an alert's description, so write none there.",
        "The method is GET unless you write POST.",
    ),
    documents="https://gatus.io/docs/alerting-custom",
)
OPTIONS = (
    Option(
        name="triggered",
        label="Word for an alert that begins",
        help="Only where your configuration sets another one under placeholders.",
        default="TRIGGERED",
    ),
    Option(
        name="resolved",
        label="Word for an alert that ends",
        help="Only where your configuration sets another one under placeholders.",
        default="RESOLVED",
    ),
)


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """What became of an endpoint's alert. Raises Unreadable."""
    body = _in_our_schema(read_flat(hook))
    word, name = filled(body["status"]), filled(body["title"])
    if not word or not name:
        refuse("state and name of an endpoint", of="Gatus")
    condition = _conditions(options).get(word.lower())
    if condition is None:
        return Reading(ignored="its word for the state is neither of the two that are set here")
    signal = read_canonical(body | {"status": condition}, hook)
    return Reading([signal] if signal else [])


def _conditions(options: Mapping[str, str]) -> dict[str, Condition]:
    return {
        options.get("triggered", "TRIGGERED").strip().lower(): Condition.FIRING,
        options.get("resolved", "RESOLVED").strip().lower(): Condition.RESOLVED,
    }


def _in_our_schema(body: dict[str, Any]) -> dict[str, Any]:
    """Our template's body, or a flat one (as in a query) with plain names."""
    name = first(dig(body, "labels", "endpoint"), body.get("endpoint"), body.get("name"))
    group = filled(first(dig(body, "labels", "group"), body.get("group")))
    told = (body.get("description"), body.get("alert"), body.get("errors"))
    return {
        "dedup_key": f"{group}/{name}",
        "status": first(body.get("status"), body.get("state")),
        "title": name,
        "description": "\n".join(found for part in told if (found := filled(part))),
        "component": name,
        "labels": {
            "endpoint": name,
            "group": group,
            "endpoint_url": first(dig(body, "labels", "endpoint_url"), body.get("url")),
        },
    }
