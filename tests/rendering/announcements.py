"""Random announcements, and one fixed announcement of every kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from notifier.domain.incident import Severity, Status
from notifier.domain.message import Sender
from notifier.domain.notice import (
    Announcement,
    Between,
    Duration,
    LatestBy,
    Notice,
    NotKnown,
    Over,
)
from notifier.rendering.renderer import Renderer

KARACHI = ZoneInfo("Asia/Karachi")
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Asia/Karachi",
        "Europe/Berlin",
        "America/St_Johns",
        "America/Sao_Paulo",
        "Asia/Kathmandu",
        "Pacific/Kiritimati",
        "Pacific/Marquesas",
        "Australia/Lord_Howe",
    )
]
LANGUAGES = ["en", "ur", "pt-BR", "zh-Hans-CN"]

# No capital and no digit, so that marks, placeholders and times of templates stand out.
_words = st.text("abcdefghijklm آبپگہی 没有热水 .,;:!?&<>'\"-\n", max_size=80).map(str.strip)
_instants = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)).map(
    lambda at: at.replace(second=0, microsecond=0)
)
_spans = st.tuples(_instants, st.timedeltas(timedelta(minutes=1), timedelta(days=3)))

durations: st.SearchStrategy[Duration] = st.one_of(
    st.just(NotKnown()),
    _instants.map(LatestBy),
    _spans.map(lambda span: Between(span[0], span[0] + span[1])),
    _spans.map(lambda span: Over(span[0], span[0] + span[1])),
)


def marked(name: str) -> st.SearchStrategy[str]:
    """Random text between two marks, by which its beginning and its end are found again."""
    return _words.map(lambda words: f"BEGIN{name} {words} END{name}")


notices = st.builds(
    Notice,
    impact=marked("IMPACT"),
    duration=durations,
    explanation=marked("EXPLANATION"),
    next_update_by=st.none() | _instants,
)
announcements = st.builds(
    Announcement,
    reference=st.just("INC-7"),
    number=st.integers(1, 99),
    title=_words.map(lambda words: " ".join(f"Title {words}".split())),
    severity=st.sampled_from(Severity),
    status=st.sampled_from(Status),
    notice=notices,
    published_at=_instants,
    components=st.lists(_words.map(lambda words: f"c {words}"), min_size=1, max_size=3).map(tuple),
    url=st.just("https://status.example.com/incidents/INC-7"),
)


@cache
def renderer(site_name: str = "Northvale Heat", zone: ZoneInfo = KARACHI) -> Renderer:
    sender = Sender("status@northvale.example", "Northvale Heat")
    return Renderer(site_name=site_name, zone=zone, sender=sender)


_PUBLISHED = datetime(2026, 11, 22, 8, 12, tzinfo=UTC)
_HOUR = timedelta(hours=1)

#: One announcement of every kind of duration, by name.
KINDS: dict[str, tuple[Status, Duration]] = {
    "between": (Status.INVESTIGATING, Between(_PUBLISHED + 2 * _HOUR, _PUBLISHED + 4 * _HOUR)),
    "latest-by": (Status.IDENTIFIED, LatestBy(_PUBLISHED + 20 * _HOUR)),
    "not-known": (Status.MONITORING, NotKnown()),
    "over": (Status.RESOLVED, Over(_PUBLISHED - 3 * _HOUR, _PUBLISHED)),
}


def sample(kind: str) -> Announcement:
    """The announcement of one of KINDS."""
    status, duration = KINDS[kind]
    return Announcement(
        reference="INC-7",
        number=list(KINDS).index(kind) + 1,
        title="No hot water in Northvale",
        severity=Severity.MAJOR,
        status=status,
        notice=Notice(
            impact="About 4,200 homes in Northvale have no hot water. Heating works.",
            duration=duration,
            explanation=(
                "A circulation pump at the Harbour plant failed at 6:30.\n\n"
                "We are replacing it with the reserve pump."
            ),
            next_update_by=_PUBLISHED + _HOUR if status.is_open else None,
        ),
        published_at=_PUBLISHED,
        components=("Northvale district heating", "Harbour plant"),
        url="https://status.example.com/incidents/INC-7",
    )
