"""The notice: three parts in one order, and every refusal names the field it is about."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from notifier.domain.incident import Status
from notifier.domain.notice import (
    Between,
    Duration,
    LatestBy,
    Notice,
    NotKnown,
    Over,
    Part,
    expected_duration,
    notice,
)
from notifier.domain.text import Invalid

NOW = datetime(2026, 11, 22, 8, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")


def expected(**changes: Any) -> Duration:
    return expected_duration(
        **{"start": None, "until": None, "unknown": False, "now": NOW, **changes}
    )


def told(**changes: Any) -> Notice:
    given = {
        "status": Status.INVESTIGATING,
        "impact": "No hot water in Northvale.",
        "duration": NotKnown(),
        "explanation": "A pump failed.",
        "next_update_by": NOW + HOUR,
        "now": NOW,
    }
    return notice(**{**given, **changes})


def test_the_order_is_impact_duration_explanation() -> None:
    made = told()
    assert [part for part, _ in made.parts()] == [Part.IMPACT, Part.DURATION, Part.EXPLANATION]
    assert list(Part) == [Part.IMPACT, Part.DURATION, Part.EXPLANATION]
    assert [content for _, content in made.parts()] == [
        "No hot water in Northvale.",
        NotKnown(),
        "A pump failed.",
    ]


def test_no_order_of_arguments_changes_the_order_of_parts() -> None:
    values = {"impact": "i", "duration": NotKnown(), "explanation": "e", "next_update_by": None}
    for names in permutations(values):
        made = Notice(**{name: values[name] for name in names})
        assert [content for _, content in made.parts()] == ["i", NotKnown(), "e"]


def test_the_order_of_a_notice_cannot_be_set() -> None:
    # Python 3.11 answers with TypeError for a frozen class with slots, later ones with its kin.
    with pytest.raises((AttributeError, TypeError)):
        told().parts = lambda: ()  # type: ignore[method-assign,assignment]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"unknown": True}, NotKnown()),
        ({"until": NOW + HOUR}, LatestBy(NOW + HOUR)),
        ({"start": NOW + HOUR, "until": NOW + 2 * HOUR}, Between(NOW + HOUR, NOW + 2 * HOUR)),
        ({"start": NOW - HOUR, "until": NOW + HOUR}, Between(NOW - HOUR, NOW + HOUR)),
        # A clock a little behind ours must not make "now" the past.
        ({"until": NOW - timedelta(seconds=59)}, LatestBy(NOW - timedelta(seconds=59))),
        ({"until": NOW + timedelta(days=366)}, LatestBy(NOW + timedelta(days=366))),
    ],
)
def test_a_duration_is_a_range_or_a_latest_end_or_not_known(
    given: dict[str, Any], meant: Duration
) -> None:
    assert expected(**given) == meant


NAIVE = datetime(2026, 11, 22, 16, 0)


@pytest.mark.parametrize(
    ("given", "field", "reason"),
    [
        ({}, "expected_duration", "is missing"),
        ({"unknown": True, "until": NOW + HOUR}, "expected_duration", "not both"),
        ({"unknown": True, "start": NOW + HOUR}, "expected_duration", "not both"),
        ({"start": NOW + HOUR}, "expected_duration.until", "is missing"),
        (
            {"start": NOW + 2 * HOUR, "until": NOW + HOUR},
            "expected_duration.until",
            "must be later than expected_duration.from",
        ),
        (
            {"start": NOW + HOUR, "until": NOW + HOUR},
            "expected_duration.until",
            "must be later than expected_duration.from",
        ),
        ({"until": NOW - timedelta(seconds=61)}, "expected_duration.until", "is in the past"),
        (
            {"start": NOW - 3 * HOUR, "until": NOW - HOUR},
            "expected_duration.until",
            "is in the past",
        ),
        (
            {"until": NOW + timedelta(days=366, seconds=1)},
            "expected_duration.until",
            "is more than a year ahead",
        ),
        ({"until": NAIVE}, "expected_duration.until", "has no zone"),
        ({"start": NAIVE, "until": NOW + HOUR}, "expected_duration.from", "has no zone"),
    ],
)
def test_it_refuses_a_duration_naming_the_field(
    given: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        expected(**given)
    assert refusal.value.field == field
    assert reason in refusal.value.reason


@pytest.mark.parametrize(
    ("given", "field", "reason"),
    [
        ({"impact": ""}, "impact", "is missing"),
        ({"impact": " \n "}, "impact", "is missing"),
        ({"impact": "x" * 601}, "impact", "has 601 characters"),
        ({"impact": "No\x07water"}, "impact", "U+0007"),
        ({"explanation": ""}, "explanation", "is missing"),
        ({"explanation": "x" * 5001}, "explanation", "has 5001 characters"),
        ({"explanation": "A \ue000 pump"}, "explanation", "U+E000"),
        ({"next_update_by": None}, "next_update_by", "is missing"),
        ({"next_update_by": NAIVE}, "next_update_by", "has no zone"),
        ({"next_update_by": NOW - HOUR}, "next_update_by", "is in the past"),
        ({"next_update_by": NOW + timedelta(days=400)}, "next_update_by", "more than a year"),
    ],
)
def test_it_refuses_a_notice_naming_the_field(
    given: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        told(**given)
    assert refusal.value.field == field
    assert reason in refusal.value.reason


@pytest.mark.parametrize("status", list(Status))
def test_a_next_update_is_owed_exactly_while_the_incident_is_open(status: Status) -> None:
    if status.is_open:
        with pytest.raises(Invalid, match="next_update_by is missing"):
            told(status=status, next_update_by=None)
    else:
        over = told(status=status, next_update_by=None, duration=Over(NOW - HOUR, NOW))
        assert over.next_update_by is None


def test_it_composes_what_it_keeps() -> None:
    assert told(impact="Le re\u0301seau").impact == "Le réseau"


def test_an_hour_that_comes_twice_is_told_apart() -> None:
    # Sunday 25 Oct 2026, 3:00 in Berlin becomes 2:00 again: 2:50 comes before 2:10.
    night = datetime(2026, 10, 24, 20, 0, tzinfo=UTC)
    first = datetime(2026, 10, 25, 2, 50, tzinfo=BERLIN, fold=0)
    second = datetime(2026, 10, 25, 2, 10, tzinfo=BERLIN, fold=1)

    made = expected(start=first, until=second, now=night)

    assert made == Between(first.astimezone(UTC), second.astimezone(UTC))
    with pytest.raises(Invalid, match=r"expected_duration\.until must be later"):
        expected(start=second, until=first, now=night)


def test_it_refuses_a_range_that_a_skipped_hour_turns_round() -> None:
    # Sunday 28 Mar 2027, 2:00 in Berlin becomes 3:00: who types 2:30 means 3:30.
    night = datetime(2027, 3, 27, 20, 0, tzinfo=UTC)
    skipped = datetime(2027, 3, 28, 2, 30, tzinfo=BERLIN)
    with pytest.raises(Invalid, match=r"expected_duration\.until must be later"):
        expected(start=skipped, until=datetime(2027, 3, 28, 3, 10, tzinfo=BERLIN), now=night)


@pytest.mark.parametrize("edge", [datetime.min, datetime.max])
def test_the_ends_of_the_calendar_are_refused_like_any_other_time(edge: datetime) -> None:
    for zone in ("Etc/GMT+12", "Pacific/Kiritimati"):
        at = edge.replace(tzinfo=ZoneInfo(zone))
        with pytest.raises(Invalid):
            expected(until=at)
        with pytest.raises(Invalid):
            told(next_update_by=at)
