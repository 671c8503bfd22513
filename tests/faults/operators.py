"""What people do: press twice, upgrade in the middle of it, restore and copy."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import MetaData, create_engine, insert
from sqlalchemy.engine import Connection, make_url

import notifier.store
from notifier.settings import PREFIX
from tests.faults import copies
from tests.faults.referee import Expected, mark
from tests.faults.site import Site, Told, open_site
from tests.faults.starting import MAKING_A_SCHEMA, ZONES, spawn
from tests.faults.trial import Fault, Ground, Trial
from tests.processes import request_json

_AT_ONCE = 50
_PENDING = 10_000


def press_fifty_times(ground: Ground) -> Iterator[Trial]:
    """50 requests at once with one Idempotency-Key are one incident, one post, one mail each."""
    with open_site(ground) as site:
        url = f"{site.node.url}/api/v1/incidents"
        for _ in range(ground.tries):
            told = site.prepare()
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                press = partial(_press, url, site, told)
                answers = list(pool.map(press, range(_AT_ONCE)))
            made = {answer["id"] for status, answer in answers if status == 201}
            told.incident = min(made, default=0)
            refused = sorted({status for status, _ in answers if status != 201})
            broken = [f"{len(made)} incidents were made"] if len(made) != 1 else []
            broken += [f"a repetition was answered with {refused}"] if refused else []
            yield site.conclude(told, broken=broken)
        yield site.last_look()


def _press(url: str, site: Site, told: Told, _number: int) -> tuple[int, Any]:
    return request_json("POST", url, told.body, token=site.token, Idempotency_Key=told.key)


def upgrade_with_pending(ground: Ground) -> Iterator[Trial]:
    """A database of the first release, 10,000 mails pending; the migration is killed, repeated."""
    for number in range(ground.tries):
        place = ground.again(number)
        fill_old_database(place.url, _PENDING)
        kills = _migrate_and_kill(place)
        with open_site(place, customers=0, nodes=0) as site:
            words = mark(1, "old")
            readers = frozenset(f"old{i}@example.com" for i in range(_PENDING))
            told = Told(words, "", {}, Expected(words, readers), incident=1)
            site.told.append(told)
            begun = site.start()
            broken = [] if kills else ["the migration was never killed in time"]
            yield site.conclude(told, healed_ns=begun, broken=broken)
            yield site.last_look()


def fill_old_database(url: str, readers: int) -> None:
    """The schema of the first release, and one declared incident of which nothing has left."""
    engine = create_engine(make_url(url).set(drivername=_driver(url)))
    with MAKING_A_SCHEMA, engine.begin() as connection:
        config = Config()
        folder = Path(notifier.store.__file__).parent / "migrations"
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        _write_old_rows(connection, readers)
    engine.dispose()


def _write_old_rows(connection: Connection, readers: int) -> None:
    tables = MetaData()
    tables.reflect(connection)
    now = datetime.now(UTC)
    words = mark(1, "old")

    def add(table: str, *rows: dict[str, Any]) -> None:
        connection.execute(insert(tables.tables[table]), list(rows))

    add("components", {"id": 1, "slug": "heat", "name": "Heat"})
    people = [(i, f"old{i - 1}@example.com") for i in range(1, readers + 1)]
    stamps = {"created_at": now, "updated_at": now}
    zones = {"language": "en", "name": ""}
    add(
        "customers",
        *(
            {"id": i, "external_id": f"old{i}", "email": address, "email_key": address}
            | {"time_zone": ZONES[i * len(ZONES) // (readers + 1)], **zones, **stamps}
            for i, address in people
        ),
    )
    add("customer_components", *({"customer_id": i, "component_id": 1} for i, _ in people))
    incident = {"id": 1, "title": "No heat", "severity": "critical", "status": "investigating"}
    add("incidents", incident | {"started_at": now, "created_at": now})
    add("incident_components", {"incident_id": 1, "component_id": 1})
    update = {"id": 1, "incident_id": 1, "number": 1, "status": "investigating"}
    said = {"impact": f"You have no heat {words}.", "duration_kind": "unknown"}
    by = {"explanation": "A pump failed.", "published_at": now, "published_by": "Olga"}
    add("updates", update | said | by | {"next_update_by": now + timedelta(hours=1)})
    common = {"incident_id": 1, "update_id": 1, "state": "planned", "why": "", "priority": 3}
    due = {"first_due": now, "due_at": now, "created_at": now}
    post = {"lane": "post", "channel": "x", "text": f"You have no heat {words}."}
    mail = {"lane": "mail", "channel": "sendgrid", "text": None}
    add("dispatches", common | due | post, common | due | mail)


def _migrate_and_kill(ground: Ground) -> int:
    """Migrate, killed at random moments until one try gets through; how often it was killed."""
    settings = _settings(ground)
    for kills in range(100):
        popen, output = spawn(["-m", "notifier", "migrate"], settings, ground.folder, "migrate")
        # It works for a short while about a second after its start; the later tries have longer.
        patience = ground.random.uniform(0.2, 1.0) if kills < 4 else 60.0
        try:
            code = popen.wait(patience)
        except subprocess.TimeoutExpired:
            popen.send_signal(signal.SIGKILL)
            popen.wait()
            continue
        if code != 0:
            raise AssertionError(f"the migration failed: {output.read_text()[-500:]}")
        return kills
    raise AssertionError("the migration never ended")


def _settings(ground: Ground) -> dict[str, str]:
    config = ground.folder / "notifier.toml"
    config.touch()
    return {f"{PREFIX}CONFIG": str(config), f"{PREFIX}DATABASE_URL": ground.url}


def _driver(url: str) -> str:
    return "sqlite" if url.startswith("sqlite") else "postgresql+psycopg"


FAULTS = (
    # The longest first, so that it is not waited for alone at the end of a run.
    Fault(
        "B1 pg_dump",
        "pg_dump from the middle of a fan-out, restored in a new database, in another cluster",
        copies.restore_a_backup,
        tries=(2, 20),
        kinds=("postgresql",),
    ),
    Fault(
        "B1",
        "a backup from the middle of a fan-out is put back after its end",
        copies.restore_a_backup,
        tries=(1, 20),
        kinds=("sqlite",),
    ),
    Fault(
        "B2",
        "a copy is started by mistake, beside the original that is sending",
        copies.start_a_copy,
        tries=(1, 20),
    ),
    Fault(
        "U1",
        "upgrade from the first schema with 10,000 pending, the migration killed on the way",
        upgrade_with_pending,
        tries=(1, 10),
    ),
    Fault("O2", "50 parallel requests with one Idempotency-Key", press_fifty_times, tries=(2, 40)),
)
