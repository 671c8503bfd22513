"""What became of a declaration, in a terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click
from rich.console import Console

from notifier.cli.one_server import is_served
from notifier.domain.delivery import SETTLED, State
from notifier.ports import Notifier
from notifier.rendering import times
from notifier.services import reports
from notifier.services.incidents import Published
from notifier.services.pausing import paused
from notifier.services.reports import IncidentReport, MailReport, PostReport, UpdateReport
from notifier.web.api_answers import Receipt

_LOOK_EVERY_SECONDS = 0.1


def show(n: Notifier, published: Published, *, as_json: bool, wait: float | None) -> None:
    """Print the receipt, after waiting for the posts where that is asked for.

    Ends the process with code 1 when it waited and a post did not get out.
    """
    if is_served(n.settings.database_url) is False:
        click.echo(
            "Nobody is serving this database: the messages leave when `notifier serve` runs.",
            err=True,
        )
    if held := paused(n):
        since = times.full(held.since, n.settings.site.zone)
        click.echo(
            f"Everything is paused since {since}, says {held.by}: nothing of this leaves before"
            " `notifier resume`.",
            err=True,
        )
    report, update = _look(n, published)
    if wait is not None:
        report, update = _wait(n, published, wait)
    if as_json:
        click.echo(Receipt.of(report, update).model_dump_json(by_alias=True))
    else:
        click.echo("\n".join(_lines(n, report, update)))
    if wait is not None and any(post.state is not State.ACCEPTED for post in update.posts):
        raise click.exceptions.Exit(1)


def _look(n: Notifier, published: Published) -> tuple[IncidentReport, UpdateReport]:
    report = reports.report(n, published.incident.id)
    return report, next(u for u in report.updates if u.update.id == published.update.id)


def _wait(n: Notifier, published: Published, seconds: float) -> tuple[IncidentReport, UpdateReport]:
    end = time.monotonic() + seconds
    with Console(stderr=True).status("Waiting for the posts …") as status:
        while True:
            report, update = _look(n, published)
            waiting = [post.channel for post in update.posts if post.state not in SETTLED]
            if not waiting or time.monotonic() >= end:
                return report, update
            status.update(f"Waiting for {', '.join(waiting)} …")
            time.sleep(_LOOK_EVERY_SECONDS)


def _lines(n: Notifier, report: IncidentReport, update: UpdateReport) -> Sequence[str]:
    incident = report.incident
    return [
        f"{incident.reference} is {update.update.status}: {incident.title}",
        *(_post_line(post) for post in update.posts),
        _mail_line(n, update.mail),
        report.url,
    ]


def _post_line(post: PostReport) -> str:
    after = post.link or post.reason
    return f"{post.channel}: {post.state}" + (f" ({after})" if after else "")


def _mail_line(n: Notifier, mail: MailReport | None) -> str:
    if mail is None:
        return "e-mail: none, no customer with an address uses these components"
    at = times.full(mail.scheduled_for, n.settings.site.zone)
    readers = f"{mail.recipients:,} customer" + ("" if mail.recipients == 1 else "s")
    return f"e-mail: {mail.state} to {readers}, {at} ({mail.reason or mail.why})"
