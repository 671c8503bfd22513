"""Splunk Enterprise and Splunk Cloud Platform: the webhook action of an alert.

https://docs.splunk.com/Documentation/Splunk/latest/Alert/Webhooks. It is sent when a search finds
something and never again, so it has no end; it has no headers of one's own and no signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifier.domain.signal import Condition, Evidence, Hook, Option, Reading, Setup, Signal
from notifier.sources._reading import first, labels_of, read_object, refuse, time_of
from notifier.sources._signing import unsigned

NAME = "splunk"
TITLE = "Splunk Enterprise"
SIGNS = False
EVIDENCE: Evidence = "documented"
RESOLVES = False
verify = unsigned
OPTIONS = (
    Option(
        "fields",
        "Result fields in the key",
        'Fields that tell alerts of one search apart, with commas between: "host".',
    ),
)
SETUP = Setup(
    steps=(
        "Allow the address under Settings, Server settings, Webhook allow list (from version 9.0).",
        "Edit the alert, Add Actions, Webhook, and enter {url}.",
        "Choose Trigger: For each result, if each result is an alert of its own: only the first"
        " result is sent.",
    ),
    notes=(
        "Splunk never says that an alert is over: after a while it is shown as no longer reported.",
        "An alert without a saved search has no name, so each time it counts as another alert.",
    ),
    documents="https://docs.splunk.com/Documentation/Splunk/latest/Alert/Webhooks",
)


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """A firing signal of the search. Raises Unreadable."""
    body = read_object(hook)
    if not first(body.get("sid")) or "search_name" not in body:
        refuse("'sid' and 'search_name'", of="Splunk")
    given = body.get("result")
    result: dict[str, Any] = given if isinstance(given, dict) else {}
    at = time_of(result.get("_time")) or hook.received_at
    signal = Signal(
        key=_key(body, result, options.get("fields", "")),
        condition=Condition.FIRING,
        position=at,
        at=at,
        title=first(body.get("search_name"), "A search without a name"),
        description=first(result.get("_raw")),
        severity=first(result.get("severity")),
        labels=labels_of(
            {name: value for name, value in result.items() if not name.startswith("_")},
            search=body.get("search_name"),
            app=body.get("app"),
            owner=body.get("owner"),
        ),
        url=first(body.get("results_link")),
    )
    return Reading((signal,))


def _key(body: Mapping[str, Any], result: Mapping[str, Any], fields: str) -> str:
    """The search's name with the chosen fields; its run where it has no name."""
    chosen = [first(result.get(name.strip())) for name in fields.split(",") if name.strip()]
    return "/".join([first(body.get("search_name"), body.get("sid")), *chosen])
