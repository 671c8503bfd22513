"""Reads the body of `POST /2/tweets` and refuses what X refuses, in X's words.

The sandbox plays text posts and replies to one's own posts. It refuses media, polls, quotes
and edits as X refuses an unknown key, rather than to pretend.

Sources of the answers: the duplicate's and the reply rule's bodies as seen in 2026 and the
"invalid request" shape of the API's description; "Your Tweet text is too long. For more
information …" as quoted in public code from this endpoint, with status 400.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json
from twitter_text import parse_tweet

from notifier.sandbox.wire import Refused, Reply, json_reply

WEIGHT_MAX = 280
#: twitter-text-parser needs seconds for some inputs beyond this (measured: "a."*800 1 s,
#: "a."*1600 4.3 s), while a text that fits is never this long unless a single link is.
PARSED_MAX = 1000
_KEYS = {"text", "reply", "reply_settings"}
_REPLY_KEYS = {"in_reply_to_tweet_id", "exclude_reply_user_ids"}
_REPLY_SETTINGS = {"following", "mentionedUsers", "subscribers", "verified"}


@dataclass(frozen=True, slots=True)
class Draft:
    """A post that X would take, if it is no duplicate."""

    text: str
    weight: int
    reply_to: str | None


def problem(status: int, detail: str, title: str = "", **more: Any) -> Reply:
    """X's error body for most statuses."""
    title = title or detail
    return json_reply(
        status, {"title": title, "detail": detail, "type": "about:blank", "status": status, **more}
    )


def invalid(message: str) -> Reply:
    """X's answer to a request it cannot take."""
    return json_reply(
        400,
        {
            "errors": [{"parameters": {}, "message": message}],
            "title": "Invalid Request",
            "detail": "One or more parameters to your request was invalid.",
            "type": "https://api.twitter.com/2/problems/invalid-request",
        },
    )


def read_draft(body: bytes) -> Draft:
    """The post in this request body. Raises Refused."""
    fields = _read_object(body)
    text = fields.get("text")
    if not isinstance(text, str) or not text.strip():
        raise Refused(invalid("$.text: is missing but it is required"))
    if fields.get("reply_settings", "following") not in _REPLY_SETTINGS:
        raise Refused(invalid("$.reply_settings: does not have a value in the enumeration"))
    return Draft(text=text, weight=_weigh(text), reply_to=_read_reply(fields.get("reply")))


def same_text(text: str) -> str:
    """What two duplicates have in common: X compares texts in NFC, without outer white space."""
    return unicodedata.normalize("NFC", text).strip()


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        fields = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise Refused(invalid("Requests with bodies must have valid JSON")) from None
    if not isinstance(fields, dict):
        raise Refused(invalid("$: must be an object"))
    _refuse_unknown("$", fields, _KEYS)
    return fields


def _refuse_unknown(path: str, fields: dict[str, Any], known: set[str]) -> None:
    for key in fields.keys() - known:
        raise Refused(
            invalid(
                f"{path}.{key}: is not defined in the schema and the schema does not allow"
                " additional properties"
            )
        )


def _read_reply(reply: Any) -> str | None:
    if reply is None:
        return None
    if not isinstance(reply, dict):
        raise Refused(invalid("$.reply: must be an object"))
    _refuse_unknown("$.reply", reply, _REPLY_KEYS)
    target = reply.get("in_reply_to_tweet_id")
    if not isinstance(target, str) or not is_id(target):
        raise Refused(invalid("$.reply.in_reply_to_tweet_id: does not match ^[0-9]{1,19}$"))
    return target


def is_id(value: str) -> bool:
    """Whether this is an id as X writes them."""
    return value.isascii() and value.isdecimal() and len(value) <= 19


def _weigh(text: str) -> int:
    """Weighted length (twitter-text, configuration v3). Raises Refused beyond the limit."""
    weight = WEIGHT_MAX + 1
    if len(text) <= PARSED_MAX:
        parsed = parse_tweet(text)
        weight = parsed.weightedLength
        if weight <= WEIGHT_MAX and not parsed.valid:
            raise Refused(invalid("$.text: contains characters that are not allowed"))
    if weight > WEIGHT_MAX:
        raise Refused(
            invalid(
                "Your Tweet text is too long. For more information on how Twitter determines text"
                " length see https://github.com/twitter/twitter-text."
            )
        )
    return weight
