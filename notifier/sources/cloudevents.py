"""CloudEvents 1.0 over HTTP: one event, a batch, or one in headers; and the handshake of its
WebHook specification.

https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/http-protocol-binding.md and
https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md. An event says nothing
about alerts by itself: its type's last word, or its data, does.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Evidence, Hook, Reading, Setup, Signal
from notifier.sources._canonical import condition_of, filled, read_canonical
from notifier.sources._reading import (
    first,
    labels_of,
    objects,
    parse_json,
    read_json,
    refuse,
    text,
)
from notifier.sources._signing import unsigned

NAME = "cloudevents"
TITLE = "CloudEvents"
SIGNS = False
EVIDENCE: Evidence = "recorded"
verify = unsigned
SETUP = Setup(
    steps=(
        "Have your event router deliver to {url} over HTTP: structured, batched and binary mode"
        " are all read, and the OPTIONS handshake is answered.",
        "Let the event's type end with .firing, .acknowledged or .resolved, or put that word into"
        " data.status.",
        "Give the same source and subject to an alert and to its end, or the same data.dedup_key.",
    ),
    template_name="an event in structured mode",
    template="""\
{
  "specversion": "1.0",
  "id": "8f1c2d",
  "source": "/monitoring/sign-in",
  "type": "com.example.alert.firing",
  "subject": "sign-in-errors",
  "time": "2026-11-22T16:02:00Z",
  "data": {
    "severity": "critical",
    "title": "More than 5% of sign-ins fail",
    "component": "sign-in",
    "labels": {"region": "eu-west-1"},
    "url": "https://monitoring.example.com/alerts/17"
  }
}
""",
    notes=("The fields of data are those of our own schema; extension attributes become labels.",),
    documents="https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md",
)

#: What every event has; all other attributes are extensions.
_CORE = frozenset(
    {"specversion", "id", "source", "type", "subject", "time", "data", "data_base64"}
    | {"datacontenttype", "dataschema"}
)
_VERSION = re.compile(r"v\d+")
#: "a DNS expression"; it comes back in a header, so nothing else may be in it.
_ORIGIN = re.compile(r"[A-Za-z0-9.*-]{1,253}")


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """One signal for each event that says whether something fires. Raises Unreadable."""
    if hook.method == "OPTIONS":
        return _shake_hands(hook)
    signals = [signal for event in _events(hook) if (signal := _signal(event, hook))]
    ignored = "its type does not end with firing, acknowledged or resolved, nor does data.status"
    return Reading(signals, ignored="" if signals else ignored)


def _shake_hands(hook: Hook) -> Reading:
    """Agree to deliveries from whoever asks: the address they ask for is secret."""
    origin = hook.headers.get("webhook-request-origin", "").strip()
    if not _ORIGIN.fullmatch(origin):
        raise Unreadable("The header WebHook-Request-Origin is missing, or names no host.")
    headers = {"Allow": "POST, OPTIONS", "WebHook-Allowed-Origin": origin}
    if "webhook-request-rate" in hook.headers:
        headers["WebHook-Allowed-Rate"] = "*"
    return Reading(ignored=f"{origin} asked whether it may deliver here", headers=headers)


def _events(hook: Hook) -> list[dict[str, Any]]:
    if "ce-specversion" in hook.headers:
        return [_read_binary(hook)]
    body = read_json(hook)
    events = objects(body if isinstance(body, list) else [body])
    if (not events and body != []) or not all("specversion" in event for event in events):
        refuse("'specversion', nor is there a header ce-specversion", of="CloudEvents")
    return [event | {"data": _decoded(event)} for event in events]


def _read_binary(hook: Hook) -> dict[str, Any]:
    """The event whose attributes are headers, percent-encoded, and whose data is the body."""
    attributes: dict[str, Any] = {
        name.removeprefix("ce-"): unquote(value)
        for name, value in hook.headers.items()
        if name.startswith("ce-")
    }
    return attributes | {"data": _content(hook.body)}


def _decoded(event: Mapping[str, Any]) -> object:
    if "data_base64" not in event:
        return event.get("data")
    try:
        return _content(base64.b64decode(text(event["data_base64"]), validate=True))
    except (binascii.Error, ValueError):
        raise Unreadable("The event's data_base64 is not base64.") from None


def _content(data: bytes) -> object:
    """JSON where it looks like an object, text otherwise; datacontenttype is often missing."""
    return parse_json(data) if data.lstrip().startswith(b"{") else data.decode("utf-8", "replace")


def _signal(event: Mapping[str, Any], hook: Hook) -> Signal | None:
    """The event as a body of our schema, with what its data says above what the event says."""
    data = event.get("data")
    fields = data if isinstance(data, Mapping) else {"description": text(data)}
    kind, time = first(event.get("type")), first(event.get("time"))
    subject = first(event.get("subject"))
    extensions = {name: value for name, value in event.items() if name not in _CORE}
    own = {name: value for name, value in fields.items() if filled(value)}
    body = {
        "dedup_key": " ".join(filter(None, [first(event.get("source")), subject])),
        "title": first(fields.get("summary"), subject, kind),
        "starts_at": time,
        "ends_at": time,
        **own,
        "status": _status(fields, kind),
        "labels": labels_of(
            extensions,
            fields.get("labels"),
            source=event.get("source"),
            subject=subject,
            type=kind,
        ),
    }
    return read_canonical(body, hook)


def _status(fields: Mapping[str, Any], kind: str) -> str:
    """data.status where it is one, else the last word of the type before a version."""
    given = filled(fields.get("status"))
    if condition_of(given):
        return given
    words = [word for word in kind.split(".") if not _VERSION.fullmatch(word)]
    return words[-1] if words else ""
