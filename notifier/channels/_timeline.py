"""Reading our own posts back from X: is a post with exactly this text there?

What X does to a text before it gives it back (API v2):

- `&`, `<` and `>` come escaped (twittercommunity.com/t/68810), and nothing else does.
- Each address is replaced by one of t.co; `entities.urls` says which. An address without a
  scheme comes back with `http://`, so schemes are not compared. Offsets are not used, because
  they count escaped characters (github.com/Twitter4J/Twitter4J/issues/349).
- A post beyond 280 units is cut in `text` and whole in `note_tweet`. X has also been seen to
  cut a post that fits (github.com/xdevplatform/samples/issues/202), so one that is the
  beginning of what we look for leaves us undecided.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from notifier.channels._weight import normalise
from notifier.domain.delivery import Outcome, Retry, Sent

#: What to ask of X beside id and text.
FIELDS = ["entities", "note_tweet"]

_SHORT = re.compile(r"https?://t\.co/\w+")
_ESCAPE = re.compile("&(amp|lt|gt);")
_ESCAPED = {"amp": "&", "lt": "<", "gt": ">"}


class Unreadable(Exception):
    """X did not tell us what stands on the timeline. The message says why."""


def read_account(body: Any) -> str:
    """The id in an answer of GET /2/users/me. Raises Unreadable."""
    data = body.get("data") if isinstance(body, dict) else None
    account = data.get("id") if isinstance(data, dict) else None
    if not is_id(account):
        raise Unreadable("X did not say whose keys these are")
    return str(account)


def find_post(page: Any, text: str) -> Outcome:
    """Whether a page of GET /2/users/:id/tweets has a post with exactly this text.

    `Sent` with its id, or `Retry` when it is not there. Raises Unreadable.
    """
    wanted = _make_comparable(normalise(text))
    posts = _read_posts(page)
    shown = {_read_text(post): post["id"] for post in posts}
    if wanted in shown:
        return Sent(shown[wanted])
    if page.get("errors"):
        raise Unreadable("X kept some of the posts to itself")
    if any(wanted.startswith(beginning) for beginning in shown if beginning):
        raise Unreadable("a post begins with the same words, and X may have cut it")
    return Retry(f"it is not among the last {len(posts)} posts of the account on X")


def is_id(value: Any) -> bool:
    """Whether this is an id as X writes them."""
    return isinstance(value, str) and re.fullmatch("[0-9]{1,19}", value) is not None


def _read_posts(page: Any) -> list[dict[str, Any]]:
    if not isinstance(page, dict):
        raise Unreadable("X's answer is no timeline")
    posts = page.get("data")
    if posts is None and page.get("meta") == {"result_count": 0}:
        return []
    if not isinstance(posts, list) or not all(map(_is_post, posts)):
        raise Unreadable("X's answer is no timeline")
    return posts


def _is_post(post: Any) -> bool:
    return isinstance(post, dict) and is_id(post.get("id")) and isinstance(post.get("text"), str)


def _read_text(post: dict[str, Any]) -> str:
    """The words of a post as they were written, ready to be compared."""
    note = post.get("note_tweet")
    whole = note if isinstance(note, dict) and isinstance(note.get("text"), str) else post
    links = dict(_read_links(whole.get("entities")))
    text = _SHORT.sub(lambda short: links.get(short[0], short[0]), _unescape(whole["text"]))
    return _make_comparable(text)


def _read_links(entities: Any) -> Iterator[tuple[str, str]]:
    urls = entities.get("urls") if isinstance(entities, dict) else None
    for url in urls if isinstance(urls, list) else []:
        short, long = (url.get("url"), url.get("expanded_url")) if isinstance(url, dict) else (0, 0)
        if isinstance(short, str) and isinstance(long, str):
            yield short, _unescape(long)


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda escape: _ESCAPED[escape[1]], text)


def _make_comparable(text: str) -> str:
    return re.sub("https?://", "", normalise(text)).strip()
