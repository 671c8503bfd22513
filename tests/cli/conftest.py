"""The command line, run in this process; tests that need a real process use tests/processes.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from notifier.cli.main import notifier
from tests.processes import SECRET


@dataclass
class Cli:
    """`notifier` with settings of its own, in an empty folder."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, input: str | None = None, **settings: str) -> Result:
        environ = {**self.settings, **settings}
        return CliRunner().invoke(notifier, list(arguments), input=input, env=environ)

    def done(self, *arguments: str, input: str | None = None, **settings: str) -> str:
        """Standard output of a command that must succeed."""
        result = self.run(*arguments, input=input, **settings)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self, code: int, *arguments: str, **settings: str) -> str:
        """The one sentence of a command that must fail, which prints nothing else."""
        result = self.run(*arguments, **settings)
        assert result.exit_code == code, result.output
        assert isinstance(result.exception, SystemExit), "a traceback"
        assert result.stdout == ""
        sentence: str = result.stderr.strip().splitlines()[-1]
        assert sentence.startswith("Error: ")
        return sentence.removeprefix("Error: ")


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "notifier.toml"
    config.touch()
    return Cli(
        tmp_path,
        {
            "NOTIFIER_CONFIG": str(config),
            "NOTIFIER_DATABASE_URL": f"sqlite:///{tmp_path / 'notifier.db'}",
            "NOTIFIER_SECRET_KEY": SECRET,
        },
    )
