"""Every wrong request gets one sentence that names the field, and changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from notifier.ports import Notifier
from notifier.store import schema
from tests.web.programs import CUSTOMER, DECLARATION, RESOLVED, UPDATE, Program, refused

pytestmark = pytest.mark.usefixtures("components")

ABSENT = object()
LONG = "x" * 7_000


@pytest.fixture
def program(app: Flask, n: Notifier) -> Program:
    made = Program.of(app, n)
    assert made.post("/incidents", DECLARATION).status_code == 201
    assert made.put("/customers/c1", CUSTOMER).status_code == 200
    return made


def contents(n: Notifier) -> dict[str, int]:
    """How many rows each table has."""
    with n.db.read() as connection:
        return {
            table.name: connection.scalars(select(func.count()).select_from(table)).one()
            for table in schema.metadata.sorted_tables
        }


WORDS = [
    ("impact", ABSENT, "is missing"),
    ("impact", "", "is missing"),
    ("impact", " \n ", "is missing"),
    ("impact", 5, "must be text"),
    ("impact", None, "must be text"),
    ("impact", "x" * 601, "has 601 characters; at most 600"),
    ("impact", LONG, "has 7000 characters; at most 600"),
    ("impact", "no \x07 water", "control character U+0007"),
    ("impact", "no \ud83d water", "half a character"),
    ("impact", "no \ue000 water", "U+E000"),
    ("explanation", ABSENT, "is missing"),
    ("explanation", ["a pump"], "must be text"),
    ("explanation", "x" * 5001, "at most 5000"),
    ("expected_duration", ABSENT, "is missing"),
    ("expected_duration", "two hours", "must be an object"),
    ("expected_duration", {}, "is missing"),
    ("expected_duration", {"unknown": False}, "is missing"),
    ("expected_duration", {"unknown": True, "until": "2026-11-22T12:00Z"}, "not both"),
    ("expected_duration.unknown", {"unknown": "yes"}, "must be true or false"),
    ("expected_duration.until", {"from": "2026-11-22T10:00:00Z"}, "is missing"),
    ("expected_duration.until", {"until": "2026-11-22T12:00:00"}, "has no zone"),
    ("expected_duration.until", {"until": "2020-01-01T00:00:00Z"}, "is in the past"),
    ("expected_duration.until", {"until": "2030-01-01T00:00:00Z"}, "more than a year ahead"),
    (
        "expected_duration.until",
        {"from": "2026-11-22T12:00:00Z", "until": "2026-11-22T10:00:00Z"},
        "must be later than expected_duration.from",
    ),
    ("expected_duration.until", {"until": "soon"}, "must be an ISO 8601 time"),
    ("expected_duration.until", {"until": 1795357800}, "must be an ISO 8601 time"),
    ("expected_duration.until", {"until": "1795357800"}, "must be an ISO 8601 time"),
    ("expected_duration.until", {"until": "0001-01-01T00:00:00+14:00"}, "must be an ISO 8601"),
    ("expected_duration.until", {"until": "9999-12-31T23:59:59-14:00"}, "must be an ISO 8601"),
    ("expected_duration.unti", {"unti": "2026-11-22T12:00Z"}, "did you mean 'until'?"),
    ("next_update_by", ABSENT, "is missing"),
    ("next_update_by", "2026-11-22T07:00:00Z", "is in the past"),
    ("next_update_by", "2026-11-22", "has no zone"),
    ("email", 5, "must be an object"),
    ("email", {"delay_minutes": 1, "send_at": "2026-11-22T12:00:00Z"}, "not both"),
    ("email.delay_minutes", {"delay_minutes": -1}, "must be at least 0"),
    ("email.delay_minutes", {"delay_minutes": 1441}, "must be at most 1440"),
    ("email.delay_minutes", {"delay_minutes": 10**30}, "must be"),
    ("email.delay_minutes", {"delay_minutes": "5"}, "must be a whole number"),
    ("email.delay_minutes", {"delay_minutes": 2.5}, "must be a whole number"),
    ("email.send_at", {"send_at": "2026-11-21T12:00:00Z"}, "must be in the future"),
    ("email.send_at", {"send_at": "2027-11-21T12:00:00Z"}, "at most 30 days ahead"),
    ("email.delay_minute", {"delay_minute": 5}, "did you mean 'delay_minutes'?"),
    ("impacts", "x", "did you mean 'impact'?"),
    ("zzz", "x", "is not a field; known are: "),
]
DECLARING = [
    ("title", ABSENT, "is missing"),
    ("title", "No heat\r\nBcc: everybody@example.com", "must be one line"),
    ("title", "x" * 121, "at most 120"),
    ("title", True, "must be text"),
    ("severity", ABSENT, "is missing"),
    ("severity", "huge", "must be one of 'minor', 'major' or 'critical'"),
    ("severity", 3, "must be one of"),
    ("severity", ["minor"], "must be one of"),
    ("components", ABSENT, "is missing"),
    ("components", [], "has 0 entries; at least 1"),
    ("components", "hot-water", "must be a list"),
    ("components", {"hot-water": 1}, "must be a list"),
    ("components", ["hot-water", "cold-fusion"], "names no known component: cold-fusion"),
    ("components", ["hot-water"] * 501, "has 501 entries; at most 500"),
    ("components[1]", ["hot-water", "Hot Water"], "small letters"),
    ("components[0]", [""], "must have 1 to 60 characters"),
    ("components[0]", [None], "must be text"),
    ("components[0]", ["a\x00b"], "small letters"),
    ("started_at", "2026-11-22T09:00:00Z", "is in the future"),
    ("started_at", "2026-11-22T08:00:00", "has no zone"),
    ("started_at", {"at": "now"}, "must be an ISO 8601 time"),
    ("titel", "x", "did you mean 'title'?"),
]
UPDATING = [
    ("status", ABSENT, "is missing"),
    ("status", "better", "must be one of 'investigating'"),
    ("status", "postmortem", "cannot become postmortem while it is investigating"),
    ("severity", "minor", "is not a field"),
]
COMPONENT = [
    ("name", ABSENT, "is missing"),
    ("name", "a\nb", "must be one line"),
    ("name", "x" * 121, "at most 120"),
    ("group", 5, "must be text"),
    ("group", "x" * 121, "at most 120"),
    ("position", -1, "must be at least 0"),
    ("position", 2**63, "must be at most 1000000"),
    ("position", 2**70, "must be"),
    ("position", True, "must be a whole number"),
    ("nmae", "x", "did you mean 'name'?"),
]
CUSTOMERS = [
    ("email", ABSENT, "is missing"),
    ("email", "amina", "is not an e-mail address"),
    ("email", "a@b\r\nBcc: c@example.com", "must be one line"),
    ("email", "a" * 400 + "@example.com", "has 412 characters"),
    ("email", "Amina@EXAMPLE.com", "is already the address of customer c1"),
    ("name", "A\x00", "control character"),
    ("language", "English", "must be a language tag"),
    ("language", 5, "must be text"),
    ("time_zone", "Karachi", "must be an IANA time zone"),
    ("time_zone", "../../etc/passwd", "must be an IANA time zone"),
    ("components", ABSENT, "is missing"),
    ("components", ["cold-fusion"], "names no known component: cold-fusion"),
    ("components[0]", [{}], "must be text"),
]
TABLES = [
    ("POST", "/incidents", DECLARATION, WORDS + DECLARING),
    ("POST", "/incidents/1/updates", UPDATE, WORDS + UPDATING),
    ("PUT", "/components/drains", {"name": "Drains"}, COMPONENT),
    ("PUT", "/customers/c2", {**CUSTOMER, "email": "b@example.com"}, CUSTOMERS),
]


@pytest.mark.parametrize(
    ("method", "path", "right", "table"), TABLES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_wrong_field_is_named_and_nothing_is_changed(
    program: Program, n: Notifier, method: str, path: str, right: dict[str, Any], table: Any
) -> None:
    before = contents(n)
    for field, value, sentence in table:
        top = field.partition(".")[0].partition("[")[0]
        body = {**right, top: value}
        if value is ABSENT:
            del body[top]
        problem = refused(program.send(method, path, body), 422)
        errors = {error["field"]: error["message"] for error in problem["errors"]}
        assert sentence in errors.get(field, ""), (field, value, problem)
        assert field in problem["detail"]
    assert contents(n) == before
    assert program.send(method, path, right).status_code in (200, 201), "the right one is taken"


def test_every_wrong_field_is_listed_at_once(program: Program) -> None:
    body = {**DECLARATION, "severity": "huge", "title": 5, "extra": 1}
    problem = refused(program.post("/incidents", body), 422)
    assert {error["field"] for error in problem["errors"]} == {"severity", "title", "extra"}


def test_no_refusal_speaks_of_our_tools(program: Program) -> None:
    said = []
    for method, path, right, table in TABLES:
        for field, value, _ in table:
            body = {**right, field.partition(".")[0].partition("[")[0]: value}
            if value is not ABSENT:
                said.append(program.send(method, path, body).text.lower())
    words = ("pydantic", "input should", "value error", "valid string", "traceback", "field takes")
    assert [text for text in said if any(word in text for word in words)] == []


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "line 1, column 1"),
        (b'{"title": "x",\n "severity": }', "line 2, column 14"),
        (b'{"title": "x"', "is not JSON"),
        (b"\xff\xfe{}", "is not UTF-8 text: byte 1"),
        ('{"title": "é"}'.encode("latin-1"), "is not UTF-8 text: byte 12"),
        (b"\x00\x01\x02", "is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"delay_minutes": NaN}', "the value NaN, which JSON does not know"),
        (b'{"a": -Infinity}', "the value -Infinity"),
        (b'{"title": "a", "title": "b"}', "'title' twice in one object"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "a number with too many digits"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'"{}"', "must be a JSON object"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(
    program: Program, body: bytes, sentence: str
) -> None:
    for path in ("/incidents", "/incidents/1/updates"):
        assert sentence in refused(program.post(path, body), 400)["detail"]
    assert sentence in refused(program.put("/components/x", body), 400)["detail"]


def test_ten_megabytes_are_too_much(program: Program) -> None:
    body = json.dumps({**DECLARATION, "explanation": "x" * 10_000_000}).encode()
    refused(program.post("/incidents", body), 413)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_another_content_type_is_refused(program: Program, kind: str) -> None:
    body = json.dumps(DECLARATION).encode()
    problem = refused(program.post("/incidents", body, content_type=kind), 415)
    assert "Content-Type: application/json" in problem["detail"]


@pytest.mark.parametrize("key", [" ", "x" * 201, "a\x85b", "a\tb"])
def test_a_wrong_idempotency_key_is_refused(program: Program, key: str) -> None:
    problem = refused(program.post("/incidents", DECLARATION, key=key), 400)
    assert problem["errors"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize("number", ["0", "2", "-1", "abc", "1.5", "9" * 30, "%00", "1%20", "INC-1"])
def test_an_unknown_incident_is_not_found(program: Program, number: str) -> None:
    refused(program.get(f"/incidents/{number}"), 404)
    refused(program.get(f"/incidents/{number}/deliveries"), 404)
    refused(program.post(f"/incidents/{number}/updates", UPDATE), 404)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=lost", "state"),
        ("cursor=abc", "cursor"),
        ("cursor=LTEuLTE", "cursor"),
        ("cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5LjE", "cursor"),
        ("cursor=" + "a" * 101, "cursor"),
        ("cursor=%C3%A9", "cursor"),
        ("page=2", "page"),
    ],
)
def test_a_wrong_query_is_refused(program: Program, query: str, field: str) -> None:
    problem = refused(program.get(f"/incidents/1/deliveries?{query}"), 422)
    assert problem["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/components/Hot%20Water", {"name": "x"}, "slug"),
        ("/components/%00", {"name": "x"}, "slug"),
        ("/components/" + "x" * 61, {"name": "x"}, "slug"),
        ("/customers/a%09b", CUSTOMER, "external_id"),
        ("/customers/" + "x" * 121, CUSTOMER, "external_id"),
        ("/customers/" + "x" * 9_000, CUSTOMER, "external_id"),
    ],
)
def test_a_wrong_name_in_the_address_is_refused(
    program: Program, path: str, body: dict[str, Any], field: str
) -> None:
    response = program.put(path, body)
    assert response.status_code in (404, 422)
    assert refused(response, response.status_code)["errors"][0]["field"] == field


def test_an_update_that_cannot_follow_is_refused(program: Program) -> None:
    program.post("/incidents/1/updates", RESOLVED)
    program.post("/incidents/1/updates", {**RESOLVED, "status": "postmortem"})
    problem = refused(program.post("/incidents/1/updates", UPDATE), 422)
    assert problem["detail"] == "status cannot become identified while it is postmortem."


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("DELETE", "/incidents/1", 405),
        ("PATCH", "/incidents/1", 405),
        ("POST", "/incidents/1", 405),
        ("GET", "/incidents", 405),
    ],
)
def test_what_there_is_not_is_a_problem_too(
    program: Program, method: str, path: str, status: int
) -> None:
    refused(program.send(method, path), status)
