"""Errors for programs: RFC 9457 problem details."""

from __future__ import annotations

import json

from flask import Response, request
from pydantic import ValidationError


def problem(status: int, title: str, detail: str, **extra: object) -> Response:
    """A problem. `title` names the kind, `detail` says in one sentence what to do next."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **extra}
    return Response(
        json.dumps(body, ensure_ascii=False),
        status=status,
        content_type="application/problem+json",
    )


def refuse_request(error: ValidationError) -> Response:
    """The problem of a request that does not fit its pydantic model: every wrong field by name."""
    found = [
        {"field": ".".join(map(str, e["loc"])) or "body", "reason": _reason(e["msg"])}
        for e in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    detail = f"{found[0]['field']}: {found[0]['reason']}"
    return problem(422, "The request has wrong fields", detail, errors=found)


def is_for_a_program() -> bool:
    """Whether the request is one of the API's, which answers with problems, not with pages."""
    return request.path.startswith("/api/")


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ")
