"""`notifier demo`: the whole of it, with a made-up utility, and nothing that leaves the machine."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--once",
    is_flag=True,
    help="Declare the sample disruption, show what was received, and end; 1 if something failed.",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the data in DIR and go on with it next time.  [default: removed at the end]",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8000,
    show_default=True,
    help="Port of the admin; a free one when it is taken.",
)
def demo(once: bool, keep: Path | None, port: int) -> None:
    """Show everything with a made-up utility, safely.

    Starts the sandbox, which plays X and the mail server, and a site with components and
    customers; prints a link that signs you in. Your settings are not read, no account is used.

    \b
    Example:
      notifier demo --once
    """
    from notifier.cli.demo_site import run_once, show, stage
    from notifier.cli.server import end_on_signals, start_logging

    start_logging("warning")
    end_on_signals()
    with stage(keep, port) as opened:
        if once:
            run_once(opened)
        else:
            show(opened, kept=keep is not None)
