"""The life of an incident."""

import pytest

from notifier.domain.incident import Severity, Status, may_follow

ALL = set(Status)
OPEN = {Status.INVESTIGATING, Status.IDENTIFIED, Status.MONITORING}

# From each status to those that may follow, written out.
LIFE = {
    Status.INVESTIGATING: OPEN | {Status.RESOLVED},
    Status.IDENTIFIED: OPEN | {Status.RESOLVED},
    Status.MONITORING: OPEN | {Status.RESOLVED},
    Status.RESOLVED: OPEN | {Status.POSTMORTEM},
    Status.POSTMORTEM: {Status.POSTMORTEM},
}


@pytest.mark.parametrize("current", list(Status))
@pytest.mark.parametrize("following", list(Status))
def test_a_status_may_follow_as_the_table_says(current: Status, following: Status) -> None:
    assert may_follow(current, following) == (following in LIFE[current])


def test_every_status_has_a_way_on() -> None:
    assert set(LIFE) == ALL
    assert all(any(may_follow(s, t) for t in Status) for s in Status)


def test_open_means_that_customers_are_still_affected() -> None:
    assert {status for status in Status if status.is_open} == OPEN


def test_the_worse_severity_has_the_greater_rank() -> None:
    assert Severity.MINOR.rank < Severity.MAJOR.rank < Severity.CRITICAL.rank
