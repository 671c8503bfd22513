"""The kinds of values in a mail for SendGrid that are more than a string or a number."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic_core import to_json

from notifier.sandbox.shapes import FINE, Check, Problem, boolean, record, text, wrong

BYTES_MAX = 10_000
RESERVED_HEADERS = {
    "x-sg-id",
    "x-sg-eid",
    "received",
    "dkim-signature",
    "content-type",
    "content-transfer-encoding",
    "to",
    "from",
    "subject",
    "reply-to",
    "cc",
    "bcc",
}
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#: Dot-atoms only, 64 characters before the @ (RFC 5321 §4.5.3.1.1), ASCII on both sides.
_ADDRESS = re.compile(rf"(?=.{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+")
_ADDRESS_MAX = 320
_HEADER_NAME = re.compile(r"[!-9;-~]+")


def is_address(value: Any) -> bool:
    """Whether this is an e-mail address in ASCII."""
    return (
        type(value) is str and len(value) <= _ADDRESS_MAX and _ADDRESS.fullmatch(value) is not None
    )


def mailbox(message: str, *, unwanted_in_name: str) -> Check:
    """An object of an address and, if wanted, a name without certain characters."""
    why = "The name must be a string without line breaks, and a recipient's without ; and ,"
    shape = record({"email": lambda _: FINE, "name": text(why, without=unwanted_in_name)}, message)

    def check(value: Any) -> Sequence[Problem]:
        if type(value) is not dict:
            return wrong(message)
        if not is_address(value.get("email")):
            return [Problem("email", message)]
        return shape(value)

    return check


def strings(message: str, empty: str = "") -> Check:
    """An object whose values are strings; `empty` is the message for one without any."""

    def check(value: Any) -> Sequence[Problem]:
        if type(value) is not dict:
            return wrong(message)
        if empty and not value:
            return wrong(empty)
        for inner in value.values():
            if type(inner) is not str:
                return wrong(message)
        return FINE

    return check


def small(message: str) -> Check:
    """An object of strings with at most 10,000 bytes in all, counted as they are sent."""
    return lambda value: wrong(message) if size(value) > BYTES_MAX else FINE


def size(strings: Mapping[str, str]) -> int:
    """Bytes of an object of strings; exact only where it may exceed the limit."""
    characters = sum(map(len, strings)) + sum(map(len, strings.values()))
    if 6 * characters + 6 * len(strings) + 2 <= BYTES_MAX:  # no character needs more than six
        return characters
    return len(to_json(strings))


def header_names(value: Mapping[str, str]) -> Sequence[Problem]:
    """Names a sender may use, each once, and values that cannot break out of their line."""
    found: list[Problem] = []
    for name, content in value.items():
        if why := _refuse_header_name(name):
            found.append(Problem(name, why))
        if "\r" in content or "\n" in content:
            found.append(Problem(name, "Header values cannot contain CRLF characters."))
    if len({name.lower() for name in value}) < len(value):
        found.append(Problem("", "The headers cannot contain duplicate keys."))
    return found


@lru_cache(maxsize=1024)
def _refuse_header_name(name: str) -> str:
    """Why not; a thousand recipients share a handful of names, so the answer is kept."""
    if not _HEADER_NAME.fullmatch(name):
        return "Header keys cannot contain non-ASCII characters or empty spaces."
    if name.lower() in RESERVED_HEADERS:
        return "Header cannot be one of the reserved keys."
    return ""


def base64_text(value: str) -> Sequence[Problem]:
    """Base64, without line breaks."""
    try:
        base64.b64decode(value, validate=True)
    except ValueError:
        return wrong("The attachment content must be base64 encoded.")
    return FINE


def disposition(value: Any) -> Sequence[Problem]:
    """The two ways an attachment can be shown."""
    if value in ("inline", "attachment"):
        return FINE
    return wrong('The disposition of your attachment can be either "inline" or "attachment".')


def ascii_only(value: str) -> Sequence[Problem]:
    """A category's characters."""
    if value.isascii():
        return FINE
    return wrong("Categories can not contain non-ASCII characters.")


def no_repeats(message: str) -> Check:
    """A list without equal elements."""
    return lambda value: wrong(message) if len({*map(to_json, value)}) < len(value) else FINE


def no_template(value: Any) -> Sequence[Problem]:
    """No template at all: a sandbox account has none stored."""
    why = "The Template ID must be a valid template id for your account."
    return wrong(f"{why} You provided {value}.")


def switch(name: str, **others: Check) -> Check:
    """A setting that is on or off, with its other fields."""
    enable = boolean(f"The {name} enable param should be a boolean value.")
    return record({"enable": enable, **others}, f"The {name} setting must be an object.")
