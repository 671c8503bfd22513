"""Snapshots: what was rendered and read by a person once, and must not change unseen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "snapshots"


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare text with the snapshot of that name; write it under --update-snapshots."""

    def compare(name: str, text: str) -> None:
        path = FOLDER / name
        if request.config.getoption("--update-snapshots"):
            path.write_text(text, encoding="utf-8", newline="")
        assert path.is_file(), f"there is no snapshot {name}: run pytest --update-snapshots"
        assert text == path.read_text(encoding="utf-8"), (
            f"{name} has changed: read it, then run pytest --update-snapshots"
        )

    return compare
