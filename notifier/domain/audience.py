"""Customers and components: what may be said of them, whoever says it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from email_validator import EmailNotValidError, validate_email

from notifier.domain.text import NAME_MAX, Invalid, line, slug

# BCP 47 in the part that people use: language, optional script, optional region.
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
EXTERNAL_ID_MAX = 120


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as given to us, checked. `components` are slugs in use, without repetition.

    A `priority` customer is told before all others: medical dependence, accessibility.
    """

    external_id: str
    email: str
    name: str
    language: str
    time_zone: str
    components: tuple[str, ...]
    priority: bool = False

    @property
    def email_key(self) -> str:
        """The address in one letter case."""
        return address_key(self.email)

    @property
    def wave(self) -> int:
        """In which order a mail leaves: the customers of wave 0 first, then those of 1."""
        return 0 if self.priority else 1


def customer(
    *,
    external_id: str,
    email: str,
    name: str,
    language: str,
    time_zone: str,
    components: tuple[str, ...],
    priority: bool = False,
) -> Customer:
    """Check a customer's data. Raises Invalid naming the field."""
    return Customer(
        external_id=line("external_id", external_id, limit=EXTERNAL_ID_MAX),
        email=address("email", email),
        name=line("name", name, limit=NAME_MAX) if name.strip() else "",
        language=language_tag("language", language),
        time_zone=zone("time_zone", time_zone).key,
        components=tuple(dict.fromkeys(slug("components", c) for c in components)),
        priority=priority,
    )


def address(field: str, value: str) -> str:
    """An e-mail address in its normal form. Raises Invalid. Asks no name server."""
    value = line(field, value, limit=254)
    try:
        return validate_email(value, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise Invalid(field, f"is not an e-mail address: {error}") from None


def address_key(value: str) -> str:
    """An address in one letter case, by which a mailbox is one mailbox."""
    return value.casefold()


def language_tag(field: str, value: str) -> str:
    """A language tag such as "ur" or "pt-BR". Raises Invalid."""
    if not _LANGUAGE.fullmatch(value):
        raise Invalid(field, f"must be a language tag such as en, ur or pt-BR, not {value!r}")
    return value


def zone(field: str, value: str) -> ZoneInfo:
    """An IANA time zone. Raises Invalid."""
    if value not in _zones():
        raise Invalid(field, f"must be an IANA time zone such as Asia/Karachi, not {value!r}")
    return ZoneInfo(value)


@cache
def _zones() -> frozenset[str]:
    # Reading the zone files takes 10 ms; a CSV of a million customers asks a million times.
    return frozenset(available_timezones())
