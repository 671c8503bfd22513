"""`notifier components`: what customers use."""

from __future__ import annotations

import json

import click


@click.group()
def components() -> None:
    """What customers use."""


@components.command()
@click.argument("slug")
@click.option("--name", required=True, help="As customers know it.")
@click.option("--group", default="", help="The group it is shown in.")
@click.option(
    "--position",
    type=click.IntRange(0, 1_000_000),
    default=0,
    show_default=True,
    help="Order within the group.",
)
def put(slug: str, name: str, group: str, position: int) -> None:
    """Make or change the component SLUG.

    \b
    Example:
      notifier components put hot-water --name "Hot water" --group Heating
    """
    from notifier.cli.session import opened
    from notifier.services import audience

    with opened() as n:
        made = audience.put_component(n, slug_=slug, name=name, group=group, position=position)
    click.echo(f"{made.slug}: {made.name}" + (f" ({made.group})" if made.group else ""))


@components.command("list")
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def list_(as_json: bool) -> None:
    """All components, by group.

    \b
    Example:
      notifier components list
    """
    from notifier.cli.session import opened
    from notifier.store import people

    with opened() as n, n.db.read() as connection:
        found = people.list_components(connection)
    if as_json:
        rows = [{"slug": c.slug, "name": c.name, "group": c.group} for c in found]
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for component in found:
        click.echo(f"{component.slug:24} {component.name:32} {component.group}".rstrip())
