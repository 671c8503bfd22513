"""`GET /2/users/{id}/tweets`: one page of a timeline, by X's parameters.

Texts come back as X gives them: `&`, `<` and `>` escaped, every address replaced by a short one,
which `entities.urls` explains where it is asked for. Its offsets count the escaped text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from twitter_text import extract_urls_with_indices

from notifier.sandbox.wire import Refused
from notifier.sandbox.x_post import invalid, is_id

_FIELDS = {
    "created_at",
    "id",
    "text",
    "edit_history_tweet_ids",
    "author_id",
    "entities",
    "note_tweet",
}
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
#: Where X cuts the address that it shows instead of the short one.
_DISPLAY_MAX = 26
_KNOWN = {"max_results", "since_id", "until_id", "pagination_token", "tweet.fields", "start_time"}


@dataclass(frozen=True, slots=True)
class Post:
    """One post that stands. `at` is in unix seconds, `weight` as X counts length."""

    id: str
    text: str
    at: float
    weight: int
    reply_to: str | None

    @property
    def created(self) -> datetime:
        """When it was published, in UTC."""
        return datetime.fromtimestamp(self.at, UTC)


def page(posts: Sequence[Post], parameters: Mapping[str, str]) -> dict[str, Any]:
    """The answer to a request with these parameters for `posts`, newest first. Raises Refused."""
    for name in parameters.keys() - _KNOWN:
        raise Refused(invalid(f"The query parameter [{name}] is not one of {sorted(_KNOWN)}"))
    size = _whole(parameters, "max_results", 10, least=5, most=100)
    newest = _ident(parameters, "until_id") or _ident(parameters, "pagination_token")
    oldest = _ident(parameters, "since_id")
    start = _start(parameters)
    found = [
        post
        for post in posts
        if (not newest or int(post.id) < newest) and int(post.id) > oldest and post.at >= start
    ]
    return _body(found[:size], more=len(found) > size, fields=parameters.get("tweet.fields", ""))


def _body(posts: Sequence[Post], *, more: bool, fields: str) -> dict[str, Any]:
    wanted = {"id", "text", "edit_history_tweet_ids", *filter(None, fields.split(","))}
    for name in wanted - _FIELDS:
        raise Refused(invalid(f"The `tweet.fields` query parameter value [{name}] is not allowed"))
    meta: dict[str, Any] = {"result_count": len(posts)}
    if not posts:
        return {"meta": meta}
    meta |= {"newest_id": posts[0].id, "oldest_id": posts[-1].id}
    if more:
        meta["next_token"] = posts[-1].id
    return {"data": [_shown(post, wanted) for post in posts], "meta": meta}


def _shown(post: Post, wanted: set[str]) -> dict[str, Any]:
    text, links = _shorten(post)
    shown: dict[str, Any] = {
        "id": post.id,
        "text": text,
        "edit_history_tweet_ids": [post.id],
    }
    if "created_at" in wanted:
        shown["created_at"] = f"{post.created:%Y-%m-%dT%H:%M:%S}.000Z"
    if "entities" in wanted and links:
        shown["entities"] = {"urls": links}
    return shown


def _shorten(post: Post) -> tuple[str, list[dict[str, Any]]]:
    """The text as X returns it, and what its short addresses stand for."""
    text, links, end = "", list[dict[str, Any]](), 0
    # Only where a dot is can an address be, and looking for one takes a millisecond.
    for found in extract_urls_with_indices(post.text) if "." in post.text else ():
        start, stop = found["indices"]
        text += _escape(post.text[end:start])
        links.append(_link(found["url"], f"{post.id} {start}", at=len(text)))
        text, end = text + links[-1]["url"], stop
    return text + _escape(post.text[end:]), links


def _link(url: str, seed: str, *, at: int) -> dict[str, Any]:
    name = hashlib.sha256(f"{seed} {url}".encode()).hexdigest()[:10]
    short = f"https://t.co/{name}"
    visible = re.sub(r"^https?://(www\.)?", "", url)
    if len(visible) > _DISPLAY_MAX:
        visible = visible[:_DISPLAY_MAX] + "\u2026"
    return {
        "start": at,
        "end": at + len(short),
        "url": short,
        "expanded_url": url if "://" in url else f"http://{url}",
        "display_url": visible,
    }


def _escape(text: str) -> str:
    return "".join([_ESCAPES.get(character, character) for character in text])


def _whole(parameters: Mapping[str, str], name: str, default: int, *, least: int, most: int) -> int:
    value = parameters.get(name, str(default))
    if not value.isdecimal() or not least <= int(value) <= most:
        raise Refused(
            invalid(
                f"The `{name}` query parameter value [{value}] is not between {least} and {most}"
            )
        )
    return int(value)


def _ident(parameters: Mapping[str, str], name: str) -> int:
    value = parameters.get(name, "0")
    if not is_id(value):
        raise Refused(
            invalid(f"The `{name}` query parameter value [{value}] does not match ^[0-9]{{1,19}}$")
        )
    return int(value)


def _start(parameters: Mapping[str, str]) -> float:
    value = parameters.get("start_time")
    if value is None:
        return 0
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise Refused(
            invalid(f"The `start_time` query parameter value [{value}] is not RFC 3339 in UTC")
        ) from None
