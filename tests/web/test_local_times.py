"""Times as people type them: in the site's zone, also on the days when the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from werkzeug.datastructures import MultiDict

from notifier.web.forms import Filled, local_value

BERLIN = ZoneInfo("Europe/Berlin")


def read(typed: str) -> tuple[datetime | None, dict[str, str]]:
    form = MultiDict({"next_update_by": typed})
    filled = Filled(form, BERLIN, datetime(2026, 3, 1, tzinfo=UTC))
    return filled.instant("next_update_by"), filled.errors


@pytest.mark.parametrize("typed", ["2026-03-28T14:30", "2026-03-29T03:00", "2026-10-25T04:00"])
def test_a_typed_time_comes_back_as_it_was_typed(typed: str) -> None:
    at, errors = read(typed)
    assert errors == {}
    assert local_value(at, BERLIN) == typed


def test_an_hour_that_the_clocks_skip_is_refused() -> None:
    at, errors = read("2026-03-29T02:30")
    assert at is None
    assert "the clocks go forward" in errors["next_update_by"]


def test_an_hour_that_comes_twice_means_the_first() -> None:
    at, errors = read("2026-10-25T02:30")
    assert errors == {}
    assert at is not None
    assert at.astimezone(UTC) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "typed", ["14:30", "tomorrow", "2026-13-01T00:00", "2026-03-28T25:00", "9" * 50]
)
def test_what_is_no_time_is_refused(typed: str) -> None:
    at, errors = read(typed)
    assert at is None
    assert "must be a date and a time" in errors["next_update_by"]
