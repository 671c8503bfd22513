"""X, API v2: post, delete, who am I, own timeline.

As strict as the real one where a sender can notice: OAuth 1.0a on every request, weighted
length, no duplicate of a text that stands and is younger than 24 hours, replies only to own
posts, rate limits. Not played: everything else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from notifier.sandbox.log import Log
from notifier.sandbox.oauth import Signatures
from notifier.sandbox.wire import Refused, Reply, Request, json_reply, phrase
from notifier.sandbox.x_post import Draft, invalid, is_id, problem, read_draft, same_text
from notifier.sandbox.x_timeline import Post, page

WINDOW_SECONDS = 15 * 60
DUPLICATE_SECONDS = 24 * 3600
OWN_ID = "1790000000000000001"
_OWN = {"id": OWN_ID, "name": "Notifier sandbox", "username": "sandbox"}
_ROUTES = {
    "POST /2/tweets",
    "DELETE /2/tweets/:id",
    "GET /2/users/me",
    "GET /2/users/:id/tweets",
}
#: The first millisecond that X's ids count from.
_EPOCH_MS = 1288834974657

DUPLICATE = problem(
    403, "You are not allowed to create a Tweet with duplicate content.", "Forbidden"
)
_REPLY_REFUSED = problem(
    403,
    "Reply to this conversation is not allowed because you have not been mentioned or otherwise"
    " engaged by the author of the post you are replying to.",
    "Forbidden",
)
_NO_CREDITS = problem(
    402,
    "Your enrolled account does not have any credits to fulfill this request.",
    "CreditsDepleted",
    type="https://api.twitter.com/2/problems/credits",
)


@dataclass(slots=True)
class _Window:
    """The requests counted to one route since `start`."""

    start: float
    count: int = 0


class X:
    """One account of X and its timeline. Thread-safe."""

    name = "x"
    success = 201

    def __init__(
        self,
        log: Log,
        *,
        credentials: Mapping[str, str],
        limit: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`limit` requests per 15 minutes and route; posts that `log` holds stand already."""
        self._log = log
        self._signatures = Signatures(credentials)
        self._limit = limit
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self._posts: dict[str, Post] = {}
        self._last_id = 0
        self._lock = threading.RLock()
        for line in log.posts_and_deletions():
            self._restore(line)

    def answer(self, request: Request) -> Reply:
        """Do what X does."""
        route = _route(request)
        try:
            authorization = request.headers.get("Authorization", "")
            if not self._signatures.verify(request.method, request.target, authorization):
                return self._limited(route, problem(401, "Unauthorized"))
            self._count(route)
            return self._limited(route, self._act(route, request))
        except Refused as refused:
            return self._limited(route, refused.reply)

    def failure(self, status: int, *, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
        """X's answer with this error status; `headers` replace its own of the same name."""
        reply = _NO_CREDITS if status == 402 else problem(status, phrase(status))
        return self._limited("POST /2/tweets", reply, dict(headers))

    def reset_header(self, value: str) -> tuple[str, str]:
        """X names the end of a rate limit in unix seconds."""
        return "x-rate-limit-reset", value

    def posts(self) -> list[Post]:
        """What stands on the timeline, newest first."""
        with self._lock:
            return list(reversed(self._posts.values()))

    def post(self, ident: str) -> Post | None:
        """One post that stands."""
        return self._posts.get(ident)

    def _act(self, route: str, request: Request) -> Reply:
        match route:
            case "POST /2/tweets":
                return self._create(request)
            case "DELETE /2/tweets/:id":
                return self._delete(request)
            case "GET /2/users/me":
                return json_reply(200, {"data": _OWN})
            case "GET /2/users/:id/tweets":
                return self._timeline(request)
        return problem(404, "Not Found")

    def _create(self, request: Request) -> Reply:
        if request.headers.get("Content-Type", "").split(";")[0].strip() != "application/json":
            return invalid("Requests with bodies must have content-type of application/json.")
        draft = read_draft(request.body)
        with self._lock:
            if self._is_duplicate(draft.text):
                return DUPLICATE
            if draft.reply_to is not None and draft.reply_to not in self._posts:
                return _REPLY_REFUSED
            post = self._publish(draft, request)
        data = {"id": post.id, "text": post.text, "edit_history_tweet_ids": [post.id]}
        return json_reply(201, {"data": data})

    def _publish(self, draft: Draft, request: Request) -> Post:
        post = Post(self._next_id(), draft.text, self._clock(), draft.weight, draft.reply_to)
        self._log.append([to_json(_log_entry(post, request))], lost=request.lost)
        if not request.lost:
            self._posts[post.id] = post
        return post

    def _delete(self, request: Request) -> Reply:
        ident = request.path.rsplit("/", 1)[1]
        if not is_id(ident):
            return invalid(
                f"The `id` query parameter value [{ident}] does not match ^[0-9]{{1,19}}$"
            )
        with self._lock:
            if ident not in self._posts:
                return problem(404, f"Could not find tweet with id: [{ident}].", "Not Found Error")
            deleted = {
                "id": ident,
                "received_ns": request.received_ns,
                "request": request.number,
            }
            self._log.append([to_json({"deleted": deleted})])
            del self._posts[ident]
        return json_reply(200, {"data": {"deleted": True}})

    def _timeline(self, request: Request) -> Reply:
        user = request.path.split("/")[3]
        if user != OWN_ID:
            return problem(404, f"Could not find user with id: [{user}].", "Not Found Error")
        return json_reply(200, page(self.posts(), request.parameters))

    def _is_duplicate(self, text: str) -> bool:
        wanted = same_text(text)
        for post in reversed(self._posts.values()):
            if post.at < self._clock() - DUPLICATE_SECONDS:
                return False
            if same_text(post.text) == wanted:
                return True
        return False

    def _next_id(self) -> str:
        """Ids grow with time (milliseconds since X's epoch, then 22 bits), as X's do."""
        now = (int(self._clock() * 1000) - _EPOCH_MS) << 22
        self._last_id = max(now, self._last_id + 1)
        return str(self._last_id)

    def _restore(self, line: Mapping[str, Any]) -> None:
        if "deleted" in line:
            self._posts.pop(line["deleted"]["id"], None)
            return
        at = datetime.fromisoformat(line["at"]).timestamp()
        self._last_id = max(self._last_id, int(line["id"]))
        self._posts[line["id"]] = Post(
            line["id"], line["text"], at, line["weight"], line["reply_to"]
        )

    def _count(self, route: str) -> None:
        with self._lock:
            window = self._window(route)
            window.count += 1
            if window.count > self._limit:
                raise Refused(problem(429, "Too Many Requests"))

    def _window(self, route: str) -> _Window:
        window = self._windows.get(route)
        if window is None or self._clock() >= window.start + WINDOW_SECONDS:
            window = self._windows[route] = _Window(self._clock())
        return window

    def _limited(
        self, route: str, reply: Reply, replaced: Mapping[str, str] | None = None
    ) -> Reply:
        """`reply` with the rate-limit headers that X puts on every answer."""
        with self._lock:
            window = self._window(route)
            headers = {
                "x-rate-limit-limit": str(self._limit),
                "x-rate-limit-remaining": str(max(0, self._limit - window.count)),
                "x-rate-limit-reset": str(int(window.start + WINDOW_SECONDS)),
            }
        return replace(reply, headers=tuple((headers | dict(replaced or {})).items()))


def _route(request: Request) -> str:
    """The request's line with a placeholder for an id."""
    parts = request.path.split("/")
    if len(parts) in (4, 5) and parts[2:] != ["users", "me"]:
        parts[3] = ":id"
    route = f"{request.method} {'/'.join(parts)}"
    return route if route in _ROUTES else "other"


def _log_entry(post: Post, request: Request) -> dict[str, Any]:
    return {
        "service": "x",
        "received_ns": request.received_ns,
        "request": request.number,
        "id": post.id,
        "to": None,
        "name": None,
        "subject": None,
        "text": post.text,
        "html": None,
        "headers": {},
        "delivery_id": None,
        "weight": post.weight,
        "reply_to": post.reply_to,
    }
