"""`notifier pause` and `resume`: the kill switch, effective on every machine."""

from __future__ import annotations

import click


@click.command()
@click.option("--reason", required=True, help="Why; everybody reads it.")
def pause(reason: str) -> None:
    """Let nothing leave any more, on any channel, from any machine.

    What is being sent that moment ends. You can still declare and update; it waits.

    \b
    Example:
      notifier pause --reason "Wrong customer list, do not send"
    """
    from notifier.cli.session import opened, operator
    from notifier.rendering import times
    from notifier.services import pausing

    with opened() as n:
        held = pausing.pause(n, by=operator(), reason=reason)
        waiting = pausing.look(n).messages
        since = times.full(held.since, n.settings.site.zone)
    click.echo(f"Paused since {since}, by {held.by}: {held.reason}")
    click.echo(f"{_messages(waiting)} waiting. Let them leave with `notifier resume`.")


@click.command()
@click.option("--cancel-waiting", is_flag=True, help="Never send what waits.")
def resume(cancel_waiting: bool) -> None:
    """Let messages leave again.

    \b
    Example:
      notifier resume --cancel-waiting
    """
    from notifier.cli.session import opened, operator
    from notifier.services import pausing

    with opened() as n:
        done = pausing.resume(n, by=operator(), cancel_waiting=cancel_waiting)
    click.echo("Messages leave again.")
    if cancel_waiting:
        click.echo(f"{_messages(done.cancelled)} cancelled and will never leave.")
    click.echo(f"{_messages(done.leaving)} leaving, now or at the set time.")


def _messages(count: int) -> str:
    return "1 message is" if count == 1 else f"{count:,} messages are"
