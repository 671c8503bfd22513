"""Opening a database: ours, empty, or refused in one sentence."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text

from notifier.domain.incident import Severity, Status
from notifier.store import incidents, people
from notifier.store.db import Database, DatabaseError, migrate, open_database
from notifier.store.metadata import metadata
from tests.fakes import FakeClock

NOW = FakeClock().now


def refusal(url: str) -> str:
    with pytest.raises(DatabaseError) as error:
        open_database(url)
    sentence = str(error.value)
    assert "\n" not in sentence
    return sentence


def add_incident(database: Database) -> int:
    with database.transaction() as connection:
        return incidents.add_incident(
            connection,
            title="No heat",
            severity=Severity.MAJOR,
            status=Status.INVESTIGATING,
            component_ids=[_component(connection)],
            started_at=NOW,
            now=NOW,
        ).id


def _component(connection: Any) -> int:
    return people.put_component(connection, slug="heat", name="Heat", group="", position=0).id


def test_an_empty_database_gets_our_schema_once(empty_database_url: str) -> None:
    database = open_database(empty_database_url)
    made = add_incident(database)
    database.close()

    again = open_database(empty_database_url)
    with again.read() as connection:
        assert incidents.get(connection, made).title == "No heat"
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}
    again.close()


_TOGETHER = 6
_OPEN_WHEN_TOLD = """
import sys
from notifier.store.db import open_database
print("ready", flush=True)
sys.stdin.readline()
open_database(sys.argv[1]).close()
"""


def test_processes_that_find_it_empty_together_make_the_schema_once(
    empty_database_url: str,
) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _OPEN_WHEN_TOLD, empty_database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(_TOGETHER)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("now\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=30) for process in started]
    assert [
        (process.returncode, errors) for process, (_, errors) in zip(started, ended, strict=True)
    ] == ([(0, "")] * _TOGETHER)


def test_a_database_of_a_newer_version_is_refused_and_left_alone(empty_database_url: str) -> None:
    database = open_database(empty_database_url)
    with database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    assert refusal(empty_database_url) == (
        "the database was written by a newer notifier (schema 9999):"
        " install that version again, or use another database"
    )
    with pytest.raises(DatabaseError, match="newer notifier"):
        migrate(empty_database_url)


def test_a_database_of_somebody_else_is_refused_and_left_alone(empty_database_url: str) -> None:
    database = open_database(empty_database_url)
    with database.transaction() as connection:
        metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
        connection.execute(text("CREATE TABLE invoices (id INTEGER PRIMARY KEY)"))
    database.close()
    assert refusal(empty_database_url) == (
        "the database holds tables that are not notifier's; use another"
    )


def test_migrating_a_database_of_this_version_changes_nothing(empty_database_url: str) -> None:
    database = open_database(empty_database_url)
    made = add_incident(database)
    database.close()
    before, after = migrate(empty_database_url)
    assert before == after
    again = open_database(empty_database_url)
    with again.read() as connection:
        assert incidents.get(connection, made).title == "No heat"
    again.close()


def test_migrating_an_empty_database_makes_the_schema(tmp_path: Path) -> None:
    before, after = migrate(f"sqlite:///{tmp_path / 'new.db'}")
    assert before is None
    assert after
    open_database(f"sqlite:///{tmp_path / 'new.db'}").close()


@pytest.mark.parametrize("url", ["", "notifier.db", "mysql://host/db", "http://db", "sqlite:/x:/"])
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    assert refusal(url) == (
        "database_url must be like sqlite:///notifier.db or postgresql://user@host/name"
    )


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    sentence = refusal(f"sqlite:///{tmp_path / 'missing' / 'notifier.db'}")
    assert str(tmp_path / "missing" / "notifier.db") in sentence
    assert "unable to open database file" in sentence


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear customer, " * 100)
    sentence = refusal(f"sqlite:///{path}")
    assert str(path) in sentence
    assert "not a database" in sentence
    assert path.read_text() == "Dear customer, " * 100


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    sentence = refusal(f"postgresql://notifier:hunter2-hunter2@127.0.0.1:{port}/status")
    assert f"postgresql://notifier:***@127.0.0.1:{port}/status" in sentence
    assert "hunter2" not in sentence


@pytest.mark.postgres
def test_a_database_that_does_not_exist_on_the_server_is_named(postgres_server: str) -> None:
    sentence = refusal(postgres_server.replace("/postgres?", "/nowhere?"))
    assert 'database "nowhere" does not exist' in sentence


def test_a_missing_driver_is_said_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as if it were not installed
    assert refusal("postgresql://notifier@127.0.0.1/status") == (
        "database_url names PostgreSQL, but its driver is not installed:"
        " pip install 'notifier[postgres]'"
    )


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    add_incident(database)
    with pytest.raises(ZeroDivisionError):
        _add_and_fail(database)
    with database.read() as connection:
        assert len(incidents.list_incidents(connection)) == 1


def _add_and_fail(database: Database) -> None:
    with database.transaction() as connection:
        incidents.set_status(connection, 1, Status.RESOLVED, resolved_at=NOW)
        connection.execute(text("DELETE FROM incident_components"))
        raise ZeroDivisionError


def test_a_reader_sees_one_moment(database: Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL's READ COMMITTED looks anew with each statement")
    with database.read() as connection:
        assert incidents.list_incidents(connection) == []
        add_incident(database)
        assert incidents.list_incidents(connection) == []
    with database.read() as connection:
        assert len(incidents.list_incidents(connection)) == 1
