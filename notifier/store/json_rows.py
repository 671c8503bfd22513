"""Many rows in one statement and one parameter: a list of lists, as JSON.

`executemany` runs a statement once per row. Python's sqlite3 lets go of the interpreter for each of
them, and in a process that is busy with requests every row then waits for its turn to go on: 2,100
requests a second were kept instead of 1,550. PostgreSQL would be sent as many statements.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    func,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def rows_of(dialect: str, table: Table, columns: Sequence[str]) -> Select[Any]:
    """The rows in the parameter `rows`, typed as these columns of the table."""
    types = [table.c[name].type for name in columns]
    values: list[ColumnElement[Any]]
    if dialect == "postgresql":
        given = func.jsonb_array_elements(cast(bindparam("rows", type_=Text), JSONB))
        row = given.table_valued("value")
        texts = [row.c.value.op("->>")(at) for at in range(len(types))]
        values = [_from_text(text, kind) for text, kind in zip(texts, types, strict=True)]
    else:
        row = func.json_each(bindparam("rows", type_=Text)).table_valued("value")
        found = [func.json_extract(row.c.value, f"$[{at}]") for at in range(len(types))]
        # A text is cast to its UTF-8 bytes; what has no bytes to be is left as it is.
        values = [
            cast(value, LargeBinary) if isinstance(kind, LargeBinary) else value
            for value, kind in zip(found, types, strict=True)
        ]
    # Without a WHERE, SQLite takes the ON CONFLICT that follows for a join's ON.
    return select(*values).select_from(row).where(true())


def _from_text(text: ColumnElement[Any], kind: TypeEngine[Any]) -> ColumnElement[Any]:
    """PostgreSQL's `->>` gives text, whatever the JSON holds."""
    if isinstance(kind, LargeBinary):
        return func.convert_to(text, "UTF8")
    return cast(text, kind)


def as_json(rows: Sequence[Sequence[Any]]) -> str:
    """The parameter `rows`, in which bytes have to be UTF-8 without NUL (`is_text`).

    Times must have a zone, and are written as SQLite keeps them, which PostgreSQL reads as UTC.
    """
    return _write([[_plain(value) for value in row] for row in rows])


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        moment = value if value.tzinfo is UTC else value.astimezone(UTC)
        return moment.replace(tzinfo=None).isoformat(" ", "microseconds")
    return value.decode() if isinstance(value, bytes) else value


def is_text(value: bytes) -> bool:
    """Whether bytes can travel in JSON: PostgreSQL's texts hold no NUL."""
    if b"\0" in value:
        return False
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
