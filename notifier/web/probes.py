"""Addresses for machines that watch or script us."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, Response, current_app, jsonify
from flask_openapi3.openapi import OpenAPI

from notifier.web.auth import access

blueprint = Blueprint("probes", __name__)


@blueprint.get("/healthz")
@access("public")
def healthz() -> Response:
    """Whether the process is alive. Asks no database: a watcher could only restart us."""
    return Response("ok\n", content_type="text/plain")


@blueprint.get("/openapi.json")
@access("public")
def openapi() -> Response:
    """What the API can do, as OpenAPI 3.1."""
    return jsonify(cast(OpenAPI, current_app).api_doc)
