"""`notifier suppressions`: addresses that get no mail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from notifier.ports import Notifier
    from notifier.store.suppressions import Suppression

_PAGE = 1_000


@click.group()
def suppressions() -> None:
    """Addresses that get no mail."""


@suppressions.command("list")
@click.option("--json", "as_json", is_flag=True, help="One object a line, for a program to read.")
def list_(as_json: bool) -> None:
    """All of them, the newest first.

    \b
    Example:
      notifier suppressions list
    """
    from notifier.cli.session import opened

    with opened() as n:
        for one in _all(n):
            click.echo(_object(one) if as_json else _line(one))


@suppressions.command()
@click.argument("address")
@click.option("--detail", default="", help="Why, in your words.")
def add(address: str, detail: str) -> None:
    """Send no more mail to ADDRESS, whoever's it is.

    \b
    Example:
      notifier suppressions add amina@example.com --detail "asked for it by telephone"
    """
    from notifier.cli.session import opened, operator
    from notifier.services import suppressing

    with opened() as n:
        one = suppressing.suppress(n, address, detail=detail, by=operator())
    click.echo(f"{one.address} gets no mail ({one.reason}).")


@suppressions.command()
@click.argument("address")
def remove(address: str) -> None:
    """Let ADDRESS get mail again, from the next update on.

    \b
    Example:
      notifier suppressions remove amina@example.com
    """
    from notifier.cli.session import opened
    from notifier.services import suppressing

    with opened() as n:
        if not suppressing.lift(n, address):
            raise click.ClickException(f"{address} is not on the list")
    click.echo(f"{address} gets mail again.")


def _all(n: Notifier) -> Iterator[Suppression]:
    from notifier.store.suppressions import list_suppressions

    after, now = None, n.clock()
    while True:
        with n.db.read() as connection:
            page = list_suppressions(connection, now=now, after=after, limit=_PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].created_at, page[-1].key


def _line(one: Suppression) -> str:
    until = f"until {one.until:%Y-%m-%d %H:%M} UTC" if one.until else "for ever"
    said = f": {one.detail}" if one.detail else ""
    return f"{one.address:32} {one.reason:10} {until}, says {one.source}{said}"


def _object(one: Suppression) -> str:
    return json.dumps(
        {
            "address": one.address,
            "reason": one.reason,
            "detail": one.detail,
            "source": one.source,
            "created_at": one.created_at.isoformat(),
            "until": one.until.isoformat() if one.until else None,
        },
        ensure_ascii=False,
    )
