"""What a user installs works away from the tree: templates, settings and migrations inside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

ASK = """
import notifier.paths, notifier.app, notifier.store.db as db
from pathlib import Path
print(Path(notifier.__file__).parent.parent)
print(sorted(p.name for p in notifier.paths.template_dir().iterdir()))
print(sorted(p.name for p in notifier.paths.config_dir().iterdir()))
print(db.migrate("sqlite:///wheel.db"))
"""


def test_an_installed_wheel_finds_its_templates_settings_and_migrations(tmp_path: Path) -> None:
    python = [sys.executable, "-I", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*python, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("notifier-*.whl")
    installed = tmp_path / "installed"
    install = [*python, "install", "--no-deps", "--target", str(installed), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, cwd=tmp_path)

    result = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    where, templates, config, migrated = result.stdout.splitlines()
    assert where == str(installed)
    assert all(folder in templates for folder in ("email", "social", "web"))
    assert "notifier.toml" in config
    assert migrated.startswith("(None, ")
