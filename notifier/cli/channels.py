"""`notifier channels`: how the ways out do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from notifier.services.health import ChannelReport


@click.command()
@click.option("--json", "as_json", is_flag=True, help="What the API answers.")
def channels(as_json: bool) -> None:
    """How the ways out do.

    Ends with code 1 when one of them needs attention, or tells nothing of mail it has accepted.

    \b
    Example:
      notifier channels
    """
    from notifier.cli.session import opened
    from notifier.services import health
    from notifier.web.api_channels import Channel, Channels

    with opened() as n, n.db.read() as connection:
        found = health.report(connection, n, n.clock())
    if as_json:
        shown = Channels(channels=[Channel.of(one) for one in found])
        click.echo(shown.model_dump_json())
    else:
        click.echo("\n".join(map(_line, found)))
    if any(one.needs_attention or one.silent for one in found):
        raise click.exceptions.Exit(1)


def _line(one: ChannelReport) -> str:
    share = "" if one.weight is None else f", {one.weight} % of the mail"
    until = f" until {one.blocked_until:%H:%M:%S} UTC" if one.blocked_until else ""
    said = f": {one.reason}" if one.reason else ""
    counted = f"{one.failures} failed" + ("" if one.calls is None else f" of {one.calls}")
    silence = f"; {one.silence}" if one.silence else ""
    return f"{one.name:16} {one.breaker}{until}{share}, {counted} in 15 minutes{said}{silence}"
