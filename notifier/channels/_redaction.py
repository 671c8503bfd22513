"""Credentials stay out of the logs, and out of the reasons we write down."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import quote

from notifier.channels._wire import Answer

# Each of these writes headers, keys or whole messages at DEBUG (read in tweepy 4.17,
# requests-oauthlib 2.0, oauthlib 3.3, python-http-client 3.3).
_TALKATIVE = (
    "tweepy.client",
    "requests_oauthlib.oauth1_auth",
    "oauthlib.oauth1.rfc5849",
    "oauthlib.oauth1.rfc5849.signature",
    "python_http_client.client",
)


class _NothingBelowInfo(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.INFO


_FILTER = _NothingBelowInfo()


def silence_libraries() -> None:
    """Drop the DEBUG records of the libraries that write credentials into them.

    A filter on the very logger, not a level: a level set here could be set again by anybody's
    logging configuration. Doing it twice changes nothing.
    """
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_FILTER)


def scrub(answer: Answer, secrets: Iterable[str]) -> Answer:
    """`answer` without any of `secrets`, should a server or a proxy have echoed one."""
    body = answer.body
    for secret in secrets:
        for form in (secret, quote(secret, safe="")):
            body = body.replace(form.encode(), b"(hidden)")
    return replace(answer, body=body)
