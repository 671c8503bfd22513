"""The notifier of one command: opened when it begins, closed when it ends."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager

from notifier.app import build, load_settings
from notifier.ports import Notifier


@contextmanager
def opened() -> Iterator[Notifier]:
    """Everything a use case needs. Delivers nothing: whoever serves finds the rows."""
    n = build(load_settings())
    try:
        yield n
    finally:
        n.db.close()


def operator() -> str:
    """Who gives the command, as the record of an update names them."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (OSError, KeyError):  # no such user in the system's list, as in some containers
        return "command line"
