"""Healthchecks, hosted or one's own (https://healthchecks.io/docs/configuring_notifications/).

A webhook has an address, a method and a body for "down", and others for "up". In all of them
placeholders are replaced: $CODE is a check's own and stays. There is no body with GET, so the
query is read as well. Read in hc/integrations/webhook/transport.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup
from notifier.sources._canonical import filled, read_canonical
from notifier.sources._reading import dig, first, labels_of, read_flat, refuse, tags_of
from notifier.sources._signing import unsigned

NAME = "healthchecks"
TITLE = "Healthchecks"
SIGNS = False
EVIDENCE: Evidence = "fields"
verify = unsigned
SETUP = Setup(
    steps=(
        "In Healthchecks open Integrations and add a webhook.",
        "Under both, executed when a check goes down and when it goes up, enter the method POST,"
        " the address {url}, the template below as the request body, and the request header"
        " Content-Type: application/json.",
        "Where only GET is possible, this address does the same for both:"
        " {url}?code=$CODE&status=$STATUS&name=$NAME&tags=$TAGS&now=$NOW",
    ),
    template_name="the request body, twice",
    template="""\
{
  "dedup_key": "$CODE",
  "status": "$STATUS",
  "title": $NAME_JSON,
  "labels": {"slug": "$SLUG", "tags": "$TAGS"},
  "starts_at": "$NOW"
}
""",
    notes=(
        "$NAME_JSON stands there without quotation marks on purpose: it brings its own.",
        "The test button sends a check named TEST, which is ignored.",
    ),
    documents="https://healthchecks.io/docs/configuring_notifications/",
)

_CONDITIONS = {"down": Condition.FIRING, "up": Condition.RESOLVED}
#: What `send_test_notification` names the check it makes up (hc/front/views.py).
_TEST = "TEST"


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """A check that went down or up. Raises Unreadable."""
    body = _in_our_schema(read_flat(hook))
    key, status = filled(body.get("dedup_key")), filled(body.get("status")).lower()
    if not key or not status:
        refuse("code and status of a check", of="Healthchecks")
    if filled(body.get("title")) == _TEST:
        return Reading(ignored="it is a test of Healthchecks")
    if status not in _CONDITIONS:
        return Reading(ignored="the check went neither down nor up")
    signal = read_canonical(body | {"status": _CONDITIONS[status]}, hook)
    return Reading([signal] if signal else [])


def _in_our_schema(body: dict[str, Any]) -> dict[str, Any]:
    """Our own template, the fields of a query, or a check as $JSON writes it."""
    check = body.get("check") if isinstance(body.get("check"), dict) else body
    code = first(
        filled(body.get("dedup_key")), filled(body.get("code")), dig(check, "uuid"), _code_of(check)
    )
    name = first(
        filled(body.get("title")), filled(body.get("name")), dig(check, "name"), dig(check, "slug")
    )
    tags = first(dig(body, "labels", "tags"), body.get("tags"), dig(check, "tags"))
    slug = first(dig(body, "labels", "slug"), body.get("slug"), dig(check, "slug"))
    return {
        "dedup_key": code,
        "status": first(filled(body.get("status")), dig(check, "status")),
        "title": name or (f"Check {code}" if code else ""),
        "labels": labels_of(tags_of(filled(tags), separator=" "), check=name, slug=slug),
        "starts_at": first(body.get("starts_at"), body.get("now")),
    }


def _code_of(check: object) -> str:
    """Older versions tell a check's code only as the end of its address."""
    return first(dig(check, "ping_url")).rstrip("/").rpartition("/")[2]
