"""Copies of a database: a backup that is restored, and a copy that is started beside production."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from notifier.queueing.embedded import UPKEEP_SECONDS
from notifier.settings import PREFIX
from tests.faults.databases import postgres_server, run_client
from tests.faults.referee import Expected
from tests.faults.site import Site, Told, open_site
from tests.faults.trial import Ground, Trial
from tests.processes import request_json

_URL = f"{PREFIX}DATABASE_URL"
#: How long we listen whether a copy speaks: several rounds of what looks for work.
_LISTEN_SECONDS = 4.0


def restore_a_backup(ground: Ground) -> Iterator[Trial]:
    """A backup from the middle of a fan-out, restored when all had left: nothing leaves again.

    One batch is in flight in the backup. SQLite's file is put back in its place; a dump of
    PostgreSQL into a new database, every other time of another cluster. An operator then cancels
    what waits and settles what is unknown; the next disruption reaches everybody.
    """
    for number in range(ground.tries):
        place = ground.again(number)
        with ExitStack() as more, open_site(place, customers=60) as site:
            told, backup = _back_up_while_sending(site)
            site.kill()
            sent = len(site.box.messages())
            site.settings[_URL] = _restore(place, backup, more, elsewhere=bool(number % 2))
            site.start()
            time.sleep(_LISTEN_SECONDS)
            broken = _find_unpaused(site) or _cancel_and_settle(site, told)
            if again := len(site.box.messages()) - sent:
                broken.append(f"{again} messages left again")
            yield site.conclude(site.say(), broken=broken)
            yield site.last_look()


def _back_up_while_sending(site: Site) -> tuple[Told, Path]:
    """A backup in which a batch is in flight whose answer came; and then all has left.

    By what has left since, a file is known as a backup; the upkeep takes note of that.
    """
    backup = site.ground.folder / "backup"
    site.node.arm("mail.answered", "sleep", hit=2, seconds=2.0)
    told = site.say()
    site.wait_for(2 * site.batch, told)
    if site.ground.kind == "postgresql":
        run_client("pg_dump", "-Fc", "-f", str(backup), site.ground.url)
    else:
        _copy_live(_file(site.ground), backup)
    site.wait_until_settled(told)
    time.sleep(UPKEEP_SECONDS + 1)
    return told, backup


def _copy_live(source: Path, target: Path) -> None:
    """A consistent copy of a database that is being written, as `sqlite3 .backup` makes it."""
    with (
        contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as live,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy)


def _restore(place: Ground, backup: Path, more: ExitStack, *, elsewhere: bool) -> str:
    """Put the backup where it belongs; the address under which it is found then."""
    if place.kind == "sqlite":
        database = _file(place)
        for extra in ("-wal", "-shm", "-journal"):
            Path(f"{database}{extra}").unlink(missing_ok=True)
        shutil.copy(backup, database)
        return place.url
    url = place.make(place.folder)
    if elsewhere:
        url = str(more.enter_context(postgres_server()).get_uri())
    run_client("pg_restore", "--no-owner", "-d", url, str(backup))
    return url


def _cancel_and_settle(site: Site, told: Told) -> list[str]:
    """What an operator does after a restore, by the API; what does not work out."""
    _ask(site, "POST", "pause", {"paused": False, "cancel_waiting": True})
    answer = site.wait_until_settled(told)
    # The batch that was in flight has no sender any more; it must be named, and not sent.
    unknown = _ask(site, "GET", "unknown")["messages"]
    for message in unknown:
        _ask(site, "POST", f"unknown/{message['id']}", {"ruling": "arrived"})
    broken = [] if unknown else ["the batch in flight is not among what is unknown"]
    if left := _ask(site, "GET", "unknown")["messages"]:
        broken.append(f"{len(left)} messages cannot be settled")
    if not answer or {"planned", "sending"} & set(answer["email"]["counts"]):
        broken.append("what waited was not cancelled")
    return broken


def start_a_copy(ground: Ground) -> Iterator[Trial]:
    """A copy of the database, taken in the middle of a fan-out, is served as well.

    Both have the same readers before them; the original alone reaches them. What is declared on
    the copy stays there.
    """
    for number in range(ground.tries):
        place = ground.again(number)
        with open_site(place, customers=60) as site:
            site.node.arm("mail.settled", "sleep", seconds=3.0)
            told = site.say()
            site.wait_for(site.batch, told)
            copy = _copy_beside(site)
            broken = [] if site.look(told).missing else ["nothing was left to say"]
            original, site.settings[_URL] = site.settings[_URL], copy
            site.start(1)
            site.settings[_URL] = original
            mistaken = site.prepare()
            mistaken.expected = Expected(mistaken.mark, frozenset(), posts=0)
            site.declare(mistaken, 1)
            time.sleep(_LISTEN_SECONDS)
            broken += _find_unpaused(site, 1)
            yield site.conclude(told, broken=broken)
            yield site.last_look()


def _copy_beside(site: Site) -> str:
    """A copy while production goes on, or, on PostgreSQL, beside which it is started again.

    A template has no connections, so whoever copies a database like this stops the notifier.
    """
    place = site.ground
    if place.kind == "sqlite":
        folder = place.folder / "copy"
        folder.mkdir()
        _copy_live(_file(place), folder / "notifier.db")
        shutil.copy2(f"{_file(place)}.mark", folder / "notifier.db.mark")
        return f"sqlite:///{folder / 'notifier.db'}"
    site.node.stop()
    source = make_url(place.url)
    name = f"{source.database}_copy"
    command = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
        sql.Identifier(name), sql.Identifier(source.database or "")
    )
    with psycopg.connect(_shown(source.set(database="postgres")), autocommit=True) as connection:
        connection.execute(command)
    site.start()
    return _shown(source.set(database=name))


def _shown(url: Any) -> str:
    return str(url.render_as_string(hide_password=False))


def _find_unpaused(site: Site, number: int = 0) -> list[str]:
    """What is wrong with a copy that should have known itself as one."""
    pause = _ask(site, "GET", "pause", number=number)
    return [] if pause["paused"] and pause["reason"] else ["the copy did not start paused"]


def _ask(site: Site, method: str, path: str, body: Any = None, *, number: int = 0) -> Any:
    url = f"{site.nodes[number].url}/api/v1/{path}"
    status, answer = request_json(method, url, body, token=site.token)
    if status != 200:
        raise AssertionError(f"{method} {path} was answered with {status}: {answer}")
    return answer


def _file(ground: Ground) -> Path:
    return Path(make_url(ground.url).database or "")
