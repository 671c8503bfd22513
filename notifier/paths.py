"""Where the templates and the annotated default settings lie: in the tree, or in the wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def template_dir() -> Path:
    """Folder of the Jinja templates. Raises FileNotFoundError on a broken installation."""
    return _find("templates")


def config_dir() -> Path:
    """Folder of the annotated default settings. Raises FileNotFoundError likewise."""
    return _find("config")


def _find(name: str) -> Path:
    for folder in (_PACKAGE / "_shipped" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"the folder {name}/ of notifier is missing: install it again")
