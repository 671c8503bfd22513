"""Expected faults, as one sentence and an exit code."""

from __future__ import annotations

import click
from sqlalchemy.exc import DBAPIError

from notifier.domain.text import Invalid
from notifier.services.incidents import Conflict, NotFound
from notifier.settings import SettingsError
from notifier.store.db import DatabaseError


class Wrong(click.ClickException):
    """What was given is wrong; nothing was changed."""

    exit_code = 2


def explain(error: Exception) -> click.ClickException | None:
    """The sentence for a fault that can be expected, or None for a fault of ours."""
    if isinstance(error, Invalid | SettingsError):
        return Wrong(str(error))
    if isinstance(error, DatabaseError | NotFound | Conflict):
        return click.ClickException(str(error))
    if isinstance(error, DBAPIError):
        reason = str(error.orig).strip().splitlines()[0]
        return click.ClickException(f"the database refused: {reason}")
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return click.ClickException(f"{where}{error.strerror}")
    return None
