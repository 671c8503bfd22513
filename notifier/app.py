"""The composition root: reads the folder of channels, opens the database, ties it together.

The only module that imports concrete channels and engines. Tests hand their own parts to
`build`; nothing is ever patched.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import secrets
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import cast

import notifier.channels
from notifier import settings as settings_module
from notifier.ports import (
    ChannelModule,
    Doorbell,
    MailChannel,
    NoDoorbell,
    Notifier,
    PostChannel,
)
from notifier.queueing.embedded import EmbeddedEngine, RunLane
from notifier.rendering.renderer import Renderer
from notifier.services import leases, mailing, posting
from notifier.settings import Settings, SettingsError
from notifier.store.db import Database, open_database


def discover_channels() -> dict[str, ChannelModule]:
    """The channel modules by name: every file in `notifier/channels/` without a leading `_`."""
    found: dict[str, ChannelModule] = {}
    for entry in pkgutil.iter_modules(notifier.channels.__path__):
        if not entry.name.startswith("_"):
            module = importlib.import_module(f"notifier.channels.{entry.name}")
            found[module.NAME] = cast(ChannelModule, module)
    return found


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
    database: Database | None = None,
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
        mail=mail or _mail_channel(settings, modules),
        doorbell=doorbell or NoDoorbell(),
        clock=clock or (lambda: datetime.now(UTC)),
        node=f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}",
        db=database or open_database(settings.database_url),
    )


def start_engine(n: Notifier, engine: EmbeddedEngine, *, alone: bool) -> None:
    """Begin to deliver in this process; `alone` says that no other one does."""
    lanes: dict[str, RunLane] = {name: partial(posting.run_posts, n, name) for name in n.posts}
    lanes[n.mail.name] = mailing.MailRun(n, goes_on=engine.goes_on).run
    leases.recover(n, alone=alone)
    engine.start(lanes, upkeep=partial(leases.recover, n, alone=False))


def _post_channels(
    settings: Settings, modules: Mapping[str, ChannelModule]
) -> dict[str, PostChannel]:
    channels: dict[str, PostChannel] = {}
    for name in settings.posts.channels:
        module = _module(modules, name, kind="post", key="posts.channels")
        channels[name] = cast(PostChannel, module.build(settings.channels[name]))
    return channels


def _mail_channel(settings: Settings, modules: Mapping[str, ChannelModule]) -> MailChannel:
    name = settings.email.provider
    module = _module(modules, name, kind="mail", key="email.provider")
    return cast(MailChannel, module.build(settings.channels[name]))


def _module(
    modules: Mapping[str, ChannelModule], name: str, *, kind: str, key: str
) -> ChannelModule:
    module = modules.get(name)
    if module is None or kind != module.KIND:
        known = ", ".join(sorted(m.NAME for m in modules.values() if kind == m.KIND))
        raise SettingsError(f"{key} names {name!r}; it can be: {known}")
    return module
