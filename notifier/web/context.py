"""What belongs to the request or the application, behind typed helpers."""

from __future__ import annotations

from typing import cast

from flask import current_app, g

from notifier.domain.access import Actor
from notifier.ports import Notifier
from notifier.services.access import Session

EXTENSION = "notifier"


def notifier_of_app() -> Notifier:
    """The notifier this application was made for."""
    return cast(Notifier, current_app.extensions[EXTENSION])


def over_tls() -> bool:
    """Whether browsers reach us by https."""
    return notifier_of_app().settings.base_url.startswith("https://")


def set_actor(actor: Actor, session: Session | None = None) -> None:
    """Say who makes this request."""
    g.actor = actor
    g.session = session


def current_actor() -> Actor:
    """Who makes this request. Raises AttributeError where nobody had to say."""
    return cast(Actor, g.actor)


def current_session() -> Session | None:
    """The session of this request, if it came with one and its view asks for one."""
    return cast("Session | None", g.get("session"))
