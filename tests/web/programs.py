"""A program that uses the write API, as its author would write it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from notifier.domain.access import Role
from notifier.ports import Notifier
from notifier.services import access

# The clock of the tests stands at 2026-11-22T08:12Z.
DECLARATION: dict[str, Any] = {
    "title": "No hot water in Harbour District",
    "severity": "major",
    "components": ["hot-water"],
    "impact": "About 4,200 homes have no hot water.",
    "expected_duration": {"from": "2026-11-22T10:00:00Z", "until": "2026-11-22T12:00:00Z"},
    "explanation": "A circulation pump failed.",
    "next_update_by": "2026-11-22T14:00:00+05:00",
}
UPDATE: dict[str, Any] = {
    "status": "identified",
    "impact": "About 4,200 homes have no hot water.",
    "expected_duration": {"until": "2026-11-22T11:00:00Z"},
    "explanation": "The new pump is being fitted.",
    "next_update_by": "2026-11-22T09:30:00Z",
}
RESOLVED: dict[str, Any] = {
    "status": "resolved",
    "impact": "Hot water is back in every home.",
    "explanation": "The pump was replaced.",
}
CUSTOMER: dict[str, Any] = {"email": "amina@example.com", "components": ["hot-water"]}


@dataclass
class Program:
    """Holds one token."""

    app: Flask
    token: str

    @classmethod
    def of(cls, app: Flask, n: Notifier, role: Role = Role.PUBLISHER, name: str = "ci") -> Program:
        return cls(app, access.create_token(n, role=role, name=name))

    def send(
        self, method: str, path: str, body: Any = None, *, key: str = "", **options: Any
    ) -> TestResponse:
        """Send `body` as JSON, or as it is when it is bytes."""
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        if key:
            headers["Idempotency-Key"] = key
        if body is not None:
            options.setdefault("content_type", "application/json")
            options["data"] = body if isinstance(body, bytes) else json.dumps(body)
        return FlaskClient(self.app).open(
            f"/api/v1{path}", method=method, headers=headers, **options
        )

    def post(self, path: str, body: Any, **options: Any) -> TestResponse:
        return self.send("POST", path, body, **options)

    def put(self, path: str, body: Any) -> TestResponse:
        return self.send("PUT", path, body)

    def get(self, path: str) -> TestResponse:
        return self.send("GET", path)


def refused(response: TestResponse, status: int) -> dict[str, Any]:
    """The problem a refusal carries, which must be a well-formed one."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    body: dict[str, Any] = json.loads(response.text)
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"]
    for error in body.get("errors", []):
        assert set(error) == {"field", "message"}
    return body
