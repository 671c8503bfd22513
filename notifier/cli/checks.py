"""The checks of `notifier check`, each with a name that stays."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from jinja2 import TemplateError
from sqlalchemy.engine import make_url

from notifier.app import load_settings
from notifier.cli.endpoints import Endpoint, endpoints
from notifier.cli.one_server import database_file
from notifier.domain.incident import Severity, Status
from notifier.domain.notice import Announcement, LatestBy, Notice
from notifier.domain.text import Invalid
from notifier.rendering import times
from notifier.rendering.renderer import Renderer
from notifier.settings import Settings, SettingsError
from notifier.store import sqlite
from notifier.store.db import DatabaseError, open_database
from notifier.store.site import find_pause

_CONNECT_SECONDS = 2.0


_LEAVES = "messages may leave"


class Paused(RuntimeError):
    """Nothing leaves. The message says since when and why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    ok: bool
    message: str


def run_checks() -> list[Finding]:
    """All findings; without readable settings there is only one."""
    try:
        settings = load_settings()
    except SettingsError as error:
        return [Finding("settings", False, str(error))]
    posts, mail = endpoints(settings)
    looks: list[tuple[str, Callable[[], str]]] = [
        ("secret_key", lambda: f"has {len(settings.key())} bytes"),
        ("templates", lambda: _render(settings)),
        *(("posts", partial(_reach, endpoint)) for endpoint in posts),
        ("e-mail", lambda: _reach(mail)),
    ]
    database = _find("database", lambda: _database(settings.database_url))
    return [
        Finding("settings", True, "can be read, and every key is known"),
        database,
        *([_find("pause", lambda: _pause(settings))] if database.ok else []),
        *(_find(name, look) for name, look in looks),
    ]


def _find(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except (SettingsError, DatabaseError, Paused, Invalid, OSError, TemplateError) as error:
        return Finding(name, False, str(error))


def _database(url: str) -> str:
    file = database_file(url)
    if file and not file.exists():
        if not os.access(file.parent, os.W_OK):
            raise DatabaseError(f"{file} cannot be made: there is no such folder we may write to")
        return f"{file} is not there yet and will be made; {_sqlite()}"
    open_database(url).close()
    if make_url(url).get_backend_name() == "sqlite":
        return f"{file or 'in memory'}, schema is this version's; {_sqlite()}"
    return f"{make_url(url).render_as_string(hide_password=True)}, schema is this version's"


def _pause(settings: Settings) -> str:
    """Raises Paused when nothing leaves."""
    file = database_file(settings.database_url)
    if file and not file.exists():
        return _LEAVES
    database = open_database(settings.database_url)
    try:
        with database.read() as connection:
            held = find_pause(connection)
    finally:
        database.close()
    if held:
        since = times.full(held.since, settings.site.zone)
        raise Paused(
            f"nothing leaves since {since}, says {held.by}: {held.reason};"
            " `notifier resume` ends it"
        )
    return _LEAVES


def _sqlite() -> str:
    """Which SQLite, which journal, and why (`notifier.store.sqlite` has the source)."""
    module = sqlite.library()
    mode = sqlite.journal_mode(module)
    if mode == "WAL":
        why = "which keeps every commit in this mode"
    else:
        why = "slower, because this SQLite can lose commits in WAL mode: pip install pysqlite3"
    return f"SQLite {module.sqlite_version} of {module.__name__}, journal mode {mode}, {why}"


def _render(settings: Settings) -> str:
    """Lay a sample out as a post and as a mail. Raises what a broken template raises."""
    renderer = Renderer(
        site_name=settings.site.name, zone=settings.site.zone, sender=settings.email.from_
    )
    now = datetime.now(UTC)
    sample = Announcement(
        reference="INC-1",
        number=1,
        title="A sample",
        severity=Severity.MINOR,
        status=Status.INVESTIGATING,
        notice=Notice("Nothing is wrong.", LatestBy(now), "This is a sample.", now),
        published_at=now,
        components=("Sample",),
        url=f"{settings.base_url}/incidents/INC-1",
    )
    post = renderer.post(sample, limit=280, measure=len)
    mail = renderer.mail(sample, language=settings.site.language, zone=settings.site.zone)
    return f"can be laid out (a post of {len(post)} characters, a mail of {len(mail.html)} bytes)"


def _reach(endpoint: Endpoint) -> str:
    if not endpoint.host:
        return str(endpoint)
    try:
        socket.create_connection((endpoint.host, endpoint.port), _CONNECT_SECONDS).close()
    except OSError as error:
        advice = "; start it with `notifier sandbox`" if endpoint.is_sandbox else ""
        reason = error.strerror or error
        raise OSError(f"{endpoint} cannot be reached: {reason}{advice}") from None
    return str(endpoint)
