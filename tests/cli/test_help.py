"""`--help` is there for every command, says what to type, and costs next to nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from notifier.cli.main import COMMANDS, notifier


def commands() -> Iterator[tuple[str, ...]]:
    """The words of every command that does something."""
    context = click.Context(notifier)
    for name in notifier.list_commands(context):
        command = notifier.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((name, inner) for inner in command.commands)
        else:
            yield (name,)


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_says_what_to_type(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(notifier, [*words, "--help"])
    assert result.exit_code == 0, result.output
    assert "Example:" in result.stdout
    assert f"notifier {' '.join(words)}" in result.stdout


def test_the_list_says_what_the_commands_say_themselves() -> None:
    context = click.Context(notifier)
    for name, (_, sentence) in COMMANDS.items():
        command = notifier.get_command(context, name)
        assert command is not None
        own = (command.help or "").replace("\n", " ")
        assert own.startswith(sentence.removesuffix(".")), name


def test_asking_for_help_loads_no_part_that_is_not_needed() -> None:
    code = (
        "import sys; from notifier.cli.main import notifier; notifier(['--help'],"
        " standalone_mode=False); print([m for m in ('sqlalchemy', 'flask', 'pydantic', 'tweepy',"
        " 'sendgrid', 'rich', 'alembic', 'apscheduler', 'procrastinate') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"


def test_an_unknown_command_is_refused() -> None:
    result = CliRunner().invoke(notifier, ["declaer"])
    assert result.exit_code == 2
    assert "No such command 'declaer'" in result.stderr
