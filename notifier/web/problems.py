"""Errors for programs: RFC 9457 problem details."""

from __future__ import annotations

import json

from flask import Response, request


def problem(status: int, title: str, detail: str, **extra: object) -> Response:
    """A problem. `title` names the kind, `detail` says in one sentence what to do next."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **extra}
    return Response(
        json.dumps(body, ensure_ascii=False),
        status=status,
        content_type="application/problem+json",
    )


def is_for_a_program() -> bool:
    """Whether the request is for an address that answers with problems, not with pages."""
    return request.path.startswith(("/api/", "/events/"))
