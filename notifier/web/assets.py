"""Our own style sheet, script and icons. Their address changes with their content."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request, send_from_directory, url_for

from notifier.web.auth import access

blueprint = Blueprint("assets", __name__)

_FOLDER = Path(__file__).parent / "static"
_YEAR = 365 * 24 * 3600


@blueprint.get("/static/<name>")
@access("public")
def show(name: str) -> Response:
    """One file."""
    response = send_from_directory(_FOLDER, name)
    if request.args.get("v") == _version(name):
        response.headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable"
    else:
        response.headers["Cache-Control"] = "public, max-age=60"
    return response


def asset(name: str) -> str:
    """The address of a file, which a browser may keep for ever."""
    return url_for("assets.show", name=name, v=_version(name))


@cache
def _version(name: str) -> str:
    return hashlib.sha256((_FOLDER / name).read_bytes()).hexdigest()[:12]
