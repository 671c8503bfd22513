"""Our own style sheet, script and icon. Their address changes with their content."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, abort, request, url_for

from notifier.web.auth import access

blueprint = Blueprint("assets", __name__)

_YEAR = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is sent."""

    content: bytes
    kind: str
    version: str


@blueprint.get("/static/<name>")
@access("public")
def show(name: str) -> Response:
    """One file."""
    found = _assets().get(name)
    if found is None:
        abort(404)
    known = request.args.get("v") == found.version
    keep = f"max-age={_YEAR}, immutable" if known else "max-age=60"
    response = Response(found.content, content_type=found.kind)
    response.headers["Cache-Control"] = f"public, {keep}"
    return response


def asset(name: str) -> str:
    """The address of a file, which a browser may keep for ever."""
    return url_for("assets.show", name=name, v=_assets()[name].version)


@cache
def _assets() -> Mapping[str, Asset]:
    """All files by name. They are few and small, so no request ever reaches the disk."""
    folder = Path(__file__).parent / "static"
    return {path.name: _read(path) for path in folder.iterdir() if path.is_file()}


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    return Asset(content, kind, hashlib.sha256(content).hexdigest()[:12])
