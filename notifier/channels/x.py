"""X (https://x.com): public posts, through tweepy with OAuth 1.0a user keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal

import tweepy
from pydantic import ConfigDict, Field, SecretStr, model_validator

from notifier.channels._judging import (
    WAIT,
    describe,
    explain_silence,
    join,
    judge_silence,
    read_json,
    wait_until,
)
from notifier.channels._redaction import scrub, silence_libraries
from notifier.channels._timeline import FIELDS, Unreadable, find_post, is_id, read_account
from notifier.channels._weight import measure, normalise
from notifier.channels._wire import Adapter, Answer, Wire, read_environment_once
from notifier.domain.delivery import Outcome, Rejected, Repeated, Retry, Sent, Unknown
from notifier.domain.health import rate_of
from notifier.settings import SANDBOX_HTTP, SANDBOX_X, HttpUrl, Table

NAME = "x"
KIND: Literal["post"] = "post"

_REPEATED = "X refused it as duplicate content: a post with exactly this text is already there"

# The host tweepy 4.17 has built in, and for which it signs. X's own documents say
# api.x.com; a signature made for one host is not valid at the other.
_VENDOR = "https://api.twitter.com"
_VENDOR_TOO = "https://api.x.com"

_KEYS = tuple(SANDBOX_X)

# What the operator has to do is in the reason, because nobody else can do it.
_ADVICE = {
    401: "X does not accept our keys: check the four keys under [x] in the settings",
    402: "the X account has no credits left: buy credits in the X developer console, then"
    " send the post again",
    403: "X does not allow this post: check that the app has write permission and that the"
    " account is not restricted",
    404: "X has no such address: check api_url under [x] in the settings",
}


class Config(Table):
    """`[x]`. Without keys, posts go to the sandbox."""

    model_config = ConfigDict(hide_input_in_errors=True)

    api_url: HttpUrl
    #: Where people read posts.
    web_url: HttpUrl
    consumer_key: SecretStr
    consumer_secret: SecretStr
    access_token: SecretStr
    access_token_secret: SecretStr
    #: Seconds for lookup, connecting and TLS together.
    connect_timeout: float = Field(3.05, gt=0, le=30)
    #: Seconds for sending the post and reading the whole answer.
    read_timeout: float = Field(10.0, gt=0, le=60)
    #: Posts in 15 minutes, the window X counts in; 0: only X's own answers hold us back.
    rate_per_15_minutes: int = Field(0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        """Fill in what is not given, for X when there are keys and for the sandbox when not."""
        if not isinstance(values, dict):
            return values
        given = {key: value for key, value in values.items() if value not in (None, "")}
        if "api_url" in given:
            url = str(given["api_url"]).rstrip("/")
            given["api_url"] = _VENDOR if url == _VENDOR_TOO else url
        missing = [key for key in _KEYS if key not in given]
        if missing and (len(missing) < len(_KEYS) or given.get("api_url") == _VENDOR):
            raise ValueError(f"{missing[0]} is missing: X needs all four keys")
        if missing:
            given |= SANDBOX_X
        given.setdefault("api_url", SANDBOX_HTTP if missing else _VENDOR)
        is_vendor = given["api_url"] == _VENDOR
        given.setdefault("web_url", "https://x.com" if is_vendor else f"{given['api_url']}/x")
        return given


def build(config: Config) -> X:
    """The channel. Opens no connection."""
    silence_libraries()
    return X(config)


class X:
    """Posts by one account. Keeps a connection open between posts."""

    name = NAME
    limit = 280
    refuses_repeats = True

    def __init__(self, config: Config) -> None:
        keys = {key: getattr(config, key).get_secret_value() for key in _KEYS}
        self._secrets = tuple(keys.values())
        self.rate = rate_of(config.rate_per_15_minutes, per=timedelta(minutes=15))
        self._web_url = config.web_url
        self._account = ""
        self._wire = Wire(connect=config.connect_timeout, exchange=config.read_timeout)
        self._client = tweepy.Client(**keys, wait_on_rate_limit=False)
        self._client.session.mount(_VENDOR, Adapter(self._wire, config.api_url))
        read_environment_once(self._client.session, _VENDOR)
        # requests would repeat a redirected POST as a GET elsewhere.
        self._client.session.max_redirects = 0

    def measure(self, text: str) -> int:
        """Weighted length as X counts it."""
        return measure(text)

    def send(self, text: str) -> Outcome:
        """Post `text`. Never raises; ends within connect_timeout + read_timeout."""
        self._wire.start()
        failure = None
        try:
            self._client.create_tweet(text=normalise(text))
        except Exception as error:
            # Judged by the answer, not by the exception: tweepy also raises ValueError on a
            # reset header that is no number and AttributeError on an error that is a list.
            failure = error
        if answer := self._wire.answer:
            return _judge(scrub(answer, self._secrets))
        return judge_silence("X", self._wire, failure)

    def find(self, text: str) -> Outcome:
        """Look for `text` among the account's last 100 posts, as many as one request gives.

        Never raises; all of it ends within connect_timeout + read_timeout.
        """
        self._wire.start()
        try:
            self._account = self._account or read_account(self._read(self._client.get_me))
            page = self._read(
                self._client.get_users_tweets, self._account, max_results=100, tweet_fields=FIELDS
            )
            return find_post(page, text)
        except Unreadable as why:
            return Unknown(f"nobody can tell whether the post is on X: {why}")

    def _read(self, call: Callable[..., Any], *what: Any, **how: Any) -> Any:
        """The JSON of one request that publishes nothing. Raises Unreadable."""
        self._wire.answer = None
        with suppress(Exception):  # judged by the answer, as in `send`
            call(*what, user_auth=True, **how)
        if self._wire.answer is None:
            raise Unreadable(f"X did not answer: {explain_silence(self._wire)}")
        answer = scrub(self._wire.answer, self._secrets)
        if answer.status != 200:
            raise Unreadable(_explain_unread(answer))
        return read_json(answer)

    def link(self, reference: str) -> str:
        """Where the post with this id is read."""
        return f"{self._web_url}/i/web/status/{reference}" if reference else ""


def _judge(answer: Answer) -> Outcome:
    said = describe(answer)
    if answer.status < 300:
        return _judge_success(answer, said)
    if answer.status == 429:
        return Retry(join("X's rate limit is reached (429)", said), _rate_wait(answer))
    if answer.status >= 500:
        return Unknown(join(f"X failed while taking the post ({answer.status})", said))
    # 187 is the old API's text for the same thing.
    if answer.status == 403 and re.search("duplicate content|status is a duplicate", said.lower()):
        return Repeated(_REPEATED)
    return Rejected(_refusal(answer.status, said))


def _judge_success(answer: Answer, said: str) -> Outcome:
    body = read_json(answer)
    data = body.get("data") if isinstance(body, dict) else None
    reference = data.get("id") if isinstance(data, dict) else None
    if is_id(reference):
        return Sent(str(reference))
    return Unknown(join(f"X answered {answer.status} without the id of a post", said))


def _refusal(status: int, said: str) -> str:
    if 300 <= status < 400:
        return f"X answered with a redirect ({status}): check api_url under [x] in the settings"
    advice = _ADVICE.get(status, "X refused the post")
    return join(f"{advice} ({status})", said)


def _explain_unread(answer: Answer) -> str:
    advice = {
        401: _ADVICE[401],
        402: "the X account has no credits left to read its posts",
        403: "X does not let us read our own posts: check that the app has read permission",
        429: "X's rate limit for reading is reached",
    }
    reason = advice.get(answer.status, "X did not show our posts")
    return join(f"{reason} ({answer.status})", describe(answer))


def _rate_wait(answer: Answer) -> timedelta:
    """Until the last window that is used up begins anew.

    The windows of 24 hours count only when nothing remains in them: their headers also come
    with an answer that was refused because of the 15-minute window.
    """
    windows = ["x-rate-limit"]
    windows += [
        window
        for window in ("x-app-limit-24hour", "x-user-limit-24hour")
        if answer.headers.get(f"{window}-remaining", "0") == "0"
    ]
    waits = [wait_until(answer, f"{window}-reset") for window in windows]
    return max((wait for wait in waits if wait is not None), default=WAIT)
