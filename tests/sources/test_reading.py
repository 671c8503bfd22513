"""What the sources share: whatever its label says, a body is read, and quickly."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Hook
from notifier.sources._reading import (
    read_fields,
    read_flat,
    read_json,
    read_multipart,
    read_object,
    time_of,
)
from tests.sources.bodies import NOW, request

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
MIB = 1 << 20
MOMENT = datetime(2026, 11, 22, 16, 2, 11, tzinfo=UTC)


def part(name: str, value: str, end: str = "\r\n") -> str:
    head = f'Content-Disposition: form-data; name="{name}"'
    return end.join(["--x", head, "", value, ""])


def test_the_first_signs_of_a_body_count_more_than_its_label() -> None:
    for label in ("application/json", FORM, MULTIPART, "text/plain", ""):
        assert read_object(request(' {"a": 1}', content_type=label)) == {"a": 1}


@pytest.mark.parametrize("read", [read_object, read_flat])
def test_a_byte_order_mark_is_no_part_of_a_body(read: Callable[[Hook], object]) -> None:
    assert read(request(b'\xef\xbb\xbf{"a": "b"}')) == {"a": "b"}


@pytest.mark.parametrize(
    "hook",
    [
        request(b"data=%7B%22a%22%3A1%7D", content_type=FORM),
        request(b"x=1&payload=%7B%22a%22%3A1%7D", content_type=FORM),
        request(b"%7B%22a%22%3A1%7D", content_type=FORM),
        request(part("data", '{"a":1}') + "--x--", content_type=MULTIPART),
        Hook("GET", {}, "data=%7B%22a%22%3A1%7D", b"", NOW),
    ],
)
def test_json_is_found_where_a_tool_has_put_it(hook: Hook) -> None:
    assert read_json(hook) == {"a": 1}


@pytest.mark.parametrize(
    ("body", "label", "said"),
    [
        (b'"a": 1}', "application/json", "Extra data at line 1, column 4"),
        (b"hello", "text/plain", "line 1, column 1"),
        (b'{"a": 1,\n}', FORM, "line 2, column 1"),
        (b"hello=1", FORM, "no field with JSON"),
        (b'{"a": "\xff"}', "application/json", "byte 7"),
        (b'{"a": NaN}', "application/json", "NaN is no number"),
        (b"", "application/json", "is empty"),
        (b"[1]", "application/json", "it is a list"),
    ],
)
def test_a_refusal_says_where_the_mistake_is(body: bytes, label: str, said: str) -> None:
    with pytest.raises(Unreadable, match=said):
        read_object(request(body, content_type=label))


def test_a_query_may_hold_any_letters() -> None:
    raw = "name=Prüfung".encode().decode("latin-1")  # as a server hands it on
    assert read_fields(Hook("GET", {}, raw, b"", NOW)) == {"name": "Prüfung"}


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("boundary", ["x", '"x"', "x; charset=utf-8"])
def test_multipart_fields_are_read(end: str, boundary: str) -> None:
    body = part("a", "one" + end + "two", end) + part("b", "", end) + "--x--" + end
    hook = request(body, content_type=f"multipart/form-data; boundary={boundary}")
    assert read_multipart(hook) == {"a": f"one{end}two", "b": ""}


def test_multipart_that_was_cut_off_keeps_what_came() -> None:
    assert read_multipart(request(part("a", "1"), content_type=MULTIPART)) == {"a": "1\r\n"}


def test_a_files_name_is_not_the_fields() -> None:
    head = 'Content-Disposition: form-data; name=up; filename="name=other"'
    body = f"--x\r\n{head}\r\nContent-Type: text/plain\r\n\r\nv\r\n--x--"
    assert read_multipart(request(body, content_type=MULTIPART)) == {"up": "v"}


@pytest.mark.parametrize("label", ["multipart/form-data", MULTIPART])
def test_multipart_without_parts_is_refused(label: str) -> None:
    with pytest.raises(Unreadable, match="no parts"):
        read_multipart(request("a=b", content_type=label))


@given(st.binary(max_size=300))
def test_any_multipart_is_read_or_refused(body: bytes) -> None:
    for framed in (body, b"--x\r\n" + body + b"\r\n--x--"):
        assert _refusal(request(framed, content_type=MULTIPART))[-1:] in ("", ".")


_HEAD = b"--x\r\nContent-Disposition: form-data"
_NESTED = b"".join(
    b"--x%d\r\nContent-Type: multipart/mixed; boundary=x%d\r\n\r\n" % (i, i + 1)
    for i in range(MIB // 60)
)
HOSTILE = {
    "nested lists": (b"[" * MIB, "application/json"),
    "nested objects": (b'{"a":' * (MIB // 5), "application/json"),
    "a number": (b"[" + b"9" * MIB + b"]", "application/json"),
    "backslashes": (b'["' + b"\\" * MIB + b'"]', "application/json"),
    "line breaks": (b"{" + b"\n" * MIB + b"x", "application/json"),
    "fields": (b"a&" * (MIB // 2), FORM),
    "percent signs": (b"a=" + b"%41" * (MIB // 3), FORM),
    "parts": (b"--x\r\n\r\n" * (MIB // 7), MULTIPART),
    "nested parts": (_NESTED, "multipart/form-data; boundary=x0"),
    "headers": (b"--x\r\n" + b"a: b\r\n" * (MIB // 6), MULTIPART),
    "parameters": (_HEAD + b"; a=b" * (MIB // 5) + b"\r\n\r\nv\r\n--x--", MULTIPART),
    "comments": (b"--x\r\nContent-Disposition: " + b"(" * MIB + b"\r\n\r\nv\r\n--x--", MULTIPART),
    "spaces": (b"--x" + b" " * MIB + b"\r\n\r\n--x--", MULTIPART),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_time_for_a_hostile_body_grows_with_its_size_only(name: str) -> None:
    """Four times the body may take eight times as long, not sixteen; below 50 ms all is well."""
    body, label = HOSTILE[name]
    small, large = (
        min(_time_to_read(request(body[:size], content_type=label)) for _ in range(3))
        for size in (MIB // 4, MIB)
    )
    assert large < max(8 * small, 0.05)


def _time_to_read(hook: Hook) -> float:
    began = time.thread_time()
    _refusal(hook)
    return time.thread_time() - began


def _refusal(hook: Hook) -> str:
    """Why the request is refused; "" where it is read."""
    try:
        read_json(hook)
    except Unreadable as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-22T16:02:11Z",
        "2026-11-22t16:02:11z",
        "2026-11-22T16:02:11",
        "2026-11-22 16:02:11",
        "2026-11-22T16:02:11.000000000Z",
        "2026-11-22T08:32:11.000000000-07:30",
        "2026-11-22T17:02:11+0100",
        "2026-11-22 16:02:11 UTC",
        "2026-11-22 16:02:11 +0000 UTC",
        "2026-11-22 17:02:11.000000000 +0100",
        " 1795363331 ",
        "1795363331.0",
        1795363331,
        1795363331000,
        "1795363331000",
        1795363331000000,
        1795363331000000000,
    ],
)
def test_one_moment_in_all_its_spellings(written: object) -> None:
    assert time_of(written) == MOMENT


def test_nine_digits_of_a_second_are_cut_to_six() -> None:
    found = time_of("2026-11-22T16:02:11.120456789Z")
    assert found == MOMENT + timedelta(microseconds=120456)


def test_a_scale_is_applied_first() -> None:
    assert time_of(1795363331000, scale=1e3) == MOMENT
    assert time_of(1795363331000000000, scale=1e9) == MOMENT


@pytest.mark.parametrize(
    "written",
    [
        None,
        True,
        "",
        "soon",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "1970-01-01T00:00:00Z",
        0,
        -1,
        "-5",
        10**400,
        "9" * 64,
        "9" * 400,
        1e308,
        float("inf"),
        float("nan"),
        "²",
        ["2026-11-22"],
    ],
)
def test_what_is_no_time_is_none(written: object) -> None:
    assert time_of(written) is None


@given(st.one_of(st.text(max_size=70), st.integers(), st.floats(), st.datetimes().map(str)))
def test_no_time_breaks_it(written: object) -> None:
    found = time_of(written)
    assert found is None or found.tzinfo is UTC


def test_numbers_too_great_for_python_are_no_failure() -> None:
    body = json.dumps({"at": 0})
    hook = request(body.replace("0", "9" * 4_000))
    assert time_of(read_object(hook)["at"]) is None
