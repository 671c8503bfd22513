"""Process, a peer: a warm tweepy client that posts what it is told, and nothing else.

    python -m tests.bench.bare_tweepy URL

Reads one text a line, posts it, and prints the time.time_ns() at which `create_tweet` was called.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import tweepy
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from notifier.settings import SANDBOX_X

_VENDOR = "https://api.twitter.com"


class Elsewhere(HTTPAdapter):
    """Takes to `base` what was signed for X: tweepy's host cannot be set."""

    def __init__(self, base: str) -> None:
        self._base = base
        super().__init__()

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send, to another host."""
        request.url = self._base + request.path_url
        return super().send(request, *args, **kwargs)


def main(url: str) -> None:
    """Post until the input ends."""
    client = tweepy.Client(**SANDBOX_X)
    client.session.mount(_VENDOR, Elsewhere(url))
    for line in sys.stdin:
        called_ns = time.time_ns()
        client.create_tweet(text=line.rstrip("\n"), user_auth=True)
        print(called_ns, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
