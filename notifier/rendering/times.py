"""Instants and spans in words: always with the date, the zone and its offset from UTC.

An abbreviation alone is ambiguous (IST is three zones, CST five), so the offset stands beside
it; where the zone has no letters of its own ("+04"), the offset stands alone.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

# strftime's names follow the server's locale, which is not the reader's.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def full(at: datetime, zone: ZoneInfo) -> str:
    """`Sun 22 Nov 2026, 14:30 PKT (UTC+5)`."""
    local = at.astimezone(zone)
    return f"{_date(local)}, {_clock(local)} {_zone(local)}"


def short(at: datetime, zone: ZoneInfo) -> str:
    """`22 Nov 14:30 PKT (UTC+5)`, for places where every character counts."""
    local = at.astimezone(zone)
    return f"{_day(local)} {_clock(local)} {_zone(local)}"


def full_span(start: datetime, end: datetime, zone: ZoneInfo, *, word: str = "and") -> str:
    """`14:30 and 16:00 on Sun 22 Nov 2026, PKT (UTC+5)`; both in full when days differ."""
    first, last = start.astimezone(zone), end.astimezone(zone)
    if first.date() == last.date() and first.utcoffset() == last.utcoffset():
        return f"{_clock(first)} {word} {_clock(last)} on {_date(last)}, {_zone(last)}"
    return f"{full(start, zone)} {word} {full(end, zone)}"


def short_span(start: datetime, end: datetime, zone: ZoneInfo, *, word: str = "and") -> str:
    """`22 Nov 14:30 and 16:00 PKT (UTC+5)`; both in full when days differ."""
    first, last = start.astimezone(zone), end.astimezone(zone)
    if first.date() == last.date() and first.utcoffset() == last.utcoffset():
        return f"{_day(first)} {_clock(first)} {word} {_clock(last)} {_zone(last)}"
    return f"{short(start, zone)} {word} {short(end, zone)}"


def length(start: datetime, end: datetime) -> str:
    """`2 hours 10 minutes`, in whole minutes, at least one."""
    minutes = max(1, round((end - start) / timedelta(minutes=1)))
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    units = (("day", days), ("hour", hours), ("minute", minutes))
    return " ".join(f"{n} {unit}{'' if n == 1 else 's'}" for unit, n in units if n)


def _clock(local: datetime) -> str:
    return f"{local:%H:%M}"


def _day(local: datetime) -> str:
    return f"{local.day} {_MONTHS[local.month - 1]}"


def _date(local: datetime) -> str:
    return f"{_DAYS[local.weekday()]} {_day(local)} {local.year}"


def _zone(local: datetime) -> str:
    offset = local.utcoffset() or timedelta(0)
    minutes = round(abs(offset) / timedelta(minutes=1))
    sign = "-" if offset < timedelta(0) else "+"
    hours, rest = divmod(minutes, 60)
    utc = f"UTC{sign}{hours}" + (f":{rest:02}" if rest else "")
    name = local.tzname() or ""
    return f"{name} ({utc})" if name.isalpha() else utc
