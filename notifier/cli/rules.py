"""`notifier rules` and `presets`: where alerts belong, and the words that are ready for them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from notifier.web.api_rules import Preset, Rule

_ID = click.IntRange(1, 2**63 - 1)


@click.group()
def rules() -> None:
    """Where alerts belong."""


@rules.command("add")
@click.option(
    "--match",
    "match",
    multiple=True,
    required=True,
    metavar="LABEL=PATTERN",
    help="What a label has to be, * for anything; several times, and all must match.",
)
@click.option("--component", default="", help="Where these alerts belong.")
@click.option("--ignore", is_flag=True, help="Nothing follows from these alerts.")
@click.option("--integration", type=_ID, metavar="ID", help="Only alerts of this integration.")
@click.option("--severity", type=click.Choice(["minor", "major", "critical"]), help="How bad.")
@click.option("--preset", type=_ID, metavar="ID", help="The words to be posted.")
@click.option(
    "--auto-minutes", type=int, metavar="MINUTES", help="Posted by itself after so long, 0 to 60."
)
def add_rule(
    match: tuple[str, ...],
    component: str,
    ignore: bool,
    integration: int | None,
    severity: str | None,
    preset: int | None,
    auto_minutes: int | None,
) -> None:
    """Add a rule behind all others; the first that matches decides.

    \b
    Example:
      notifier rules add --match service=sso* --component sign-in --preset 1 --auto-minutes 5
    """
    from notifier.cli.pairs import read_pairs
    from notifier.cli.session import opened
    from notifier.domain.incident import Severity
    from notifier.services import integrations as service

    if bool(component) == ignore:
        raise click.UsageError("Say --component SLUG, or --ignore; one of them.")
    with opened() as n:
        rule_id = service.add_rule(
            n,
            match=read_pairs("--match", match),
            component=component,
            integration_id=integration,
            severity=Severity(severity) if severity else None,
            preset_id=preset,
            auto_after=None if auto_minutes is None else timedelta(minutes=auto_minutes),
        )
    click.echo(f"Rule {rule_id} is tried after all others.")


@rules.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print what the API would answer.")
def list_rules(as_json: bool) -> None:
    """All rules, in the order in which they are tried.

    \b
    Example:
      notifier rules list
    """
    from notifier.cli.session import opened
    from notifier.web.api_rules import Rules

    with opened() as n, n.db.read() as connection:
        found = Rules.read(connection)
    if as_json:
        click.echo(found.model_dump_json())
        return
    for rule in found.rules:
        click.echo(_rule_line(rule))


@rules.command("remove")
@click.argument("id", type=_ID)
def remove_rule(id: int) -> None:
    """Forget the rule ID.

    \b
    Example:
      notifier rules remove 1
    """
    from notifier.cli.session import opened
    from notifier.services import integrations as service
    from notifier.store import integrations as store

    with opened() as n:
        with n.db.read() as connection:
            if id not in {rule.id for rule in store.list_rules(connection)}:
                raise click.ClickException(f"there is no rule {id}")
        service.remove_rule(n, id)
    click.echo(f"Rule {id} is forgotten.")


@click.group()
def presets() -> None:
    """Words that may be posted as they are."""


@presets.command("add")
@click.option("--name", required=True, help="As operators know them.")
@click.option("--title", required=True, help="What the incident is called.")
@click.option("--impact", required=True, help="What customers cannot do.")
@click.option("--explanation", required=True, help="Why.")
def add_preset(name: str, title: str, impact: str, explanation: str) -> None:
    """Approve words before anything happens.

    \b
    Example:
      notifier presets add --name "cannot sign in" --title "You cannot sign in" \\
        --impact "You cannot sign in to your account." --explanation "A server of ours fails."
    """
    from notifier.cli.session import opened
    from notifier.services import integrations as service

    with opened() as n:
        preset_id = service.add_preset(
            n, name=name, title=title, impact=impact, explanation=explanation
        )
    click.echo(f"Preset {preset_id}: {name}")


@presets.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print what the API would answer.")
def list_presets(as_json: bool) -> None:
    """All presets, by name.

    \b
    Example:
      notifier presets list
    """
    from notifier.cli.session import opened
    from notifier.web.api_rules import Presets

    with opened() as n, n.db.read() as connection:
        found = Presets.read(connection)
    if as_json:
        click.echo(found.model_dump_json())
        return
    for preset in found.presets:
        click.echo("\n".join(_preset_lines(preset)))


@presets.command("remove")
@click.argument("id", type=_ID)
def remove_preset(id: int) -> None:
    """Forget the preset ID, which no rule may use any more.

    \b
    Example:
      notifier presets remove 1
    """
    from notifier.cli.session import opened
    from notifier.services import integrations as service
    from notifier.store import integrations as store

    with opened() as n:
        with n.db.read() as connection:
            if store.find_preset(connection, id) is None:
                raise click.ClickException(f"there is no preset {id}")
        service.remove_preset(n, id)
    click.echo(f"Preset {id} is forgotten.")


def _rule_line(rule: Rule) -> str:
    asked = " ".join(f"{label}={pattern}" for label, pattern in rule.match.items())
    where = rule.component or "ignored"
    more = [where] if rule.component is None else [where, *_decided(rule)]
    if rule.integration is not None:
        more.append(f"only of integration {rule.integration}")
    return f"{rule.id:4} {asked}: {', '.join(more)}"


def _decided(rule: Rule) -> Iterator[str]:
    yield rule.severity or "as bad as the alert says"
    if rule.preset is not None:
        yield f"in the words of preset {rule.preset}"
    if rule.auto_minutes is not None:
        yield f"posted by itself after {rule.auto_minutes} min"


def _preset_lines(preset: Preset) -> Iterator[str]:
    yield f"{preset.id:4} {preset.name}: {preset.title}"
    yield from (f"     | {line}" for line in preset.impact.splitlines())
    yield from (f"     | {line}" for line in preset.explanation.splitlines())
