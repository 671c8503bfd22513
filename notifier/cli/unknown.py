"""`notifier unknown`: messages of which nobody knows whether they arrived."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from notifier.ports import Notifier
    from notifier.store.unknown import UnknownRow

_MEANS = {
    "arrived": "counted as sent",
    "send_again": "leaving once more, in the same words",
    "leave": "never sent again",
}


@click.group()
def unknown() -> None:
    """Messages of which nobody knows whether they arrived."""


@unknown.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print what the API would answer.")
def list_(as_json: bool) -> None:
    """All of them, with what will be done by itself.

    \b
    Example:
      notifier unknown list
    """
    from notifier.cli.session import opened
    from notifier.services import settling

    with opened() as n:
        found = settling.list_unknown(n)
        if as_json:
            from notifier.web.api_unknown import UnknownMessages

            click.echo(UnknownMessages.of(found).model_dump_json())
            return
        for row in (*found.posts, *found.mails):
            click.echo("\n".join(_lines(n, row)))
    if not (found.posts or found.mails):
        click.echo("Nothing is unknown.")


@unknown.command()
@click.argument("id", type=click.IntRange(1, 2**63 - 1))
@click.option(
    "--ruling",
    type=click.Choice(["arrived", "send_again", "leave"]),
    required=True,
    help="arrived: it counts as sent; send_again: the same words once more; leave: never.",
)
def settle(id: int, ruling: str) -> None:
    """Settle the message ID of the list: a post, or all unknown readers of an e-mail.

    \b
    Example:
      notifier unknown settle 7 --ruling arrived
    """
    from notifier.cli.session import opened, operator
    from notifier.services import settling
    from notifier.services.settling import Ruling

    with opened() as n:
        count = settling.settle(n, id, Ruling(ruling), by=operator())
    what = "1 message" if count == 1 else f"{count:,} messages"
    click.echo(f"Settled {what}: {_MEANS[ruling]}.")


def _lines(n: Notifier, row: UnknownRow) -> Iterator[str]:
    from notifier.rendering import times

    zone = n.settings.site.zone
    kind = f"post on {row.channel}" if row.lane == "post" else f"e-mail ({row.readers:,} unknown)"
    then = (
        f"looked into by itself {times.full(row.look_at, zone)}"
        if row.look_at
        else "only you can tell"
    )
    yield f"{row.dispatch_id}: {kind}, INC-{row.incident_id}.{row.number} {row.title}; {then}"
    yield f"    {row.reason}"
    yield from (f"    | {line}" for line in row.text.splitlines())
