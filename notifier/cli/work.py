"""`notifier work`: deliver what any `notifier serve` of the site declares."""

from __future__ import annotations

import click


@click.command()
@click.option(
    "--concurrency",
    type=click.IntRange(1, 32),
    default=2,
    show_default=True,
    help="Batches of mail under way at the same time. Posts have threads of their own.",
)
def work(concurrency: int) -> None:
    """Deliver messages, on any number of machines.

    Needs queue = "distributed" and PostgreSQL. It ends on SIGTERM or Ctrl-C, after the calls
    that are under way; what has not begun is left to the other workers.

    \b
    Example:
      NOTIFIER_QUEUE=distributed notifier work --concurrency 4
    """
    from notifier.app import load_settings
    from notifier.cli.server import end_on_signals, start_logging
    from notifier.cli.worker import open_worker, wait

    settings = load_settings()
    start_logging(settings.log_level)
    end_on_signals()
    with open_worker(settings, concurrency=concurrency) as lines:
        for line in lines:
            click.echo(line)
        wait()
