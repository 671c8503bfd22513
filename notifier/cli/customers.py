"""`notifier customers`: who is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from notifier.services.importing import Imported
    from notifier.store.bulk import RowProblem


@click.group()
def customers() -> None:
    """Who is told."""


@customers.command()
@click.argument("external_id")
@click.option("--email", required=True)
@click.option("--name", default="", help="As the mail greets them.")
@click.option("--language", help="A tag such as en, ur or pt-BR. [default: the site's]")
@click.option("--time-zone", help="An IANA name such as Asia/Karachi. [default: the site's]")
@click.option("--component", "components", multiple=True, metavar="SLUG", help="Repeat for each.")
@click.option("--priority", is_flag=True, help="Told first: medical dependence, accessibility.")
def put(
    external_id: str,
    email: str,
    name: str,
    language: str | None,
    time_zone: str | None,
    components: tuple[str, ...],
    priority: bool,
) -> None:
    """Make or change the customer EXTERNAL_ID.

    \b
    Example:
      notifier customers put c17 --email amina@example.com --component hot-water
    """
    from notifier.cli.session import opened
    from notifier.domain.audience import customer
    from notifier.services import audience

    with opened() as n:
        made = customer(
            external_id=external_id,
            email=email,
            name=name,
            language=language or n.settings.site.language,
            time_zone=time_zone or n.settings.site.time_zone,
            components=components,
            priority=priority,
        )
        audience.put_customer(n, made)
    uses = ", ".join(made.components) or "nothing"
    first = ", told first" if made.priority else ""
    click.echo(
        f"{made.external_id}: {made.email}, {made.language}, {made.time_zone}, uses {uses}{first}"
    )


@customers.command("list")
@click.option("--after", default="", metavar="EXTERNAL_ID", help="Begin behind this one.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def list_(after: str, limit: int, as_json: bool) -> None:
    """Customers in the order of their external ids.

    \b
    Example:
      notifier customers list --after c17 --json
    """
    from dataclasses import asdict

    from notifier.cli.session import opened
    from notifier.store.bulk import list_customers

    with opened() as n, n.db.read() as connection:
        found = list_customers(connection, after=after, limit=limit)
    if as_json:
        click.echo(json.dumps([asdict(customer) for customer in found], ensure_ascii=False))
        return
    for one in found:
        uses = ";".join(one.components)
        first = "first " if one.priority else "      "
        click.echo(
            f"{one.external_id:16} {one.email:32} {one.language:6} {one.time_zone:20} {first}{uses}"
        )


@customers.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check everything, write nothing.")
@click.option("--skip-bad-rows", is_flag=True, help="Write the right rows although some are wrong.")
@click.option("--json", "as_json", is_flag=True, help="The report for a program to read.")
def import_(file: Path, dry_run: bool, skip_bad_rows: bool, as_json: bool) -> None:
    """Make or change the customers of a CSV FILE. Sends nothing to anybody.

    Its first line is external_id,email,name,language,time_zone,components, in any order;
    components are joined by ";". An empty language or time zone is the site's. A column
    priority (true or false) says who is told first; without it, that stays as it is. When a
    row is wrong, nothing is written.

    \b
    Example:
      notifier customers import customers.csv --dry-run
    """
    from rich.console import Console

    from notifier.cli.progress import bar
    from notifier.cli.session import opened
    from notifier.services.importing import import_customers

    console = Console(stderr=True)
    problems: list[dict[str, object]] = []

    def tell(problem: RowProblem) -> None:
        if as_json:
            problems.append(
                {"line": problem.line, "field": problem.field, "message": problem.message}
            )
        else:
            sentence = f"line {problem.line}: {problem.field} {problem.message}"
            console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    with opened() as n, file.open("rb") as source, bar(console) as on_progress:
        imported = import_customers(
            n,
            source,
            on_problem=tell,
            on_progress=on_progress,
            dry_run=dry_run,
            skip_bad_rows=skip_bad_rows,
        )
    if as_json:
        click.echo(json.dumps(_report(imported, problems, dry_run=dry_run), ensure_ascii=False))
    else:
        click.echo(_summary(imported, dry_run=dry_run))
    if imported.wrong and not skip_bad_rows:
        raise click.exceptions.Exit(2)


def _report(
    imported: Imported, problems: list[dict[str, object]], *, dry_run: bool
) -> dict[str, object]:
    return {
        "rows": imported.rows,
        "wrong": imported.wrong,
        "imported": imported.written,
        "dry_run": dry_run,
        "problems": problems,
    }


def _summary(imported: Imported, *, dry_run: bool) -> str:
    rows, wrong = f"{imported.rows:,}", f"{imported.wrong:,}"
    if dry_run:
        return f"{rows} rows, {wrong} of them wrong. Nothing was written: this is a dry run."
    if imported.wrong and not imported.written:
        return (
            f"{wrong} of {rows} rows are wrong, so nothing was written: correct them, or leave"
            " them out with --skip-bad-rows."
        )
    left_out = f"; wrong rows left out: {wrong}" if imported.wrong else ""
    return f"Customers imported: {imported.written:,}{left_out}."
