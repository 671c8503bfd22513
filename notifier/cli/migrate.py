"""`notifier migrate`: the schema of the database."""

from __future__ import annotations

import click


@click.command()
def migrate() -> None:
    """Bring the database up to this version.

    Stop the server first, and keep a copy of the database: there is no way back.

    \b
    Example:
      cp notifier.db notifier.db.copy && notifier migrate
    """
    from notifier.app import load_settings, migrate_queue
    from notifier.cli.one_server import hold
    from notifier.store import db

    settings = load_settings()
    url = settings.database_url
    with hold(url):
        before, after = db.migrate(url)
        if migrate_queue(settings):
            click.echo("Procrastinate's tables are this version's now.")
    if before == after:
        click.echo(f"The database has the schema {after} already; nothing was changed.")
    else:
        click.echo(f"The database has the schema {after} now (before: {before or 'empty'}).")
