"""From an update, its audience and the time to dispatches and skips, each with its reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.incident import Status
from notifier.domain.plan import Audience, Dispatch, MailTime, Plan, Reason, Skip, mail_time, plan

NOW = datetime(2026, 11, 22, 8, 12, tzinfo=UTC)
USUAL = timedelta(minutes=5)
READERS = Audience(posts=("x",), has_readers=True)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def planned(audience: Audience = READERS, **changes: Any) -> Plan:
    given = {
        "status": Status.INVESTIGATING,
        "default_delay": USUAL,
        "asked": MailTime(),
        "audience": audience,
        "now": NOW,
    }
    return plan(**{**given, **changes})


POST = Dispatch("post", "x", NOW, Reason.AT_ONCE)


def mail(after: float, why: Reason) -> Dispatch:
    return Dispatch("mail", "email", NOW + minutes(after), why)


@pytest.mark.parametrize(
    ("situation", "dispatches", "skips"),
    [
        ({}, [POST, mail(5, Reason.BY_SEVERITY)], []),
        ({"status": Status.RESOLVED}, [POST, mail(0, Reason.OVER)], []),
        ({"status": Status.POSTMORTEM}, [POST, mail(0, Reason.OVER)], []),
        ({"asked": MailTime(delay=minutes(0))}, [POST, mail(0, Reason.AS_ASKED)], []),
        ({"asked": MailTime(delay=minutes(90))}, [POST, mail(90, Reason.AS_ASKED)], []),
        ({"asked": MailTime(at=NOW + minutes(20))}, [POST, mail(20, Reason.AS_ASKED)], []),
        ({"asked": MailTime(at=NOW - minutes(1))}, [POST, mail(0, Reason.AS_ASKED)], []),
        (
            {"asked": MailTime(delay=minutes(10)), "status": Status.RESOLVED},
            [POST, mail(10, Reason.AS_ASKED)],
            [],
        ),
        (
            {"audience": replace(READERS, has_readers=False)},
            [POST],
            [Skip("mail", Reason.NO_READERS)],
        ),
        (
            {"audience": replace(READERS, posts=())},
            [mail(5, Reason.BY_SEVERITY)],
            [Skip("post", Reason.NO_CHANNEL)],
        ),
        (
            {"audience": replace(READERS, posts=("x", "console_post"))},
            [
                POST,
                Dispatch("post", "console_post", NOW, Reason.AT_ONCE),
                mail(5, Reason.BY_SEVERITY),
            ],
            [],
        ),
        (
            {"audience": Audience(posts=(), has_readers=False)},
            [],
            [Skip("post", Reason.NO_CHANNEL), Skip("mail", Reason.NO_READERS)],
        ),
    ],
)
def test_each_situation_has_its_dispatches_and_its_skips(
    situation: dict[str, Any], dispatches: list[Dispatch], skips: list[Skip]
) -> None:
    made = planned(**situation)
    assert list(made.dispatches) == dispatches
    assert list(made.skips) == skips


@pytest.mark.parametrize(
    ("waiting", "after", "why"),
    [
        ([3.0], 3, Reason.KEEPS_PLACE),
        ([4.0, 2.0, 30.0], 2, Reason.KEEPS_PLACE),
        ([-2.0], 0, Reason.KEEPS_PLACE),
        ([5.0], 5, Reason.BY_SEVERITY),
        ([30.0], 5, Reason.BY_SEVERITY),
    ],
)
def test_a_newer_update_takes_the_time_of_the_oldest_waiting_mail(
    waiting: list[float], after: float, why: Reason
) -> None:
    audience = replace(READERS, waiting=[NOW + minutes(m) for m in waiting])
    assert planned(audience).dispatches[-1] == mail(after, why)


def test_what_the_operator_asks_for_is_stronger_than_what_waits() -> None:
    audience = replace(READERS, waiting=[NOW + minutes(1)])
    asked = planned(audience, asked=MailTime(delay=minutes(30)))
    assert asked.dispatches[-1] == mail(30, Reason.AS_ASKED)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 299), min_size=1, max_size=12))
def test_frequent_updates_never_push_the_first_mail_away(pauses: list[int]) -> None:
    """Update after update, each within the usual delay of the last: the promised time stands."""
    promised, now = NOW + USUAL, NOW
    for pause in pauses:
        now = min(now + timedelta(seconds=pause), promised)
        due, _ = mail_time(
            status=Status.IDENTIFIED,
            default_delay=USUAL,
            asked=MailTime(),
            waiting=[promised],
            now=now,
        )
        assert due <= promised


def test_every_reason_is_a_sentence_for_the_operator() -> None:
    assert all(" " in reason and not reason.endswith(".") for reason in Reason)
