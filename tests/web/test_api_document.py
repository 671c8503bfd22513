"""The OpenAPI document says what the API does, all of it and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask_openapi3.models import APISpec

from notifier.web import api_answers, api_models

METHODS = {"get", "put", "post", "delete", "patch"}
#: What changes something and needs nothing but its address.
WITHOUT_BODY = {"renew_address", "post_draft", "stop_draft", "dismiss_draft"}


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    response = app.test_client().get("/openapi.json")
    assert response.status_code == 200
    found: dict[str, Any] = response.json  # type: ignore[assignment]
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & set(item):
            yield method, path, item[method]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "$ref":
                yield inner
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_it_is_an_openapi_3_1_document(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    APISpec.model_validate(document)
    assert set(document["info"]) >= {"title", "version"}


def test_it_names_every_route_of_the_api_and_no_other(app: Flask, document: dict[str, Any]) -> None:
    routes = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {(method, path) for method, path, _ in operations(document)} == routes
    assert len(routes) == 34


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for reference in references(document):
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
        assert place


def test_every_operation_says_what_it_takes_and_what_can_go_wrong(
    document: dict[str, Any],
) -> None:
    assert {operation["operationId"] for _, _, operation in operations(document)} == {
        "declare_incident",
        "publish_update",
        "get_incident",
        "list_deliveries",
        "put_component",
        "put_customer",
        "list_suppressions",
        "get_suppression",
        "put_suppression",
        "delete_suppression",
        "list_channels",
        "list_unknown",
        "settle_unknown",
        "get_pause",
        "change_pause",
        "list_sources",
        "list_integrations",
        "add_integration",
        "get_integration",
        "change_integration",
        "delete_integration",
        "renew_address",
        "rotate_signing_secret",
        "list_rules",
        "add_rule",
        "delete_rule",
        "list_presets",
        "add_preset",
        "delete_preset",
        "list_drafts",
        "get_draft",
        *WITHOUT_BODY - {"renew_address"},
    }
    for method, path, operation in operations(document):
        assert operation["summary"].endswith(".")
        assert operation["security"] == [{"bearer": []}]
        in_path = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        takes_body = method in ("post", "put", "patch") and (
            operation["operationId"] not in WITHOUT_BODY
        )
        assert ("requestBody" in operation) == takes_body
        refusals = {s: r for s, r in operation["responses"].items() if s.startswith("4")}
        assert {"401", "403", "422"} <= set(refusals)
        for response in refusals.values():
            assert list(response["content"]) == ["application/problem+json"]
        assert len(operation["responses"]) - len(refusals) == 1


def test_a_token_is_how_one_gets_in(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_the_order_of_the_parts_is_that_of_the_notice() -> None:
    for model in (api_models.DeclareIncident, api_models.PublishUpdate, api_answers.NoticeWords):
        names = [
            n for n in model.model_fields if n in ("impact", "expected_duration", "explanation")
        ]
        assert names == ["impact", "expected_duration", "explanation"]
