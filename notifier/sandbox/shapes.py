"""Small checks of JSON values that combine to a description of a whole request body.

A check is a function from a value to the problems in it. A problem's field is relative to the
value, and each level prefixes its own name on the way out, so that checking a thousand right
values builds no path at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Problem(NamedTuple):
    """What is wrong where. `field` is dotted, such as "personalizations.3.to.0.email"."""

    field: str
    message: str


Check = Callable[[Any], Sequence[Problem]]
FINE: Sequence[Problem] = ()


def under(name: str, problems: Iterable[Problem]) -> list[Problem]:
    """The same problems, seen from one level further out."""
    return [Problem(f"{name}.{p.field}" if p.field else name, p.message) for p in problems]


def wrong(message: str) -> Sequence[Problem]:
    """The value as a whole is wrong."""
    return (Problem("", message),)


def text(message: str, *, least: int = 0, most: int | None = None, without: str = "") -> Check:
    """A string of `least` to `most` characters that has none of those in `without`."""
    unwanted = re.compile(f"[{re.escape(without)}]") if without else None

    def check(value: Any) -> Sequence[Problem]:
        if type(value) is not str or len(value) < least:
            return wrong(message)
        if most is not None and len(value) > most:
            return wrong(message)
        if unwanted is not None and unwanted.search(value):
            return wrong(message)
        return FINE

    return check


def integer(message: str) -> Check:
    """A whole number; true and false are none."""
    return lambda value: FINE if type(value) is int else wrong(message)


def boolean(message: str) -> Check:
    """True or false; "true" is neither."""
    return lambda value: FINE if type(value) is bool else wrong(message)


def any_object(message: str) -> Check:
    """A JSON object with whatever is in it."""
    return lambda value: FINE if type(value) is dict else wrong(message)


def array(item: Check, message: str, *, least: int = 0, most: int | None = None) -> Check:
    """A list of `least` to `most` values, each passing `item`."""

    def check(value: Any) -> Sequence[Problem]:
        if type(value) is not list or len(value) < least:
            return wrong(message)
        if most is not None and len(value) > most:
            return wrong(message)
        found: list[Problem] = []
        for index, element in enumerate(value):
            if problems := item(element):
                found += under(str(index), problems)
        return found

    return check


def record(
    fields: Mapping[str, Check], message: str, *, required: Mapping[str, str] | None = None
) -> Check:
    """An object with these fields and no other; `required` maps a field to why it must be there."""
    must = dict(required or {})

    def check(value: Any) -> Sequence[Problem]:
        if type(value) is not dict:
            return wrong(message)
        found = [Problem(name, why) for name, why in must.items() if name not in value]
        for name, inner in value.items():
            field = fields.get(name)
            if field is None:
                found.append(Problem(name, f"Additional property {name} is not allowed"))
            elif problems := field(inner):
                found += under(name, problems)
        return found

    return check


def every(*checks: Check) -> Check:
    """All of them; a later one only sees what the earlier ones let pass."""

    def check(value: Any) -> Sequence[Problem]:
        for one in checks:
            if problems := one(value):
                return problems
        return FINE

    return check
