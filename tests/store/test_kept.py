"""What is kept comes back as it was: instants, notices, mails."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy.exc import StatementError

from notifier.domain.incident import Severity, Status
from notifier.domain.notice import Notice
from notifier.ports import Notifier
from notifier.services import audience
from notifier.store import incidents, notices, people
from notifier.store.db import Database
from tests.rendering.announcements import notices as any_notice

NOW = datetime(2026, 11, 22, 8, 12, 30, 123456, tzinfo=UTC)


@given(any_notice)
@settings(max_examples=40, deadline=None)
def test_an_edited_notice_comes_back_as_it_was(notice: Notice) -> None:
    assert notices.from_json(notices.to_json(notice)) == notice


@given(any_notice)
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_published_notice_comes_back_as_it_was(database: Database, notice: Notice) -> None:
    incident_id = begin(database, NOW)
    with database.transaction() as connection:
        written = incidents.add_update(
            connection,
            incident_id=incident_id,
            status=Status.IDENTIFIED,
            notice=notice,
            now=NOW,
            by="Olga",
        )
    with database.read() as connection:
        assert incidents.get_update(connection, written.id) == written
        assert incidents.get_update(connection, written.id).notice == notice


def begin(database: Database, started_at: datetime) -> int:
    with database.transaction() as connection:
        component = people.put_component(connection, slug="heat", name="Heat", group="", position=0)
        return incidents.add_incident(
            connection,
            title="No heat",
            severity=Severity.MAJOR,
            status=Status.INVESTIGATING,
            component_ids=[component.id],
            started_at=started_at,
            now=NOW,
        ).id


@pytest.mark.parametrize("zone", ["Asia/Karachi", "America/St_Johns"])
def test_an_instant_comes_back_as_the_same_instant_in_utc(database: Database, zone: str) -> None:
    given_at = NOW.astimezone(ZoneInfo(zone)) - timedelta(days=400)
    made = begin(database, given_at)
    with database.read() as connection:
        kept = incidents.get(connection, made).started_at
    assert kept == given_at
    assert kept.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_never_reaches_the_database(database: Database) -> None:
    with pytest.raises(StatementError, match="a time without a zone must not reach the database"):
        begin(database, NOW.replace(tzinfo=None))


def test_the_hour_that_comes_twice_is_kept_apart(database: Database) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=0)
    second = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=1)
    made = [begin(database, first), begin(database, second)]
    with database.read() as connection:
        kept = [incidents.get(connection, one).started_at for one in made]
    assert kept[1] - kept[0] == timedelta(hours=1)


def test_components_are_listed_by_group_then_position_then_name(n: Notifier) -> None:
    for slug, name, group, position in (
        ("c", "Cold water", "Water", 2),
        ("b", "Boilers", "Heat", 0),
        ("a", "Arrears", "Heat", 0),
        ("d", "Drains", "Water", 1),
    ):
        audience.put_component(n, slug_=slug, name=name, group=group, position=position)
    with n.db.read() as connection:
        assert [c.slug for c in people.list_components(connection)] == ["a", "b", "d", "c"]
