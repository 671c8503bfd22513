"""What an answer, or the lack of one, means: shared by the channels that speak HTTP."""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from notifier.channels._wire import Answer, Wire
from notifier.domain.delivery import Outcome, Rejected, Retry, Unknown

#: Wait after a 429 that does not say how long. A minute is the shortest window either
#: provider counts in; a notice should not wait longer for a header that was not there.
WAIT = timedelta(minutes=1)

# The longest window of any provider is a day; a header that says more is not believed.
_LONGEST_WAIT = timedelta(days=1)

_DETAIL_MAX = 300
_DEPTH_MAX = 5


def judge_silence(provider: str, wire: Wire, error: Exception | None) -> Outcome:
    """Outcome of a call that brought no answer, and usually raised `error`."""
    if wire.sent:
        return Unknown(f"{provider} may or may not have taken it: {explain_silence(wire)}")
    if wire.failure:
        return Retry(f"{provider} cannot be reached: {_in_words(wire.failure)}")
    # Nothing went wrong in the network, so trying again would go wrong in the same way. Only
    # the kind of the error is told: its text may quote a header, and so a key.
    return Rejected(
        f"the request to {provider} could not be made ({type(error).__name__}): check its"
        " settings for characters that do not belong there"
    )


def explain_silence(wire: Wire) -> str:
    """Why a call brought no answer, without anything that may quote a key."""
    if wire.failure:
        return _in_words(wire.failure)
    return "its answer was not HTTP" if wire.sent else "the request could not be made"


def _in_words(failure: Exception) -> str:
    if isinstance(failure, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({failure.verify_message})"
    if isinstance(failure, ssl.SSLError):
        return f"no secure connection ({failure.reason})"
    if isinstance(failure, socket.gaierror):
        return f"its name was not found ({failure.strerror})"
    if isinstance(failure, TimeoutError):
        return "it took too long"
    return (getattr(failure, "strerror", None) or str(failure) or type(failure).__name__).lower()


def read_json(answer: Answer) -> Any:
    """The body as JSON, or None when it is not JSON."""
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def describe(answer: Answer) -> str:
    """What the provider says went wrong: one line of at most 300 characters, may be empty."""
    return one_line("; ".join(dict.fromkeys(_messages(read_json(answer)))))


def one_line(text: str) -> str:
    """`text` from elsewhere, made fit for a reason: one line of at most 300 characters."""
    return re.sub(r"\s+", " ", text)[:_DETAIL_MAX].strip()


def _messages(body: Any, depth: int = 0) -> Iterator[str]:
    """Messages in the shapes seen: problem+json, {"errors": [...]}, {"error": ...}, a list."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, list) and depth < _DEPTH_MAX:
        for item in body[:10]:
            yield from _messages(item, depth + 1)
    elif isinstance(body, dict) and depth < _DEPTH_MAX:
        # The particular first: X's `detail` of a 400 says only that something was invalid.
        keys = ("errors", "detail", "message", "error", "title")
        found = next((body[key] for key in keys if body.get(key)), None)
        yield from _messages(found, depth + 1)


def join(reason: str, said: str) -> str:
    """A reason with the provider's own words after it, if it had any."""
    return f"{reason}: {said}" if said else reason


def wait_until(answer: Answer, header: str) -> timedelta | None:
    """How long until the Unix time in `header`, or None when it holds nothing sensible.

    Counted from the provider's own clock (its Date header): ours may be wrong.
    """
    value = answer.headers.get(header, "")
    return _plausible(int(value) - _now(answer)) if _is_count(value) else None


def wait_for(answer: Answer, header: str = "Retry-After") -> timedelta | None:
    """How long to wait as `header` says in seconds or as a date (RFC 9110 §10.2.3), or None."""
    value = answer.headers.get(header, "")
    if _is_count(value):
        return _plausible(int(value))
    moment = _parse_date(value)
    return None if moment is None else _plausible(moment - _now(answer))


def _is_count(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) < 16


def _plausible(seconds: float) -> timedelta | None:
    wait = timedelta(seconds=max(0.0, seconds))
    return wait if wait <= _LONGEST_WAIT else None


def _now(answer: Answer) -> float:
    return _parse_date(answer.headers.get("Date", "")) or time.time()


def _parse_date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
