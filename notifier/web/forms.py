"""From a filled-in form to what the services take, with everything that is wrong at once.

The rules are the domain's; here they get the name of a field on the page and the words of a
person. The times of a form are in the site's zone, as their labels say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo

from werkzeug.datastructures import MultiDict

from notifier.domain.notice import Duration, NotKnown, expected_duration
from notifier.domain.plan import MailTime
from notifier.domain.text import Invalid
from notifier.services.incidents import Expected, check_mail_time

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")

# The domain repeats a wrong time for programs; on a page it stands in the field below.
_INSTANT = re.compile(r": [0-9]{4}-[0-9]{2}-[0-9]{2}T[^ ]+$")

#: A field as the services name it → as the page does. Others have the same name.
_ON_PAGE = {
    "expected_duration": "duration",
    "expected_duration.from": "duration_from",
    "expected_duration.until": "duration_until",
    "email.send_at": "mail_at",
    "email.delay_minutes": "mail",
    "email": "mail",
}

#: What a field is called in a sentence.
_NAMES = {
    "severity": "How bad it is",
    "title": "The title",
    "impact": "How customers are affected",
    "duration": "How long to expect it",
    "duration_from": "The earliest end",
    "duration_until": "The latest end",
    "explanation": "The explanation",
    "next_update_by": "The time of the next update",
    "mail_at": "The time of the e-mail",
    "mail": "The time of the e-mail",
    "status": "The state",
    "components": "What is affected",
}


def sentence(error: Invalid) -> tuple[str, str]:
    """(field on the page, what is wrong in one sentence) of a refusal."""
    name = _ON_PAGE.get(error.field, error.field)
    reason = _INSTANT.sub("", error.reason).replace("expected_duration.from", "the earliest end")
    return name, f"{_NAMES.get(name, name)} {reason}."


def name_of(name: str) -> str:
    """What a field on the page is called in the middle of a sentence."""
    called = _NAMES.get(name, name)
    return called[0].lower() + called[1:]


def is_field(name: str) -> bool:
    """Whether somebody fills this in; a form also carries what the page itself needs."""
    return name in _NAMES


def local_value(at: datetime | None, zone: ZoneInfo) -> str:
    """An instant as `<input type=datetime-local>` wants it."""
    return f"{at.astimezone(zone):%Y-%m-%dT%H:%M}" if at else ""


@dataclass(slots=True)
class Filled:
    """A form as somebody filled it in. `errors` grows while it is read: field → sentence."""

    form: MultiDict[str, str]
    zone: ZoneInfo
    now: datetime
    errors: dict[str, str] = field(default_factory=dict)

    def text(self, name: str, rule: Callable[..., str], limit: int) -> str:
        """A checked text, "" where it is wrong."""
        return self.check(lambda: rule(name, self.form.get(name, ""), limit=limit)) or ""

    def choice(self, name: str, kind: type[E], otherwise: E, ask: str) -> E:
        """One of the values of `kind`; where there is none, the error `ask`."""
        try:
            return kind(self.form.get(name, ""))
        except ValueError:
            self.errors[name] = ask
            return otherwise

    def instant(self, name: str, ask: str = "") -> datetime | None:
        """A time; None where it is missing (the error `ask`, if given) or wrong."""
        typed = self.form.get(name, "").strip()
        if not typed:
            if ask:
                self.errors[name] = ask
            return None
        try:
            local = datetime.fromisoformat(typed).replace(tzinfo=self.zone)
        except ValueError:
            self.errors[name] = f"{_NAMES[name]} must be a date and a time, like 2026-11-22 14:30."
            return None
        if local.astimezone(UTC).astimezone(self.zone).replace(fold=0) != local:
            self.errors[name] = (
                f"{_NAMES[name]}, {typed}, does not exist: the clocks go forward then."
            )
            return None
        return local

    def expected(self) -> Expected:
        """The expected duration as it was chosen."""
        mode = self.form.get("duration", "")
        if mode == "unknown":
            return Expected(unknown=True)
        if mode not in ("between", "by"):
            self.errors["duration"] = (
                "Say how long to expect it; “not known yet” is an honest answer."
            )
            return Expected()
        ask = "Fill in the {}, or choose another answer."
        start = None
        if mode == "between":
            start = self.instant("duration_from", ask.format("earliest end"))
        return Expected(start, self.instant("duration_until", ask.format("latest end")))

    def duration(self, expected: Expected) -> Duration:
        """What `expected` means; "not known" where it is wrong."""
        if not (expected.unknown or expected.until):
            return NotKnown()
        return (
            self.check(
                lambda: expected_duration(
                    start=expected.start,
                    until=expected.until,
                    unknown=expected.unknown,
                    now=self.now,
                )
            )
            or NotKnown()
        )

    def mail_time(self) -> MailTime:
        """When the mail leaves, as it was chosen."""
        mode = self.form.get("mail", "usual")
        if mode == "now":
            return MailTime(delay=timedelta(0))
        if mode != "at":
            return MailTime()
        at = MailTime(at=self.instant("mail_at", "Fill in when the e-mail leaves."))
        self.check(lambda: check_mail_time(at, self.now))
        return at

    def check(self, rule: Callable[[], T]) -> T | None:
        """What `rule` gives; None where it refuses, which is remembered."""
        try:
            return rule()
        except Invalid as error:
            name, said = sentence(error)
            self.errors.setdefault(name, said)
            return None
