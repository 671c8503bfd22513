"""The mail that waits can be edited, moved, sent now or cancelled; once it leaves, it cannot."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from notifier.domain.delivery import BatchOutcome, Retry, Sent, State
from notifier.domain.incident import Status
from notifier.domain.notice import LatestBy, NotKnown, Over
from notifier.domain.plan import MailTime, Reason
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.services import waiting_mail
from notifier.services.incidents import Conflict, Expected, NotFound, Published, Words
from notifier.services.mailing import MailRun
from notifier.services.reports import report
from tests.fakes import FakeClock, FakeMail
from tests.services.saying import HOUR, declare, latest_mail, latest_post, say, words

MINUTE = timedelta(minutes=1)
WAITING = MailTime(delay=30 * MINUTE)


def run(n: Notifier) -> datetime | None:
    return MailRun(n).run()


def edited(n: Notifier, **changes: Any) -> Words:
    """Words for a waiting mail that leave its time alone."""
    return words(n, **{"impact": "Edited impact.", "mail": MailTime(), **changes})


def test_an_edited_mail_says_the_new_words_and_the_update_stays(
    n: Notifier, add_customers: Any, mail: FakeMail, clock: FakeClock
) -> None:
    add_customers(2)
    said = declare(n, mail=WAITING)
    before = latest_mail(n, said)
    waiting_mail.edit(n, before.id, edited(n, expected=Expected(unknown=True)))

    after = latest_mail(n, said)
    assert (after.edited, after.notice.impact, after.notice.duration) == (
        True,
        "Edited impact.",
        NotKnown(),
    )
    assert after.scheduled_for == before.scheduled_for
    assert report(n, said.incident.id).latest.update.notice == said.update.notice
    assert run(n) == before.scheduled_for
    clock.now = before.scheduled_for
    run(n)
    assert len(mail.sent) == 2
    assert all("Edited impact." in m.text and "4,200" not in m.text for _, m in mail.sent)
    assert "4,200" in latest_post(n, said).text


def test_an_edit_can_move_the_mail(n: Notifier, add_customers: Any, clock: FakeClock) -> None:
    add_customers(1)
    said = declare(n, mail=MailTime())
    waiting_mail.edit(n, latest_mail(n, said).id, edited(n, mail=MailTime(at=clock.now + HOUR)))
    moved = latest_mail(n, said)
    assert (moved.scheduled_for, moved.why) == (clock.now + HOUR, Reason.AS_ASKED)
    waiting_mail.edit(n, moved.id, edited(n, mail=MailTime(delay=timedelta(0))))
    assert latest_mail(n, said).scheduled_for == clock.now


def test_a_mail_that_was_moved_is_useful_for_as_long_as_any_other(
    n: Notifier, add_customers: Any, mail: FakeMail, clock: FakeClock
) -> None:
    """Its first try is not its last, however long the operator let it wait."""
    answers = [BatchOutcome(Retry("busy"))]
    mail._answer = lambda _: answers.pop() if answers else BatchOutcome(Sent("1"))
    add_customers(1)
    said = declare(n, mail=WAITING)
    waiting_mail.edit(n, latest_mail(n, said).id, edited(n, mail=MailTime(at=clock.now + 9 * HOUR)))
    clock.move(hours=9)
    due = run(n)
    assert due is not None
    clock.now = due
    run(n)
    assert len(mail.sent) == 1


def test_the_end_of_a_disruption_keeps_its_length_when_its_mail_is_edited(
    n: Notifier, add_customers: Any, clock: FakeClock
) -> None:
    add_customers(1)
    said = declare(n)
    clock.move(hours=2)
    over = say(n, said, Status.RESOLVED, next_update_by=None, mail=WAITING)
    waiting_mail.edit(
        n, latest_mail(n, over).id, edited(n, expected=Expected(), next_update_by=None)
    )
    told = latest_mail(n, over).notice
    assert told.duration == Over(clock.now - 2 * HOUR, clock.now)
    assert told.impact == "Edited impact."


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("impact", {"impact": ""}),
    ("explanation", {"explanation": "x" * 5001}),
    ("expected_duration", {"expected": Expected()}),
    ("next_update_by", {"next_update_by": None}),
    ("email.send_at", {"mail": MailTime(at=FakeClock().now - HOUR)}),
    ("email", {"mail": MailTime(at=FakeClock().now + HOUR, delay=HOUR)}),
]


def test_a_wrong_edit_changes_nothing(n: Notifier, add_customers: Any) -> None:
    add_customers(1)
    said = declare(n, mail=WAITING)
    before = latest_mail(n, said)
    for field, wrong in WRONG:
        with pytest.raises(Invalid) as refusal:
            waiting_mail.edit(n, before.id, edited(n, **wrong))
        assert refusal.value.field == field
    assert latest_mail(n, said) == before


def test_a_waiting_mail_can_be_sent_now(
    n: Notifier, add_customers: Any, mail: FakeMail, clock: FakeClock
) -> None:
    add_customers(3)
    said = declare(n, mail=MailTime())
    clock.move(minutes=1)
    waiting_mail.send_now(n, latest_mail(n, said).id)
    assert latest_mail(n, said).scheduled_for == clock.now
    assert latest_mail(n, said).why == Reason.AS_ASKED
    run(n)
    assert len(mail.sent) == 3


def test_a_cancelled_mail_never_leaves_and_says_who_cancelled_it(
    n: Notifier, add_customers: Any, mail: FakeMail, clock: FakeClock
) -> None:
    add_customers(3)
    said = declare(n, mail=WAITING)
    waiting_mail.cancel(n, latest_mail(n, said).id, by="Olga")
    cancelled = latest_mail(n, said)
    assert (cancelled.state, cancelled.reason) == (State.CANCELLED, "cancelled by Olga")
    clock.move(days=2)
    assert run(n) is None
    assert mail.sent == []


CHANGES: dict[str, Callable[[Notifier, int], None]] = {
    "edit": lambda n, mail_id: waiting_mail.edit(n, mail_id, edited(n)),
    "send now": waiting_mail.send_now,
    "cancel": lambda n, mail_id: waiting_mail.cancel(n, mail_id, by="Olga"),
}


def refuse_all(n: Notifier, said: Published, mail_id: int, state: State) -> None:
    """Every change is a conflict that names the state, and changes nothing."""
    before = report(n, said.incident.id)
    for change in CHANGES.values():
        with pytest.raises(Conflict, match=f"cannot be changed any more, it is {state}"):
            change(n, mail_id)
    assert report(n, said.incident.id) == before


def test_a_mail_that_has_begun_to_leave_cannot_be_changed(
    n: Notifier, add_customers: Any, mail: FakeMail
) -> None:
    add_customers(25)
    said = declare(n)
    seen: list[State] = []

    def in_the_middle(_: object) -> BatchOutcome:
        state = latest_mail(n, said).state
        seen.append(state)
        refuse_all(n, said, latest_mail(n, said).id, state)
        return BatchOutcome(Sent("1"))

    mail._answer = in_the_middle
    run(n)
    assert seen == [State.SENDING] * 3
    refuse_all(n, said, latest_mail(n, said).id, State.ACCEPTED)


def test_a_mail_that_was_cancelled_or_superseded_cannot_be_changed(
    n: Notifier, add_customers: Any
) -> None:
    add_customers(1)
    said = declare(n, mail=WAITING)
    first = latest_mail(n, said)
    say(n, said, Status.IDENTIFIED, mail=WAITING)
    refuse_all(n, said, first.id, State.SUPERSEDED)
    waiting_mail.cancel(n, latest_mail(n, said).id, by="Olga")
    refuse_all(n, said, latest_mail(n, said).id, State.CANCELLED)


def test_only_a_mail_can_be_changed(n: Notifier, add_customers: Any) -> None:
    add_customers(1)
    said = declare(n, mail=WAITING)
    for change in CHANGES.values():
        for no_mail in (latest_post(n, said).id, 999):
            with pytest.raises(NotFound, match=f"there is no mail {no_mail}"):
                change(n, no_mail)
    assert latest_post(n, said).state == State.PLANNED


def test_an_edit_in_the_last_moment_is_in_the_mail_or_refused(
    n: Notifier, add_customers: Any, mail: FakeMail, clock: FakeClock
) -> None:
    """Whenever it comes between the decision to send and the first reader, it is not lost."""
    add_customers(2)
    add_customers(2, time_zone="Asia/Karachi")
    for moment in range(1, 6):
        mail.sent.clear()
        said = declare(n)
        mail_id = latest_mail(n, said).id
        accepted: list[bool] = []

        def edit(n: Notifier = n, mail_id: int = mail_id, accepted: list[bool] = accepted) -> None:
            try:
                waiting_mail.edit(n, mail_id, edited(n))
            except Conflict:
                accepted.append(False)
            else:
                accepted.append(True)

        run(replace(n, clock=_Interrupted(clock, moment, edit)))
        assert len(mail.sent) == 4
        told = {"Edited impact." in m.text for _, m in mail.sent}
        assert told == {bool(accepted) and accepted[0]}, f"at moment {moment}"


class _Interrupted:
    """A clock; when it is asked for the `moment`-th time, something else happens first."""

    def __init__(self, clock: FakeClock, moment: int, happen: Callable[[], None]) -> None:
        self._clock = clock
        self._left = moment
        self._happen = happen

    def __call__(self) -> datetime:
        self._left -= 1
        if self._left == 0:
            self._happen()
        return self._clock()


def test_what_is_not_edited_is_what_was_published(n: Notifier, add_customers: Any) -> None:
    add_customers(1)
    said = declare(n, mail=WAITING)
    waiting = latest_mail(n, said)
    assert not waiting.edited
    assert waiting.notice == said.update.notice
    assert isinstance(waiting.notice.duration, LatestBy)
