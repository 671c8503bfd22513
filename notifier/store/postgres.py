"""PostgreSQL through psycopg 3."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL


def open_engine(url: URL) -> Engine:
    """An engine whose connections are tested before use, so a restarted server is survived."""
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        pool_size=10,
        connect_args={"connect_timeout": 5, "options": "-c timezone=UTC"},
    )
