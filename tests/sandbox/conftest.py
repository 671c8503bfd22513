from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tweepy

from notifier.sandbox.process import Sandbox
from tests.sandbox.clients import x_client


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox in this process, on free ports."""
    with Sandbox(tmp_path / "log.jsonl") as box:
        yield box


@pytest.fixture
def x(box: Sandbox) -> Iterator[tweepy.Client]:
    """tweepy with the right credentials."""
    client = x_client(box)
    yield client
    client.session.close()
