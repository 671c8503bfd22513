"""`notifier users`: who may sign in to the admin."""

from __future__ import annotations

import sys

import click

_ROLES = click.Choice(["viewer", "publisher", "admin"])


@click.group()
def users() -> None:
    """Who may sign in to the admin."""


@users.command()
@click.argument("name")
@click.option("--role", type=_ROLES, default="admin", show_default=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def create(name: str, role: str, password_stdin: bool) -> None:
    """Let NAME sign in. Asks for a password.

    \b
    Example:
      notifier users create amina --role publisher
    """
    from notifier.cli.session import opened
    from notifier.domain.access import Role
    from notifier.services import access

    with opened() as n:
        password = _read_password(password_stdin)
        access.create_user(n, name=name, password=password, role=Role(role))
    click.echo(f"{name} may sign in now, as {role}.")


@users.command()
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def password(name: str, password_stdin: bool) -> None:
    """Give NAME another password and end their sessions.

    \b
    Example:
      notifier users password amina
    """
    from notifier.cli.session import opened
    from notifier.services import access

    with opened() as n:
        access.set_password(n, name=name, password=_read_password(password_stdin))
    click.echo(f"{name} has a new password; all their sessions are ended.")


@users.command()
@click.argument("name")
@click.option(
    "--minutes", type=click.IntRange(1, 1440), default=10, show_default=True, help="Valid for."
)
def link(name: str, minutes: int) -> None:
    """Print a link by which NAME can sign in once, without a password.

    \b
    Example:
      notifier users link amina
    """
    from notifier.cli.session import opened
    from notifier.services import access

    with opened() as n:
        click.echo(access.make_sign_in_link(n, name, minutes=minutes))


def _read_password(from_stdin: bool) -> str:
    """As typed, or the first line of standard input without its line end."""
    if not from_stdin:
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")
