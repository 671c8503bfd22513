"""What the sources share: getting at a body whatever its label says, and at the values in it.

A Content-Type is not to be trusted: Uptime Kuma's own body is JSON that says it is a form, SNS
sends JSON as text/plain, several tools can be told to send nothing but a query.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Hook

_FIELDS_MAX = 1_000
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
#: RFC 2046, 5.1.1: at most 70 characters.
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^",;\s]{1,70}))', re.IGNORECASE)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_PART_NAME = re.compile(
    rb'^content-disposition:[^\r\n;]*;[^\r\n]*?\bname=(?:"([^"\r\n]*)"|([^;\s]+))',
    re.IGNORECASE | re.MULTILINE,
)
_PART_HEAD_MAX = 2_000
_TIME_MAX = 64
_OFFSET = re.compile(r"[+-]\d\d:?\d\d$")
#: Numbers from here on (the year 2286 as seconds) are not seconds: see `_from_number`.
_SECONDS_END = 1e10


def read_json(hook: Hook) -> Any:
    """The JSON in a request, wherever the tool has put it: the body, a form field or the query.

    Raises Unreadable with the place of the mistake.
    """
    body = _start_of(hook.body)
    if body.startswith((b"{", b"[")) or not (hook.query or body):
        return parse_json(hook.body)
    found = _json_in(_read_form(hook))
    if found is None and (not body or hook.mimetype in _FORMS):
        raise Unreadable("The form has no field with JSON in it.")
    return parse_json(hook.body if found is None else found)


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
    if _start_of(hook.body).startswith(b"{"):
        return read_object(hook)
    fields = _read_form(hook)
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
    raw = hook.body if hook.body.strip() else hook.query.encode("latin-1", "replace")
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
    """The text fields of multipart/form-data. Raises Unreadable, also for more than 1,000 parts.

    Read here and not by `email`: that one took 41 seconds for 1 MiB of parameters and 11 for as
    many parts, and gave up on nested parts with a RecursionError. A form needs none of it
    (RFC 7578: no nesting, no transfer encodings).
    """
    parts = _parts_of(hook)
    if not parts:
        raise Unreadable("The body says it is multipart/form-data, but it has no parts.")
    if len(parts) > _FIELDS_MAX + 1:
        raise Unreadable(f"The form has more than {_FIELDS_MAX} fields.")
    return dict(field for part in parts if (field := _field_of(part)))


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
    found |= {name: word for name, value in named.items() if (word := text(value))}
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

    Numbers are divided by `scale` first (1000 for milliseconds); what cannot be seconds even so
    is taken for milli-, micro- or nanoseconds. None for what is no time, and for times up to 1970,
    which mean "none": Go writes the year 1 (as Alertmanager's endsAt), others write 0.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_number(value, scale)
    written = value.strip() if isinstance(value, str) and len(value) <= _TIME_MAX else ""
    if written.replace(".", "", 1).isdecimal():
        return _from_number(float(written), scale)
    try:
        found = datetime.fromisoformat(_in_pythons_spelling(written))
        aware = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        return aware if aware.timestamp() > 0 else None
    except (ValueError, OverflowError):
        return None


def refuse(what: str, *, of: str) -> NoReturn:
    """Say what is missing in a body. Raises Unreadable."""
    raise Unreadable(f"The body has no {what}, so it is not one of {of}'s.")


def _start_of(body: bytes) -> bytes:
    """The body without what may stand before its first sign."""
    return body.strip().removeprefix(BOM_UTF8).lstrip()


def _read_form(hook: Hook) -> dict[str, str]:
    is_multipart = hook.mimetype == "multipart/form-data" and hook.body.strip()
    return read_multipart(hook) if is_multipart else read_fields(hook)


def _json_in(fields: Mapping[str, str]) -> str | None:
    """The JSON in that field of a form which holds some ("data", "payload" and others)."""
    for name in ("data", "payload", "json", "body", *fields):
        if fields.get(name, "").lstrip().startswith(("{", "[")):
            return fields[name]
    # A JSON body that was labelled a form and escaped as one: all of it is the first name.
    return next((name for name in fields if name.lstrip().startswith(("{", "["))), None)


def _parts_of(hook: Hook) -> list[bytes]:
    """What stands behind each dividing line: the parts, and what follows the last of them."""
    named = _BOUNDARY.search(hook.headers.get("content-type", ""))
    if named is None:
        return []
    boundary = re.escape((named[1] or named[2]).encode("latin-1", "replace"))
    divider = re.compile(rb"(?:\A|\r?\n)--" + boundary + rb"(?:--)?[ \t]*(?=\r?\n|\Z)")
    return divider.split(hook.body, maxsplit=_FIELDS_MAX + 2)[1:]


def _field_of(part: bytes) -> tuple[str, str] | None:
    """The name and the text of a part; None for one without a name."""
    blank = _BLANK_LINE.search(part)
    named = _PART_NAME.search(part[: min(blank.start(), _PART_HEAD_MAX)]) if blank else None
    if blank is None or named is None:
        return None
    name = named[1] if named[1] is not None else named[2]
    return name.decode("utf-8", "replace"), part[blank.end() :].decode("utf-8", "replace")


def _in_pythons_spelling(written: str) -> str:
    """Python reads neither a small "z" nor the zone's name that Go and Ruby write at the end."""
    found = written.upper()
    if not found.endswith(" UTC"):
        return found
    bare = found.removesuffix(" UTC")
    return bare if _OFFSET.search(bare) else f"{bare}+00:00"


def _from_number(number: float, scale: float) -> datetime | None:
    """A number's size tells its unit: in a finer one than seconds, now has 13 digits or more.

    Where a tool's unit depends on its version or on who wrote the template, taking milliseconds
    for seconds would lose the time.
    """
    try:
        seconds = number / scale
    except OverflowError:
        return None
    if 0 < seconds < _SECONDS_END:
        return datetime.fromtimestamp(seconds, UTC)
    sizes = (seconds / unit for unit in (1e3, 1e6, 1e9))
    fitting = next((size for size in sizes if _SECONDS_END / 10 <= size < _SECONDS_END), None)
    return None if fitting is None else datetime.fromtimestamp(fitting, UTC)


def _refuse_constant(name: str) -> NoReturn:
    raise Unreadable(f"The body is not JSON: {name} is no number.")


def _kind(value: object) -> str:
    return {list: "a list", str: "a text", bool: "true or false"}.get(type(value), "a single value")
