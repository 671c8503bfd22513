"""What SendGrid refuses in the body of `POST /v3/mail/send`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from notifier.sandbox.sendgrid_fields import BYTES_MAX, size
from notifier.sandbox.sendgrid_schema import MAIL, RECIPIENTS_MAX
from notifier.sandbox.shapes import Problem

SEND_AHEAD_SECONDS = 72 * 3600


def find_problems(mail: Any, *, now: float) -> list[Problem]:
    """Everything that is wrong with a request body, in the order of its fields.

    `now` is in unix seconds. An empty list means that SendGrid takes the mail.
    """
    return list(MAIL(mail)) or _across(mail, now)


def _across(mail: Mapping[str, Any], now: float) -> list[Problem]:
    """What no single field can tell."""
    return [
        *_recipients(mail["personalizations"]),
        *_subjects(mail),
        *_content_order(mail["content"]),
        *_send_times(mail, now),
        *_argument_sizes(mail),
        *_exclusive(mail),
    ]


def _recipients(personalizations: Sequence[Mapping[str, Any]]) -> list[Problem]:
    addresses = [
        box["email"].lower()
        for one in personalizations
        for role in ("to", "cc", "bcc")
        for box in one.get(role, ())
    ]
    if len(addresses) > RECIPIENTS_MAX:
        why = "There is a limit of 1000 total recipients (to + cc + bcc) per request."
        return [Problem("personalizations", why)]
    if len(set(addresses)) == len(addresses):
        return []
    twice = next(address for address in addresses if addresses.count(address) > 1)
    why = (
        "Each unique email address in the personalizations array should only be included once."
        f" You have included [{twice}] more than once."
    )
    return [Problem("personalizations", why)]


def _subjects(mail: Mapping[str, Any]) -> list[Problem]:
    if "subject" in mail or all("subject" in one for one in mail["personalizations"]):
        return []
    why = (
        "The subject is required. You can get around this requirement if you use a template with"
        " a subject defined or if every personalization has a subject defined."
    )
    return [Problem("subject", why)]


def _content_order(content: Sequence[Mapping[str, str]]) -> list[Problem]:
    ranks = [{"text/plain": 0, "text/html": 1}.get(block["type"], 2) for block in content]
    if ranks == sorted(ranks):
        return []
    why = (
        "Following RFC 1341, section 7.2, if either text/html or text/plain are to be sent in your"
        " email: text/plain needs to be first, followed by text/html, followed by any other"
        " content."
    )
    return [Problem("content", why)]


def _send_times(mail: Mapping[str, Any], now: float) -> list[Problem]:
    why = "Scheduling more than 72 hours in advance is forbidden."
    latest = now + SEND_AHEAD_SECONDS
    found = [Problem("send_at", why)] if mail.get("send_at", 0) > latest else []
    for index, one in enumerate(mail["personalizations"]):
        if one.get("send_at", 0) > latest:
            found.append(Problem(f"personalizations.{index}.send_at", why))
    return found


def _argument_sizes(mail: Mapping[str, Any]) -> list[Problem]:
    why = (
        "The combined size of both global and personalization custom arguments may not exceed"
        " 10,000 bytes per personalization."
    )
    general = mail.get("custom_args", {})
    return [
        Problem(f"personalizations.{index}.custom_args", why)
        for index, one in enumerate(mail["personalizations"])
        if size({**general, **one.get("custom_args", {})}) > BYTES_MAX
    ]


def _exclusive(mail: Mapping[str, Any]) -> list[Problem]:
    found = []
    if "reply_to" in mail and "reply_to_list" in mail:
        why = "You can use either the reply_to property or reply_to_list property but not both."
        found.append(Problem("reply_to_list", why))
    settings = mail.get("mail_settings", {})
    enabled = [n for n, s in settings.items() if n.startswith("bypass_") and s.get("enable")]
    if "bypass_list_management" in enabled and len(enabled) > 1:
        why = "The bypass_list_management filter cannot be combined with any other bypass filters."
        found.append(Problem("mail_settings.bypass_list_management", why))
    return found
