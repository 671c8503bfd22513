"""`notifier check`: what is wrong with the installation, before a disruption shows it."""

from __future__ import annotations

import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def check(as_json: bool) -> None:
    """Say what is wrong with the installation: settings, database, channels, templates.

    Changes nothing and sends nothing. Exit code 1 when something is wrong.

    \b
    Example:
      notifier check --json
    """
    from notifier.cli.checks import run_checks

    findings = run_checks()
    if as_json:
        rows = [{"check": f.check, "ok": f.ok, "message": f.message} for f in findings]
        click.echo(json.dumps(rows, ensure_ascii=False))
    else:
        for finding in findings:
            click.echo(f"{'ok' if finding.ok else 'WRONG':6}{finding.check:11}{finding.message}")
    if not all(finding.ok for finding in findings):
        raise click.exceptions.Exit(1)
