"""compose.yaml, the Dockerfile and docs/deploy.md name only what there is.

Docker is not needed; what is said to it is held against the commands and the settings.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from notifier.app import load_settings
from notifier.cli.main import COMMANDS, notifier

ROOT = Path(__file__).resolve().parents[2]
OURS = ("migrate", "serve-1", "serve-2", "work")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return parsed


def parse(command: str) -> dict[str, Any]:
    """The options of `notifier COMMAND`, as the command itself reads them."""
    name, *arguments = shlex.split(command)
    found = notifier.get_command(click.Context(notifier), name)
    assert found is not None, name
    return found.make_context(name, arguments).params


def test_its_nodes_are_two_servers_some_workers_and_one_database(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"database", *OURS}
    assert services["work"]["deploy"]["replicas"] == 2
    assert services["serve-1"]["ports"] != services["serve-2"]["ports"]


def test_its_commands_are_ours(compose: dict[str, Any]) -> None:
    commands = {name: parse(compose["services"][name]["command"]) for name in OURS}
    assert commands["serve-1"] == commands["serve-2"]
    assert commands["serve-1"]["host"] == "0.0.0.0"
    assert commands["work"] == {"concurrency": 2}


def test_its_settings_are_ours_and_fit_together(compose: dict[str, Any], tmp_path: Path) -> None:
    empty = tmp_path / "notifier.toml"
    empty.touch()
    for name in OURS:
        service = compose["services"][name]
        given = {k: re.sub(r"\$\{.*?\}", "x" * 32, v) for k, v in service["environment"].items()}
        settings = load_settings(environ=given, path=empty)
        assert settings.queue == "distributed"
        assert settings.database_url.startswith("postgresql://notifier:xxx")
        assert settings.key()
        assert service["env_file"] == "notifier.env"


def test_whoever_needs_something_waits_for_it(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        for needed, when in service.get("depends_on", {}).items():
            assert needed in services
            if when["condition"] == "service_healthy":
                assert services[needed]["healthcheck"]["test"]
    assert services["migrate"]["restart"] == "no"
    assert "/healthz" in services["serve-1"]["healthcheck"]["test"][-1]


def test_the_image_is_made_of_what_there_is() -> None:
    lines = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text()
    for sources in re.findall(r"^COPY (.+) \S+$", lines, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
            assert f"!{source}\n" in ignored, source
    assert 'ENTRYPOINT ["notifier"]' in lines
    pattern = re.search(r"grep -oE '(.+?)'", lines)
    assert pattern is not None
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(pattern[1], lock, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^\S+==", lock, re.MULTILINE))
    assert any(pin.startswith("psycopg==") for pin in pins)


def test_the_guide_names_only_commands_settings_and_files_that_there_are() -> None:
    guide = (ROOT / "docs" / "deploy.md").read_text()
    for command in re.findall(r"`notifier ([a-z]+)", guide):
        assert command in COMMANDS
    files = re.findall(r"\]\(([^)#]+)\)", guide)
    assert all((ROOT / "docs" / file).exists() for file in files), files
    known = (ROOT / "config" / "notifier.toml").read_text()
    for name in re.findall(r"NOTIFIER_([A-Z_]+)", guide):
        *_, key = name.lower().split("__")
        assert f"# {key} =" in known, name
