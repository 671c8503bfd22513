"""What the sources share: getting at a body whatever its label says, and at the values in it.

A Content-Type is not to be trusted: Uptime Kuma's own body is JSON that says it is a form, SNS
sends JSON as text/plain, several tools can be told to send nothing but a query.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Hook

_FIELDS_MAX = 1_000
#: A time that a tool means as "none": Go's zero time, which Alertmanager sends as endsAt.
_NO_TIME_YEAR = 1
_TIME_MAX = 64


def read_json(hook: Hook) -> Any:
    """The JSON in a request, wherever the tool has put it: the body, a form field or the query.

    Raises Unreadable with the place of the mistake.
    """
    body = hook.body.strip()
    if body.startswith((b"{", b"[")) or not (hook.query or body):
        return parse_json(hook.body)
    if hook.mimetype == "multipart/form-data":
        return _only_json(read_multipart(hook))
    fields = read_fields(hook)
    return _only_json(fields) if fields else parse_json(hook.body)


def read_object(hook: Hook) -> dict[str, Any]:
    """The JSON object in a request. Raises Unreadable."""
    found = read_json(hook)
    if not isinstance(found, dict):
        raise Unreadable(f"The body is JSON, but not an object: it is {_kind(found)}.")
    return found


def read_flat(hook: Hook) -> dict[str, Any]:
    """The fields of a tool that may send them as JSON, as a form or in the query.

    Raises Unreadable.
    """
    body = hook.body.strip()
    if body.startswith(b"{"):
        return read_object(hook)
    fields = read_multipart(hook) if hook.mimetype == "multipart/form-data" else read_fields(hook)
    if not fields:
        raise Unreadable("The request holds no fields: neither JSON, nor a form, nor a query.")
    return dict(fields)


def parse_json(text: bytes | str) -> Any:
    """The value of a JSON text. Raises Unreadable with the line and column of the mistake."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Unreadable(f"The body is not UTF-8: byte {error.start} cannot be read.") from None
    if not text.strip():
        raise Unreadable("The body is empty.")
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise Unreadable(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except RecursionError:
        raise Unreadable("The body is JSON that is nested too deeply.") from None
    except ValueError as error:  # a number of more than 4,300 digits
        raise Unreadable(f"The body is not JSON we can read: {error}.") from None


def read_fields(hook: Hook) -> dict[str, str]:
    """The fields of a form in the body, or of the query where there is no body.

    Raises Unreadable for more than 1,000 of them.
    """
    raw = hook.body if hook.body.strip() else hook.query.encode("ascii", "replace")
    try:
        pairs = parse_qsl(
            raw.decode("utf-8", "replace"),
            keep_blank_values=True,
            max_num_fields=_FIELDS_MAX,
        )
    except ValueError:
        raise Unreadable(f"The form has more than {_FIELDS_MAX} fields.") from None
    return dict(pairs)


def read_multipart(hook: Hook) -> dict[str, str]:
    """The text fields of multipart/form-data. Raises Unreadable."""
    head = f"Content-Type: {hook.headers.get('content-type', '')}\r\n\r\n".encode(
        "latin-1", "replace"
    )
    message = BytesParser(policy=HTTP).parsebytes(head + hook.body)
    if not message.is_multipart():
        raise Unreadable("The body says it is multipart/form-data, but it has no parts.")
    fields: dict[str, str] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes) and len(fields) < _FIELDS_MAX:
            fields[name] = payload.decode("utf-8", "replace")
    return fields


def text(value: object) -> str:
    """A value as text: "" for null and for what is no single value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else ""


def first(*values: object) -> str:
    """The first of the values that is something, as text."""
    return next((found for value in values if (found := text(value).strip())), "")


def dig(value: object, *path: str | int) -> Any:
    """What lies at `path` in nested objects and lists; None where something on it is missing."""
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def objects(value: object) -> list[dict[str, Any]]:
    """The objects in a list; empty for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def labels_of(*sources: object, **named: object) -> dict[str, str]:
    """Labels from flat objects and from single values, without those that are empty."""
    found: dict[str, str] = {}
    for source in sources:
        if isinstance(source, Mapping):
            found |= {str(name): text(value) for name, value in source.items()}
    found |= {name: text(value) for name, value in named.items()}
    return {name: value for name, value in found.items() if name and value}


def tags_of(tags: object, *, separator: str = ",") -> dict[str, str]:
    """Labels from tags such as "env:prod" or "env=prod"; one without a value is "true"."""
    listed: Iterable[object] = tags.split(separator) if isinstance(tags, str) else ()
    if isinstance(tags, list):
        listed = tags
    found: dict[str, str] = {}
    for tag in listed:
        word = text(tag).strip()
        at = min((i for i in (word.find(":"), word.find("=")) if i > 0), default=-1)
        name, value = (word[:at], word[at + 1 :]) if at > 0 else (word, "true")
        if name.strip():
            found[name.strip()] = value.strip() or "true"
    return found


def time_of(value: object, *, scale: float = 1.0) -> datetime | None:
    """A time from RFC 3339 text (UTC where it names no zone) or from seconds since 1970.

    Numbers are divided by `scale` first (1000 for milliseconds). None for what is no time, and
    for the year 1, which Go writes for "none".
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_seconds(value / scale)
    written = value.strip() if isinstance(value, str) and len(value) <= _TIME_MAX else ""
    if written.replace(".", "", 1).isdecimal():
        return _from_seconds(float(written) / scale)
    try:
        found = datetime.fromisoformat(_cut_fraction(written))
        aware = found if found.tzinfo else found.replace(tzinfo=UTC)
        return None if found.year == _NO_TIME_YEAR else aware.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def refuse(what: str, *, of: str) -> NoReturn:
    """Say what is missing in a body. Raises Unreadable."""
    raise Unreadable(f"The body has no {what}, so it is not one of {of}'s.")


def _only_json(fields: Mapping[str, str]) -> Any:
    """The JSON in that field of a form which holds some ("data", "payload" and others)."""
    for name in ("data", "payload", "json", "body", *fields):
        if fields.get(name, "").lstrip().startswith(("{", "[")):
            return parse_json(fields[name])
    for name in fields:  # a JSON body that was labelled a form: all of it is the first name
        if name.lstrip().startswith(("{", "[")):
            return parse_json(name)
    raise Unreadable("The form has no field with JSON in it.")


def _cut_fraction(written: str) -> str:
    """Python reads six digits of a second's fraction; Go writes nine."""
    if written.endswith(" UTC"):
        written = written[:-4] + "+00:00"
    head, dot, tail = written.partition(".")
    if not dot:
        return written
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return f"{head}.{tail[:digits][:6].ljust(6, '0')}{tail[digits:]}"


def _from_seconds(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None
    except (OverflowError, ValueError, OSError):
        return None


def _refuse_constant(name: str) -> NoReturn:
    raise Unreadable(f"The body is not JSON: {name} is no number.")


def _kind(value: object) -> str:
    return {list: "a list", str: "a text", bool: "true or false"}.get(type(value), "a single value")
