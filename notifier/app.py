"""The composition root: reads the folder of channels, opens the database, ties it together.

The only module that imports concrete channels and engines. Tests hand their own parts to
`build`; nothing is ever patched.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import secrets
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import notifier.channels
import notifier.sources
from notifier import settings as settings_module
from notifier.ports import (
    ChannelModule,
    Doorbell,
    EventReader,
    MailChannel,
    NoDoorbell,
    Notifier,
    PostChannel,
    SourceModule,
    Step,
    go_on,
)
from notifier.queueing.embedded import EmbeddedEngine, RunLane
from notifier.rendering.renderer import Renderer
from notifier.services import (
    correlating,
    fetching,
    hooks,
    leases,
    mailing,
    pausing,
    posting,
    upkeep,
)
from notifier.settings import Settings, SettingsError
from notifier.store.db import Database, open_database

if TYPE_CHECKING:
    from notifier.queueing.distributed import DistributedEngine


def discover_channels() -> dict[str, ChannelModule]:
    """The channel modules by name: every file in `notifier/channels/` without a leading `_`."""
    return cast(dict[str, ChannelModule], _discover(notifier.channels))


def discover_sources() -> dict[str, SourceModule]:
    """The monitoring tools by name: every file in `notifier/sources/` without a leading `_`."""
    return cast(dict[str, SourceModule], _discover(notifier.sources))


def load_settings(*, environ: Mapping[str, str] = os.environ, path: Path | None = None) -> Settings:
    """The settings, with the tables of all channels. Raises SettingsError."""
    models = {name: module.Config for name, module in discover_channels().items()}
    return settings_module.load(models, environ=environ, path=path)


def build(
    settings: Settings,
    *,
    doorbell: Doorbell | None = None,
    clock: Callable[[], datetime] | None = None,
    posts: Mapping[str, PostChannel] | None = None,
    mail: MailChannel | None = None,
    backup: MailChannel | None = None,
    database: Database | None = None,
    failpoint: Callable[[Step], None] = go_on,
) -> Notifier:
    """Everything a use case needs. Raises SettingsError or DatabaseError.

    Whatever is given takes the place of the real part.
    """
    modules = discover_channels()
    return Notifier(
        settings=settings,
        renderer=Renderer(
            site_name=settings.site.name, zone=settings.site.zone, sender=settings.email.from_
        ),
        posts=posts if posts is not None else _post_channels(settings, modules),
        mail=mail or _mail_channel(settings, modules, "email.provider", settings.email.provider),
        backup=backup or _backup_channel(settings, modules),
        doorbell=doorbell or _doorbell(settings),
        clock=clock or (lambda: datetime.now(UTC)),
        node=f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}",
        db=database or _open_database(settings),
        failpoint=failpoint,
        event_readers=_event_readers(settings, modules),
        sources=discover_sources(),
        fetch=fetching.fetch,
        bounce_address=_bounce_address(settings),
    )


def start_engine(n: Notifier, engine: EmbeddedEngine, *, alone: bool) -> None:
    """Begin to deliver in this process; `alone` says that no other one does."""
    mark = pausing.mark_of(n)
    pausing.pause_if_restored(n, mark)
    leases.recover(n, alone=alone)
    run_mail = mailing.MailRun(n, goes_on=engine.goes_on).run
    engine.start(_lanes(n, run_mail), upkeep=partial(upkeep.look_after, n, mark))


def start_worker(n: Notifier, engine: DistributedEngine) -> None:
    """Begin to deliver in this process what any process rings for."""
    runs: SimpleQueue[mailing.MailRun] = SimpleQueue()
    for _ in range(engine.concurrency):
        runs.put(mailing.MailRun(n, goes_on=engine.goes_on, more=engine.call_for_help))

    def run_mail() -> datetime | None:
        mine = runs.get()
        try:
            return mine.run()
        finally:
            runs.put(mine)

    pausing.pause_if_restored(n, None)
    engine.start(_lanes(n, run_mail), upkeep=partial(upkeep.look_after, n, None))


def _lanes(n: Notifier, run_mail: RunLane) -> dict[str, RunLane]:
    lanes: dict[str, RunLane] = {name: partial(posting.run_posts, n, name) for name in n.posts}
    return lanes | {"mail": run_mail, hooks.LANE: partial(correlating.run, n)}


def migrate_queue(settings: Settings) -> bool:
    """Bring the queue's own tables up to this version; whether anything was changed.

    Raises SettingsError or DatabaseError.
    """
    if settings.queue == "embedded":
        return False
    _require_procrastinate()
    from notifier.queueing import procrastinate_schema

    database = open_database(settings.database_url)
    try:
        return procrastinate_schema.migrate(database)
    finally:
        database.close()


def _open_database(settings: Settings) -> Database:
    """The database, with the tables that its queue needs."""
    database = open_database(settings.database_url)
    if settings.queue == "embedded":
        return database
    from notifier.queueing import procrastinate_schema

    try:
        procrastinate_schema.ensure(database)
    except Exception:
        database.close()
        raise
    return database


def _doorbell(settings: Settings) -> Doorbell:
    if settings.queue == "embedded":
        return NoDoorbell()
    _require_procrastinate()
    from notifier.queueing.distributed import DistributedDoorbell

    return DistributedDoorbell()


def _require_procrastinate() -> None:
    if importlib.util.find_spec("procrastinate") is None:
        raise SettingsError(
            "queue is 'distributed', but Procrastinate is not installed:"
            " pip install 'notifier[postgres]'"
        )


def _post_channels(
    settings: Settings, modules: Mapping[str, ChannelModule]
) -> dict[str, PostChannel]:
    channels: dict[str, PostChannel] = {}
    for name in settings.posts.channels:
        module = _module(modules, name, kind="post", key="posts.channels")
        channels[name] = cast(PostChannel, module.build(settings.channels[name]))
    return channels


def _mail_channel(
    settings: Settings, modules: Mapping[str, ChannelModule], key: str, name: str
) -> MailChannel:
    module = _module(modules, name, kind="mail", key=key)
    return cast(MailChannel, module.build(settings.channels[name]))


def _backup_channel(settings: Settings, modules: Mapping[str, ChannelModule]) -> MailChannel | None:
    name = settings.email.backup
    if not name:
        return None
    if name == settings.email.provider:
        raise SettingsError(f"email.backup names {name!r}, which is email.provider already")
    return _mail_channel(settings, modules, "email.backup", name)


def _event_readers(
    settings: Settings, modules: Mapping[str, ChannelModule]
) -> dict[str, EventReader]:
    """Also of a provider that is not in use any more: it goes on telling for days."""
    build_of = {name: getattr(m, "build_event_reader", None) for name, m in modules.items()}
    return {name: build(settings.channels[name]) for name, build in build_of.items() if build}


def _bounce_address(settings: Settings) -> str:
    """Of whichever channel has one; likewise."""
    found = (getattr(config, "bounce_address", "") for config in settings.channels.values())
    return next((address for address in found if address), "")


def _discover(folder: ModuleType) -> dict[str, Any]:
    """The modules of a folder, by their NAME."""
    names = (entry.name for entry in pkgutil.iter_modules(folder.__path__))
    modules = (
        importlib.import_module(f"{folder.__name__}.{name}")
        for name in names
        if not name.startswith("_")
    )
    return {module.NAME: module for module in modules}


def _module(
    modules: Mapping[str, ChannelModule], name: str, *, kind: str, key: str
) -> ChannelModule:
    module = modules.get(name)
    if module is None or kind != module.KIND:
        known = ", ".join(sorted(m.NAME for m in modules.values() if kind == m.KIND))
        raise SettingsError(f"{key} names {name!r}; it can be: {known}")
    return module
