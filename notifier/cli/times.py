"""Times on the command line: `+2h`, or ISO 8601 with a zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

_AHEAD = re.compile(r"\+(?=\d)(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,5})m)?")


class When(click.ParamType[datetime]):
    """A point in time."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """An aware datetime. Fails with one sentence."""
        if isinstance(value, datetime):
            return value
        at = _ahead(str(value)) or _iso(str(value))
        if at is None:
            self.fail(
                f"{value!r} is not a time: write +2h, +90m, +1d12h, or 2026-11-22T16:00:00+05:00",
                param,
                ctx,
            )
        if at.utcoffset() is None:
            self.fail(f"{value!r} has no zone: write it as 2026-11-22T16:00:00+05:00", param, ctx)
        return at


def _ahead(value: str) -> datetime | None:
    """From now, to the minute, which is what readers are told."""
    match = _AHEAD.fullmatch(value)
    if match is None:
        return None
    days, hours, minutes = (int(part or 0) for part in match.groups())
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    return now + timedelta(days=days, hours=hours, minutes=minutes)


def _iso(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None
