"""What each recipient of a SendGrid request receives, as entries for the log."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from email.utils import quote
from typing import Any

from pydantic_core import to_json

from notifier.sandbox.wire import Request

#: What a name in a header must be quoted for (RFC 5322 §3.2.3).
_SPECIALS = re.compile(r'[][()<>:;@\\,."]')
_ROLES = ("to", "cc", "bcc")


def log_entries(mail: Mapping[str, Any], request: Request, message_id: str) -> list[bytes]:
    """One entry per recipient of `mail`, which has passed `sendgrid_rules.find_problems`."""
    merge = _Merge(mail)
    start = b'{"service":"sendgrid","received_ns":%d,"request":%d,' % (
        request.received_ns,
        request.number,
    )
    entries: list[bytes] = []
    for one in mail["personalizations"]:
        texts, rest = merge.texts(one), merge.rest(one)
        for role in _ROLES:
            for box in one.get(role, ()):
                reader = {
                    "id": f"{message_id}.{len(entries) + 1}",
                    "to": box["email"],
                    "name": box.get("name"),
                    "role": role,
                }
                entries.append(b"%b%b,%b}" % (start, to_json(reader | rest)[1:-1], texts))
    return entries


class _Merge:
    """Puts each personalization's own values into the texts and headers of its request.

    A request has one text and up to a thousand recipients. So its texts are made into a JSON
    template once, with the tags as places to fill, and a recipient costs one formatting.
    """

    def __init__(self, mail: Mapping[str, Any]) -> None:
        self._mail = mail
        content = {block["type"]: block["value"] for block in mail["content"]}
        self._text = content.get("text/plain")
        self._html = content.get("text/html")
        self._headers = _common_headers(mail)
        self._templates: dict[tuple[str, tuple[str, ...]], bytes] = {}

    def texts(self, one: Mapping[str, Any]) -> bytes:
        """Subject, text and HTML as members of a JSON object, substitutions applied."""
        substitutions = one.get("substitutions", {})
        subject, tags = one.get("subject") or self._mail["subject"], tuple(substitutions)
        template = self._templates.get((subject, tags))
        if template is None:
            template = self._templates[subject, tags] = self._make_template(subject, tags)
        values = substitutions.values()
        return template % {b"%d" % number: _escape(v) for number, v in enumerate(values)}

    def rest(self, one: Mapping[str, Any]) -> dict[str, Any]:
        """Headers and what else the recipients of one personalization have in common."""
        mail = self._mail
        arguments = {**mail.get("custom_args", {}), **one.get("custom_args", {})}
        headers = self._merge_headers(one)
        rest = {
            "headers": headers,
            "delivery_id": _delivery_id(arguments, headers),
            "custom_args": arguments,
        }
        if "send_at" in one or "send_at" in mail:
            rest["send_at"] = one.get("send_at", mail.get("send_at"))
        return rest

    def _make_template(self, subject: str, tags: tuple[str, ...]) -> bytes:
        parts = (_as_template(text, tags) for text in (subject, self._text, self._html))
        return b'"subject":%b,"text":%b,"html":%b' % tuple(parts)

    def _merge_headers(self, one: Mapping[str, Any]) -> dict[str, str]:
        """The request's headers under the personalization's; letter case does not matter."""
        own = {"To": _mailboxes(one["to"])}
        if "cc" in one:
            own["Cc"] = _mailboxes(one["cc"])
        if "from" in one:
            own["From"] = _mailboxes([one["from"]])
        own |= one.get("headers", {})
        replaced = set(map(str.lower, own))
        common = self._headers.items()
        return {n: value for n, value in common if n.lower() not in replaced} | own


def _common_headers(mail: Mapping[str, Any]) -> dict[str, str]:
    headers = {"From": _mailboxes([mail["from"]])}
    reply_to = [mail["reply_to"]] if "reply_to" in mail else mail.get("reply_to_list")
    if reply_to:
        headers["Reply-To"] = _mailboxes(reply_to)
    headers.update(mail.get("headers", {}))
    return headers


def _as_template(text: str | None, tags: tuple[str, ...]) -> bytes:
    """`text` as a JSON string in which %(N)b stands for the tag number N.

    All tags are replaced in one pass, so values are not searched for tags; where two tags
    begin in one place, the longer is meant.
    """
    if text is None:
        return b"null"
    numbers = {tag: number for number, tag in enumerate(tags) if tag}
    pattern = "|".join(map(re.escape, sorted(numbers, key=len, reverse=True)))
    pieces = re.split(f"({pattern})", text) if pattern else [text]
    filled = (
        b"%%(%d)b" % numbers[piece] if piece in numbers else _escape(piece).replace(b"%", b"%%")
        for piece in pieces
    )
    return b'"%b"' % b"".join(filled)


def _escape(text: str) -> bytes:
    return to_json(text)[1:-1]


def _mailboxes(boxes: Sequence[Mapping[str, str]]) -> str:
    return ", ".join([_mailbox(box.get("name", ""), box["email"]) for box in boxes])


def _mailbox(name: str, address: str) -> str:
    if not name:
        return address
    return f'"{quote(name)}" <{address}>' if _SPECIALS.search(name) else f"{name} <{address}>"


def _delivery_id(arguments: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
    for name, value in arguments.items():
        if name.endswith("delivery_id"):
            return value
    return headers.get("X-Notifier-Delivery-Id")
