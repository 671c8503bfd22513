"""The command `notifier`: which commands there are, and what a fault looks like.

Exit codes: 0 done; 1 it could not be done; 2 what was given is wrong, and nothing was changed.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

# The sentence stands here, not in the modules, so that `notifier --help` imports none of them
# (tests/cli/test_help.py holds them together).
COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("notifier.cli.demo:demo", "Show everything with a made-up utility, safely."),
    "serve": ("notifier.cli.serve:serve", "Serve the admin and the API, and deliver messages."),
    "work": ("notifier.cli.work:work", "Deliver messages, on any number of machines."),
    "declare": ("notifier.cli.incidents:declare", "Declare a disruption."),
    "update": ("notifier.cli.incidents:update", "Publish the next update of an incident."),
    "resolve": ("notifier.cli.incidents:resolve", "Tell everybody that an incident is over."),
    "components": ("notifier.cli.components:components", "What customers use."),
    "customers": ("notifier.cli.customers:customers", "Who is told."),
    "suppressions": ("notifier.cli.suppressions:suppressions", "Addresses that get no mail."),
    "bounce": (
        "notifier.cli.bounce:bounce",
        "Record a mail that came back.",
    ),
    "channels": ("notifier.cli.channels:channels", "How the ways out do."),
    "drafts": ("notifier.cli.drafts:drafts", "What the monitoring proposes to say."),
    "integrations": (
        "notifier.cli.integrations:integrations",
        "Monitoring tools that tell us about alerts.",
    ),
    "rules": ("notifier.cli.rules:rules", "Where alerts belong."),
    "presets": ("notifier.cli.rules:presets", "Words that may be posted as they are."),
    "unknown": (
        "notifier.cli.unknown:unknown",
        "Messages of which nobody knows whether they arrived.",
    ),
    "pause": (
        "notifier.cli.pausing:pause",
        "Let nothing leave any more, on any channel, from any machine.",
    ),
    "resume": ("notifier.cli.pausing:resume", "Let messages leave again."),
    "users": ("notifier.cli.users:users", "Who may sign in to the admin."),
    "token": ("notifier.cli.tokens:token", "Keys for programs that use the API."),
    "check": ("notifier.cli.check:check", "Say what is wrong with the installation."),
    "migrate": ("notifier.cli.migrate:migrate", "Bring the database up to this version."),
    "sandbox": ("notifier.cli.sandbox:sandbox", "Play X, SendGrid and an SMTP server."),
}


class Commands(click.Group):
    """Loads a command's module when the command is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """All names, the ones a newcomer needs first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of this name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list in `--help`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an expected fault becomes one sentence and an exit code."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            from notifier.cli.faults import explain

            fault = explain(error)
            if fault is None:
                raise
            raise fault from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="notifier")
def notifier() -> None:
    """Tell customers about a disruption before they ask.

    Short posts at once, then an e-mail to each affected customer: how they are affected, how
    long to expect it, why.

    \b
    Example:
      notifier demo

    Settings come from config/notifier.toml and from the environment (NOTIFIER_…).
    """
