"""`notifier token`: keys for programs that use the API."""

from __future__ import annotations

import click

_ROLES = click.Choice(["viewer", "publisher", "admin"])


@click.group()
def token() -> None:
    """Keys for programs that use the API."""


@token.command()
@click.option("--role", type=_ROLES, required=True, help="viewer reads; publisher also declares.")
@click.option("--name", required=True, help="Who uses it; stands beside what it publishes.")
def create(role: str, name: str) -> None:
    """Make a token and print it, once; only its hash is kept.

    \b
    Example:
      TOKEN=$(notifier token create --role publisher --name monitoring)
    """
    from notifier.cli.session import opened
    from notifier.domain.access import Role
    from notifier.services import access

    with opened() as n:
        click.echo(access.create_token(n, role=Role(role), name=name))
