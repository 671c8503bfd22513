"""The database goes away for a moment, and the workers come back with it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.queueing.cluster import cluster, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.postgres]


def test_workers_outlive_a_restart_of_postgresql(tmp_path: Path, own_postgres: Any) -> None:
    with cluster(tmp_path, own_postgres.get_uri()) as site, site.worker("one") as one:
        site.add_customers(1)
        for count in (1, 2, 3):
            site.declare()
            restart(own_postgres)
            posts = site.box.wait_for(count, "x", seconds=10)
            assert len(posts) == count, one.output.read_text()
            mails = site.box.wait_for(count, "sendgrid", seconds=10)
            assert len(mails) == count, one.output.read_text()
        assert one.stop() == 0


def restart(postgres: Any) -> None:
    """As a crash would do it: no connection is closed in order, what was committed is there."""
    os.kill(postgres.get_pid(), signal.SIGQUIT)
    assert wait_until(lambda: not (postgres.pgdata / "postmaster.pid").exists())
    postgres.ensure_postgres_running()
