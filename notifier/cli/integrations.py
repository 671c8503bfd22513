"""`notifier integrations`: monitoring tools that tell us about alerts."""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import IO, TYPE_CHECKING

import click

if TYPE_CHECKING:
    from notifier.ports import SourceModule
    from notifier.web.api_integrations import Integration

_ID = click.IntRange(1, 2**63 - 1)


@click.group()
def integrations() -> None:
    """Monitoring tools that tell us about alerts."""


@integrations.command()
@click.option("--json", "as_json", is_flag=True, help="Print what the API would answer.")
def sources(as_json: bool) -> None:
    """Every tool that we understand.

    \b
    Example:
      notifier integrations sources
    """
    from notifier.app import discover_sources

    if as_json:
        from notifier.cli.session import opened
        from notifier.web.api_integrations import Sources

        with opened() as n:
            click.echo(Sources.of(n).model_dump_json())
        return
    found = sorted(discover_sources().values(), key=lambda module: module.TITLE.lower())
    for module in found:
        click.echo(f"{module.NAME:24} {module.TITLE:48} {_signs(module)}".rstrip())


@integrations.command()
@click.argument("source")
@click.option("--url", default="", help="The address that `integrations add` has printed.")
def setup(source: str, url: str) -> None:
    """How to connect the tool SOURCE: the steps, and what to paste.

    \b
    Example:
      notifier integrations setup alertmanager
    """
    from notifier.app import discover_sources, load_settings

    modules = discover_sources()
    if source not in modules:
        raise click.BadParameter(
            f"{source!r} is no tool we know; `notifier integrations sources` lists them"
        )
    address = url or f"{load_settings().base_url}/hooks/{source}/KEY"
    click.echo("\n".join(_setup_lines(modules[source], address)))


@integrations.command()
@click.argument("source")
@click.option("--name", required=True, help="As operators know it.")
@click.option("--component", default="", help="Where alerts belong that no rule sends elsewhere.")
@click.option(
    "--severity",
    type=click.Choice(["minor", "major", "critical"]),
    default="major",
    show_default=True,
    help="Of alerts whose tool does not say.",
)
@click.option("--header", default="", help="A header that has to hold a secret.")
@click.option("--header-secret-file", type=click.File(), help="What it has to hold; - to type it.")
@click.option("--signing-secret-file", type=click.File(), help="By which requests are signed.")
@click.option("--network", "networks", multiple=True, help="Who may send; several times.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="Of this tool.")
@click.option("--heartbeat-minutes", type=int, help="After so much silence there is no data.")
def add(
    source: str,
    *,
    name: str,
    component: str,
    severity: str,
    header: str,
    header_secret_file: IO[str] | None,
    signing_secret_file: IO[str] | None,
    networks: tuple[str, ...],
    options: tuple[str, ...],
    heartbeat_minutes: int | None,
) -> None:
    """Connect the tool SOURCE and print its address, once; only the hash of its key is kept.

    \b
    Example:
      URL=$(notifier integrations add alertmanager --name Prometheus --component sign-in)
    """
    from notifier.cli.pairs import read_pairs
    from notifier.cli.session import opened
    from notifier.domain.incident import Severity
    from notifier.services import integrations as service

    signing = _read_secret(signing_secret_file)
    wanted = service.Wanted(
        source=source,
        name=name,
        component=component,
        severity=Severity(severity),
        header=header,
        header_secret=_read_secret(header_secret_file),
        signing=[signing] if signing else [],
        networks=networks,
        options=read_pairs("--option", options),
        heartbeat=None if heartbeat_minutes is None else timedelta(minutes=heartbeat_minutes),
    )
    with opened() as n:
        integration_id, address = service.create(n, wanted)
    click.echo(address)
    _say_where(integration_id, source, address)


@integrations.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print what the API would answer.")
def list_(as_json: bool) -> None:
    """Who may tell us something, and when each was heard last.

    \b
    Example:
      notifier integrations list
    """
    from notifier.cli.session import opened
    from notifier.web.api_integrations import Integrations

    with opened() as n, n.db.read() as connection:
        found = Integrations.read(connection, n.clock())
    if as_json:
        click.echo(found.model_dump_json())
        return
    for one in found.integrations:
        click.echo(_line(one))


@integrations.command("new-address")
@click.argument("id", type=_ID)
def new_address(id: int) -> None:
    """Print another address for the integration ID, once; the old one is refused from now on.

    \b
    Example:
      notifier integrations new-address 1
    """
    from notifier.cli.session import opened
    from notifier.services import integrations as service

    with opened() as n:
        address = service.new_address(n, id)
        with n.db.read() as connection:
            source = service.get(connection, id).source
    click.echo(address)
    _say_where(id, source, address)


@integrations.command()
@click.argument("id", type=_ID)
def remove(id: int) -> None:
    """Forget the integration ID with its alerts; what was posted stays.

    \b
    Example:
      notifier integrations remove 1
    """
    from notifier.cli.session import opened
    from notifier.services import integrations as service

    with opened() as n:
        service.remove(n, id)
    click.echo(f"Integration {id} and its alerts are forgotten.")


def _read_secret(file: IO[str] | None) -> str:
    return file.read().strip() if file else ""


def _say_where(integration_id: int, source: str, address: str) -> None:
    click.echo(
        f"Integration {integration_id}: this address cannot be shown again. Where it belongs:"
        f" notifier integrations setup {source} --url {shlex.quote(address)}",
        err=True,
    )


def _signs(module: SourceModule) -> str:
    return "can sign" if module.SIGNS else ""


def _setup_lines(module: SourceModule, address: str) -> list[str]:
    from notifier.web.admin_integrations import EVIDENCE

    setup = module.SETUP.at(address)
    lines = [f"{module.TITLE}: {address}", ""]
    lines += [f"{number}. {step}" for number, step in enumerate(setup.steps, start=1)]
    if setup.template:
        lines += ["", f"{setup.template_name}:", "", setup.template.rstrip("\n"), ""]
    lines += [f"- {note}" for note in setup.notes]
    lines += [f"- {EVIDENCE[module.EVIDENCE]}"]
    if setup.documents:
        lines += [f"- {setup.documents}"]
    return lines


def _line(one: Integration) -> str:
    heard = f"heard {one.heard_at:%Y-%m-%d %H:%M} UTC" if one.heard_at else "nothing heard yet"
    if one.silent:
        heard = f"silent: no data; {heard}"
    about = one.component or "no component"
    return f"{one.id:4} {one.source:24} {one.name:32} {about}, {heard}"
