"""`notifier serve`: the admin, the API and the delivery, in one process."""

from __future__ import annotations

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    help="Requests that can be answered at the same time.",
)
def serve(host: str, port: int, threads: int) -> None:
    """Serve the admin and the API, and deliver messages.

    One process does both, unless queue = "distributed" leaves the delivery to `notifier work`.
    It ends on SIGTERM or Ctrl-C, after the calls that are under way; what has not begun waits
    for the next start.

    \b
    Example:
      export NOTIFIER_SECRET_KEY=$(openssl rand -hex 32)
      notifier serve --port 8000
    """
    from notifier.app import load_settings
    from notifier.cli.server import end_on_signals, open_site, start_logging

    settings = load_settings()
    start_logging(settings.log_level)
    end_on_signals()
    with open_site(settings, host=host, port=port, threads=threads) as site:
        for line in site.describe():
            click.echo(line)
        site.run()
