"""StatusCake (https://www.statuscake.com/kb/knowledge-base/how-to-use-the-web-hook-url/).

A form, posted or in the query: URL, Token, Name, StatusCode, Status (Up or Down), IP, Tags, TestID,
Method, Checkrate. Token is md5(user name + API key): the same in every request, so it proves who
sends as a password does, and nothing about the rest.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from notifier.domain.receipt import Untrusted
from notifier.domain.signal import Condition, Evidence, Hook, Reading, Secrets, Setup, Signal
from notifier.sources._canonical import filled, filled_labels
from notifier.sources._reading import read_flat, refuse, tags_of

NAME = "statuscake"
TITLE = "StatusCake"
SIGNS = True
EVIDENCE: Evidence = "fields"
SETUP = Setup(
    steps=(
        "In Contact groups open or make a group and give it as Webhook URL {url} (method POST).",
        "Add the group to the tests we should hear of.",
        "To check the sender, give this integration as signing secret the MD5 of your StatusCake"
        " user name followed by your API key: printf %s USERAPIKEY | md5sum",
    ),
    notes=(
        "The Token is the same in every request: whoever has seen one can send others.",
        "StatusCake names no time: what counts is when a request arrives.",
    ),
    documents="https://www.statuscake.com/kb/knowledge-base/how-to-use-the-web-hook-url/",
)

_CONDITIONS = {"down": Condition.FIRING, "up": Condition.RESOLVED}


def verify(hook: Hook, secrets: Secrets) -> None:
    """Token is one of the secrets. Every one is compared, so the time tells nothing.

    Raises Untrusted, and Unreadable for a request without fields.
    """
    token = _fields(hook).get("token", "")
    if not token:
        raise Untrusted("The request has no Token, and this integration asks for one.")
    given = token.encode("utf-8", "replace")
    matches = [hmac.compare_digest(given, secret.encode()) for secret in secrets.signing]
    if not any(matches):
        raise Untrusted("The Token is not the signing secret of this integration.")


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """The test's alert. Raises Unreadable."""
    fields = _fields(hook)
    name, target = fields.get("name", ""), fields.get("url", "")
    key = fields.get("testid") or " ".join(part for part in (name, target) if part)
    status = fields.get("status", "").lower()
    if not key or not status:
        refuse("'TestID' (or 'Name' and 'URL') with a 'Status'", of="StatusCake")
    condition = _CONDITIONS.get(status)
    if condition is None:
        return Reading(ignored="the test is neither up nor down")
    signal = Signal(
        key=key,
        condition=condition,
        position=hook.received_at,
        at=hook.received_at,
        title=f"{name or target or key} is {status}",
        description=f"Status code {code}" if (code := fields.get("statuscode")) else "",
        labels=_labels(fields),
    )
    return Reading([signal])


def _fields(hook: Hook) -> dict[str, str]:
    """The fields, with names in lower case."""
    return {name.lower(): filled(value) for name, value in read_flat(hook).items()}


def _labels(fields: Mapping[str, str]) -> dict[str, str]:
    return filled_labels(
        tags_of(fields.get("tags", "")),
        test=fields.get("name"),
        target=fields.get("url"),
        host=fields.get("ip"),
        method=fields.get("method"),
        status_code=fields.get("statuscode"),
    )
