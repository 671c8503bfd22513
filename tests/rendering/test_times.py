"""Times in words: right to the minute in every zone, at the edges of summer time too."""

import re
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.rendering.times import full, full_span, length, short, short_span
from tests.rendering.announcements import ZONES
from tests.rendering.reading import bare_times, whole_times

_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # noqa: SIM905


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "zone", "shown"),
    [
        ("2026-11-22T09:30", "Asia/Karachi", "Sun 22 Nov 2026, 14:30 PKT (UTC+5)"),
        ("2026-11-22T09:30", "UTC", "Sun 22 Nov 2026, 09:30 UTC (UTC+0)"),
        ("2026-11-22T09:30", "Europe/London", "Sun 22 Nov 2026, 09:30 GMT (UTC+0)"),
        ("2026-07-01T09:30", "Europe/London", "Wed 1 Jul 2026, 10:30 BST (UTC+1)"),
        # Three zones are called IST, so the letters alone would say nothing.
        ("2026-07-01T09:30", "Asia/Kolkata", "Wed 1 Jul 2026, 15:00 IST (UTC+5:30)"),
        ("2026-07-01T09:30", "Europe/Dublin", "Wed 1 Jul 2026, 10:30 IST (UTC+1)"),
        ("2026-01-01T02:00", "America/St_Johns", "Wed 31 Dec 2025, 22:30 NST (UTC-3:30)"),
        # Zones without letters of their own.
        ("2026-11-22T09:30", "Asia/Kathmandu", "Sun 22 Nov 2026, 15:15 UTC+5:45"),
        ("2026-11-22T09:30", "America/Sao_Paulo", "Sun 22 Nov 2026, 06:30 UTC-3"),
        ("2026-11-22T11:30", "Pacific/Kiritimati", "Mon 23 Nov 2026, 01:30 UTC+14"),
        # Summer time ends in Berlin at 01:00 UTC and begins there at 01:00 UTC.
        ("2026-10-25T00:59", "Europe/Berlin", "Sun 25 Oct 2026, 02:59 CEST (UTC+2)"),
        ("2026-10-25T01:00", "Europe/Berlin", "Sun 25 Oct 2026, 02:00 CET (UTC+1)"),
        ("2027-03-28T00:59", "Europe/Berlin", "Sun 28 Mar 2027, 01:59 CET (UTC+1)"),
        ("2027-03-28T01:00", "Europe/Berlin", "Sun 28 Mar 2027, 03:00 CEST (UTC+2)"),
        # Half an hour of summer time.
        ("2026-12-01T00:00", "Australia/Lord_Howe", "Tue 1 Dec 2026, 11:00 UTC+11"),
        ("2026-07-01T00:00", "Australia/Lord_Howe", "Wed 1 Jul 2026, 10:30 UTC+10:30"),
    ],
)
def test_a_time_in_full(instant: str, zone: str, shown: str) -> None:
    assert full(at(instant), ZoneInfo(zone)) == shown


def test_a_time_in_short_keeps_date_zone_and_offset() -> None:
    assert short(at("2026-11-22T09:30"), ZoneInfo("Asia/Karachi")) == "22 Nov 14:30 PKT (UTC+5)"


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("start", "end", "shown", "shown_short"),
    [
        (
            "2026-11-22T09:30",
            "2026-11-22T11:00",
            "10:30 and 12:00 on Sun 22 Nov 2026, CET (UTC+1)",
            "22 Nov 10:30 and 12:00 CET (UTC+1)",
        ),
        (
            "2026-11-22T22:30",
            "2026-11-22T23:30",
            "Sun 22 Nov 2026, 23:30 CET (UTC+1) and Mon 23 Nov 2026, 00:30 CET (UTC+1)",
            "22 Nov 23:30 CET (UTC+1) and 23 Nov 00:30 CET (UTC+1)",
        ),
        (  # on one day, but the clock goes back in between
            "2026-10-25T00:50",
            "2026-10-25T01:10",
            "Sun 25 Oct 2026, 02:50 CEST (UTC+2) and Sun 25 Oct 2026, 02:10 CET (UTC+1)",
            "25 Oct 02:50 CEST (UTC+2) and 25 Oct 02:10 CET (UTC+1)",
        ),
    ],
)
def test_a_span_is_short_only_where_nothing_is_lost(
    start: str, end: str, shown: str, shown_short: str
) -> None:
    assert full_span(at(start), at(end), BERLIN) == shown
    assert short_span(at(start), at(end), BERLIN) == shown_short


def test_a_span_takes_the_word_between_its_ends() -> None:
    start, end = at("2026-11-22T09:30"), at("2026-11-22T11:00")
    assert full_span(start, end, BERLIN, word="to").startswith("10:30 to 12:00 on ")


_instants = st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))
_any_zone = st.sampled_from(ZONES)


@settings(max_examples=80, deadline=None)
@given(_instants, _any_zone)
def test_a_time_in_full_says_exactly_one_minute(instant: datetime, zone: ZoneInfo) -> None:
    assert _read(full(instant, zone)) == instant.replace(second=0, microsecond=0)


def _read(shown: str) -> datetime:
    """The instant that a reader works out with the date, the time and the offset."""
    found = re.fullmatch(
        r"\w{3} (\d+) (\w{3}) (\d{4}), (\d\d):(\d\d) .*UTC([+-])(\d+):?(\d\d)?\)?", shown
    )
    assert found, shown
    day, month, year, hour, minute, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    zone = timezone(-offset if sign == "-" else offset)
    return datetime(
        int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), tzinfo=zone
    )


@settings(max_examples=80, deadline=None)
@given(_instants, st.timedeltas(timedelta(0), timedelta(days=3)), _any_zone)
def test_no_time_of_a_span_stands_without_date_and_offset(
    start: datetime, lasting: timedelta, zone: ZoneInfo
) -> None:
    for shown in (
        full_span(start, start + lasting, zone),
        short_span(start, start + lasting, zone),
    ):
        assert bare_times(shown) == []
        assert len(whole_times(shown)) in (1, 2)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "1 minute"),
        (20, "1 minute"),
        (100, "2 minutes"),
        (3600, "1 hour"),
        (2 * 3600 + 10 * 60, "2 hours 10 minutes"),
        (3600 + 60, "1 hour 1 minute"),
        (86_400, "1 day"),
        (86_400 + 60, "1 day 1 minute"),
        (3 * 86_400 + 2 * 3600 + 120, "3 days 2 hours 2 minutes"),
        (59 * 60 + 45, "1 hour"),
    ],
)
def test_a_length_is_told_in_whole_minutes(seconds: int, shown: str) -> None:
    start = at("2026-10-24T22:00")
    assert length(start, start + timedelta(seconds=seconds)) == shown
