"""Declaring, updating, resolving: everything is written, or nothing is."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from notifier.domain.delivery import State
from notifier.domain.incident import Severity, Status
from notifier.domain.notice import LatestBy, NotKnown, Over
from notifier.domain.plan import MailTime, Reason, Skip
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.services import audience, incidents
from notifier.services.incidents import Expected, NotFound
from notifier.services.reports import report
from notifier.store import schema
from tests.fakes import FakeClock, FakePosts
from tests.services.saying import (
    HOUR,
    declaration,
    declare,
    deliver,
    latest_mail,
    latest_post,
    say,
    words,
)

MINUTE = timedelta(minutes=1)
USUAL = MailTime()


def rows(n: Notifier) -> dict[str, int]:
    """How many rows there are of everything that a declaration writes."""
    tables = (schema.incidents, schema.incident_components, schema.updates, schema.dispatches)
    with n.db.read() as connection:
        return {
            table.name: connection.scalars(select(func.count()).select_from(table)).one()
            for table in tables
        }


def test_a_declaration_is_an_incident_a_post_and_a_mail(n: Notifier, add_customers: Any) -> None:
    add_customers(3)
    said = declare(n, mail=USUAL)

    standing = report(n, said.incident.id)
    assert standing.incident.reference == f"INC-{said.incident.id}"
    assert standing.incident.status == Status.INVESTIGATING
    assert standing.url == f"https://status.example.com/incidents/INC-{said.incident.id}"
    assert said.skips == ()
    post, mail = latest_post(n, said), latest_mail(n, said)
    assert (post.channel, post.state, post.due_at) == ("x", State.PLANNED, n.clock())
    assert post.text.startswith("No hot water in about 4,200 homes.\nExpected to end by ")
    assert (mail.state, mail.recipients, mail.why) == (State.PLANNED, 3, Reason.BY_SEVERITY)
    assert mail.scheduled_for == n.clock() + 5 * MINUTE


def test_the_worse_the_disruption_the_sooner_the_mail(n: Notifier, add_customers: Any) -> None:
    add_customers(1)
    for severity, minutes in ((Severity.CRITICAL, 2), (Severity.MAJOR, 5), (Severity.MINOR, 15)):
        said = declare(n, severity=severity, mail=USUAL)
        assert latest_mail(n, said).scheduled_for == n.clock() + minutes * MINUTE


def test_without_readers_there_is_a_post_and_a_named_skip(n: Notifier) -> None:
    audience.put_component(n, slug_="heat", name="Heat")
    said = declare(n)
    assert said.skips == (Skip("mail", Reason.NO_READERS),)
    assert report(n, said.incident.id).latest.mail is None


# One database serves all of the table: that nothing was changed is what is tested.
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("impact", {"impact": " "}),
    ("impact", {"impact": "0123456789 " * 50}),  # valid, but no post can hold so many numbers
    ("explanation", {"explanation": ""}),
    ("expected_duration", {"expected": Expected()}),
    ("next_update_by", {"next_update_by": None}),
    ("components", {"components": ()}),
    ("components", {"components": ("heat", "nothing")}),
    ("email", {"mail": MailTime(delay=HOUR, at=FakeClock().now + HOUR)}),
    ("email.delay_minutes", {"mail": MailTime(delay=-MINUTE)}),
    ("email.delay_minutes", {"mail": MailTime(delay=timedelta(days=2))}),
    ("email.send_at", {"mail": MailTime(at=FakeClock().now - HOUR)}),
    ("email.send_at", {"mail": MailTime(at=FakeClock().now + timedelta(days=31))}),
    ("email.send_at", {"mail": MailTime(at=FakeClock().now.replace(tzinfo=None))}),
]


def test_a_wrong_declaration_changes_nothing(n: Notifier, add_customers: Any) -> None:
    add_customers(1)
    for field, wrong in WRONG:
        with pytest.raises(Invalid) as refusal:
            declare(n, **wrong)
        assert refusal.value.field == field, wrong
    assert set(rows(n).values()) == {0}


WRONG_INCIDENTS: list[tuple[str, dict[str, Any]]] = [
    ("title", {"title": "No\r\nBcc: all@example.com"}),
    ("title", {"title": ""}),
    ("started_at", {"started_at": FakeClock().now + MINUTE}),
    ("started_at", {"started_at": FakeClock().now - 600_000 * MINUTE}),
    ("started_at", {"started_at": FakeClock().now.replace(tzinfo=None)}),
]


def test_a_wrong_incident_changes_nothing(n: Notifier, add_customers: Any) -> None:
    add_customers(1)
    for field, wrong in WRONG_INCIDENTS:
        with pytest.raises(Invalid) as refusal:
            incidents.declare(n, replace(declaration(n), **wrong), by="Olga")
        assert refusal.value.field == field, wrong
    assert set(rows(n).values()) == {0}


def test_a_wrong_update_changes_nothing(n: Notifier, add_customers: Any) -> None:
    add_customers(1)
    said = declare(n)
    before, standing = rows(n), report(n, said.incident.id)
    for wrong in ({"impact": ""}, {"impact": "0123456789 " * 50}, {"expected": Expected()}):
        with pytest.raises(Invalid):
            say(n, said, Status.IDENTIFIED, **wrong)
    with pytest.raises(Invalid, match="status cannot become postmortem while it is investigating"):
        say(n, said, Status.POSTMORTEM)
    with pytest.raises(NotFound, match="there is no incident 999"):
        incidents.post_update(n, 999, Status.IDENTIFIED, words(n), by="Olga")
    assert rows(n) == before
    assert report(n, said.incident.id) == standing


def test_an_update_leaves_the_earlier_ones_as_they_were(
    n: Notifier, add_customers: Any, clock: FakeClock
) -> None:
    add_customers(1)
    said = declare(n)
    first = report(n, said.incident.id).latest.update
    clock.move(minutes=7)
    say(n, said, Status.IDENTIFIED, impact="No heat at all.", expected=Expected(unknown=True))

    second, unchanged = report(n, said.incident.id).updates
    assert unchanged.update == first
    assert first.notice.duration == LatestBy(clock.now - 7 * MINUTE + 3 * HOUR)
    assert (second.update.number, second.update.notice.duration) == (2, NotKnown())
    assert second.update.published_by == "Olga"


def test_a_resolve_needs_no_duration_and_tells_how_long_it_lasted(
    n: Notifier, add_customers: Any, clock: FakeClock
) -> None:
    add_customers(1)
    said = declare(n)
    clock.move(hours=2)
    say(n, said, Status.RESOLVED, expected=Expected(), next_update_by=None, mail=USUAL)

    over = Over(clock.now - 2 * HOUR, clock.now)
    assert report(n, said.incident.id).latest.update.notice.duration == over
    assert "It lasted 2 hours." in latest_post(n, said).text
    mail = latest_mail(n, said)
    assert (mail.scheduled_for, mail.why) == (clock.now, Reason.OVER)
    # A review weeks later still tells how long it lasted, not how long ago it was.
    clock.move(days=9)
    say(n, said, Status.POSTMORTEM, expected=Expected(), next_update_by=None)
    assert report(n, said.incident.id).latest.update.notice.duration == over


def test_an_incident_that_comes_back_is_open_again(
    n: Notifier, add_customers: Any, clock: FakeClock
) -> None:
    add_customers(1)
    said = declare(n)
    say(n, said, Status.RESOLVED, next_update_by=None)
    clock.move(hours=1)
    say(n, said, Status.IDENTIFIED)
    standing = report(n, said.incident.id)
    assert standing.incident.resolved_at is None
    assert isinstance(standing.latest.update.notice.duration, LatestBy)
    clock.move(hours=1)
    say(n, said, Status.RESOLVED, next_update_by=None)
    over = report(n, said.incident.id).latest.update.notice.duration
    assert over == Over(clock.now - 2 * HOUR, clock.now)


def test_a_newer_update_supersedes_what_waits_and_keeps_its_time(
    n: Notifier, add_customers: Any, clock: FakeClock
) -> None:
    add_customers(1)
    said = declare(n, mail=USUAL)
    promised = latest_mail(n, said).scheduled_for
    clock.move(minutes=3)
    say(n, said, Status.IDENTIFIED, mail=USUAL)

    newer, older = report(n, said.incident.id).updates
    assert older.mail is not None
    assert (older.mail.state, older.mail.reason) == (State.SUPERSEDED, Reason.REPLACED)
    assert older.posts[0].state == State.SUPERSEDED
    assert newer.mail is not None
    assert (newer.mail.scheduled_for, newer.mail.why) == (promised, Reason.KEEPS_PLACE)


def test_a_resolve_supersedes_the_waiting_mail_and_only_its_own_leaves(
    n: Notifier, add_customers: Any, clock: FakeClock, posts: FakePosts, mail: Any
) -> None:
    add_customers(4)
    said = declare(n, mail=USUAL)
    deliver(n)
    assert len(posts.sent) == 1
    assert mail.sent == []
    clock.move(minutes=2)
    say(n, said, Status.RESOLVED, next_update_by=None, mail=USUAL)
    clock.move(hours=1)
    deliver(n)
    assert len(posts.sent) == 2
    assert sorted(mail.addresses) == sorted(f"c{i}@example.com" for i in range(4))
    assert {sent.subject for _, sent in mail.sent} == {
        f"No hot water in Northvale – over [INC-{said.incident.id}]"
    }


def test_one_incident_does_not_supersede_another(n: Notifier, add_customers: Any) -> None:
    add_customers(1)
    first, second = declare(n), declare(n)
    say(n, second, Status.IDENTIFIED)
    assert latest_mail(n, first).state == State.PLANNED
    assert latest_post(n, first).state == State.PLANNED
