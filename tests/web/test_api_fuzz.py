"""Whatever is sent to the API, it answers, and never with an error of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.domain.access import Role
from notifier.ports import Notifier
from tests.web.programs import CUSTOMER, DECLARATION, RESOLVED, UPDATE, Program

pytestmark = pytest.mark.usefixtures("components")

# One database for all examples: an example that gets in must not make the next one fail.
RUN = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# With lone surrogates, which JSON can write and most programs forget.
texts = st.text(st.characters(codec=None), max_size=30) | st.sampled_from(
    ["", "\ud800", "2026-11-22T12:00:00Z", "hot-water", "minor", "\x00", "x" * 20_000]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
ROUTES = [
    (
        "POST",
        "/incidents",
        {**DECLARATION, "started_at": "2026-11-22T07:00:00Z", "email": {"delay_minutes": 1}},
    ),
    ("POST", "/incidents/1/updates", {**UPDATE, "email": {"send_at": "2026-11-22T12:00:00Z"}}),
    ("POST", "/incidents/1/updates", RESOLVED),
    ("PUT", "/components/drains", {"name": "Drains", "group": "Water", "position": 1}),
    ("PUT", "/customers/c9", {**CUSTOMER, "name": "A", "language": "ur", "time_zone": "UTC"}),
    (
        "POST",
        "/integrations",
        {
            "source": "generic",
            "name": "A",
            "component": "sign-in",
            "severity": "minor",
            "header": "X-T",
            "header_secret": "correct horse",
            "networks": ["192.0.2.0/24"],
            "options": {"key": "id"},
            "heartbeat_minutes": 5,
        },
    ),
    ("PATCH", "/integrations/1", {"name": "B", "component": None, "options": {"alerts": "a"}}),
    ("POST", "/integrations/1/signing-secret", {"signing_secret": "12345678", "keep_last": True}),
    ("POST", "/presets", {"name": "A", "title": "B", "impact": "C", "explanation": "D"}),
    (
        "POST",
        "/alert-rules",
        {"match": {"a": "b*"}, "component": "sign-in", "preset": 1, "auto_minutes": 5},
    ),
]


@pytest.fixture
def program(app: Flask, n: Notifier) -> Iterator[Program]:
    made = Program.of(app, n, role=Role.ADMIN)
    made.post("/incidents", DECLARATION)
    made.post("/integrations", {"source": "generic", "name": "Ours"})
    yield made
    assert made.get("/incidents/1").status_code == 200


@RUN
@given(
    route=st.sampled_from(ROUTES),
    changes=st.dictionaries(st.integers(0, 9), values, min_size=1, max_size=3),
    extra=st.dictionaries(texts, values, max_size=1),
    key=st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=210),
)
def test_no_field_can_bring_it_down(
    program: Program,
    route: tuple[str, str, dict[str, Any]],
    changes: dict[int, Any],
    extra: dict[str, Any],
    key: str,
) -> None:
    method, path, right = route
    body = {**right, **extra}
    names = list(right)
    for index, value in changes.items():
        body[names[index % len(names)]] = value
    answer = program.send(method, path, body, key=key)
    assert answer.status_code < 500, (body, answer.text)
    json.loads(answer.text)


@RUN
@given(
    route=st.sampled_from(ROUTES),
    body=st.binary(max_size=200) | values.map(lambda v: json.dumps(v).encode()),
    kind=st.sampled_from(
        ["application/json", "application/json; charset=utf-16", "text/plain", "x"]
    ),
)
def test_no_body_can_bring_it_down(
    program: Program, route: tuple[str, str, dict[str, Any]], body: bytes, kind: str
) -> None:
    method, path, _ = route
    answer = program.send(method, path, body, content_type=kind)
    changes_nothing = method == "PATCH" and answer.status_code == 200  # {} is a right one
    assert changes_nothing or 400 <= answer.status_code < 500, answer.text
    json.loads(answer.text)


@RUN
@given(
    path=st.text(st.characters(exclude_characters="?#"), max_size=40),
    query=st.text(max_size=40),
    method=st.sampled_from(["GET", "PUT", "POST", "PATCH", "DELETE"]),
)
def test_no_address_can_bring_it_down(program: Program, path: str, query: str, method: str) -> None:
    for prefix in (
        *("/incidents/", "/components/", "/customers/", "/incidents/1/deliveries?"),
        *("/integrations/", "/alert-rules/", "/presets/", "/drafts/", "/drafts?"),
    ):
        try:
            address = prefix + path + "?" + query
            address.encode()
        except UnicodeEncodeError:
            return
        body = {"name": "x"} if method != "GET" else None
        assert program.send(method, address, body).status_code < 500
