"""`notifier sandbox`: try everything without an account."""

from __future__ import annotations

import errno
from pathlib import Path
from urllib.parse import urlsplit

import click

from notifier.sandbox.event_key import EventKey
from notifier.sandbox.process import X_LIMIT, Credentials, Sandbox, run
from notifier.settings import SANDBOX_HTTP, SANDBOX_SMTP

_HTTP = urlsplit(SANDBOX_HTTP)
_SMTP = urlsplit(SANDBOX_SMTP)


@click.command()
@click.option("--host", default=_HTTP.hostname, show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=_HTTP.port, show_default=True, help="Port of X, SendGrid and the pages."
)
@click.option("--smtp-port", default=_SMTP.port, show_default=True, help="Port of the SMTP server.")
@click.option(
    "--log",
    "log_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("sandbox.jsonl"),
    show_default=True,
    help="File to which every accepted message is appended, one JSON object a line.",
)
@click.option(
    "--no-fsync",
    is_flag=True,
    help="Answer before a message is safely on disk. For benchmarks only.",
)
@click.option(
    "--x-limit",
    type=click.IntRange(min=1),
    default=X_LIMIT,
    show_default=True,
    help="Requests X takes in 15 minutes (the real one: 100 posts).",
)
@click.option(
    "--events",
    "events_url",
    metavar="URL",
    callback=lambda _context, _option, url: _check_url(url),
    help="Where SendGrid's Event Webhook tells what became of each mail.  [default: nowhere]",
)
@click.option(
    "--events-key",
    "events_key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the key that signs events, made if needed.  [default: a new key each time]",
)
def sandbox(
    host: str,
    port: int,
    smtp_port: int,
    log_path: Path,
    no_fsync: bool,
    x_limit: int,
    events_url: str | None,
    events_key: Path | None,
) -> None:
    """Play X, SendGrid and an SMTP server, and show what customers would see.

    It takes only the credentials that `notifier serve` uses when none are set. With --events,
    mail to bounce@, blocked@, dropped@, deferred@ or complaint@ any domain (or to
    anybody+bounce@ and so on) ends as the word says; all other mail is delivered.

    \b
    Example:
      notifier sandbox --log accepted.jsonl
    """
    playing = Sandbox(
        log_path,
        host=host,
        http_port=port,
        smtp_port=smtp_port,
        fsync=not no_fsync,
        x_limit=x_limit,
        events_url=events_url,
        credentials=Credentials(event_key=_read_key(events_key)),
    )
    try:
        run(playing, announce=_announce)
    except OSError as error:
        raise click.ClickException(_explain(error, log_path)) from None
    except ValueError as error:
        raise click.ClickException(f"{log_path}: {error}; name another file with --log") from None


def _announce(playing: Sandbox) -> None:
    click.echo(f"X and SendGrid, and what customers see: {playing.http_url}")
    click.echo(f"SMTP: {playing.smtp_url}")
    click.echo(f"Log of every accepted message: {playing.log.path.resolve()}")
    click.echo(f"Public key of SendGrid's Event Webhook: {playing.events.public_key}")


def _check_url(url: str | None) -> str | None:
    if url is None or url.startswith(("http://", "https://")):
        return url
    raise click.BadParameter("must start with http:// or https://")


def _read_key(path: Path | None) -> EventKey:
    if path is None:
        return EventKey.make()
    try:
        return EventKey.load(path)
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}; see --events-key") from None
    except ValueError as error:
        raise click.ClickException(
            f"{path}: {error}; name another file with --events-key"
        ) from None


def _explain(error: OSError, log_path: Path) -> str:
    if error.errno == errno.EADDRINUSE:
        return "a port is taken: end the other program or choose --port and --smtp-port"
    if isinstance(error, BlockingIOError):
        return f"{log_path} is in use by another sandbox: name another file with --log"
    return f"the sandbox cannot start: {error.strerror or error} ({error.filename or 'network'})"
