"""How often a sign-in may fail: 10 times a minute from one address, and for one name.

Only failures count, so an operator who knows the password is not locked out by a colleague's
typing; and a one-time link still opens the door while somebody guesses at a name.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

FAILURES = "10/minute"


def limit_sign_in(app: Flask) -> None:
    """Limit the sign-in form of `app`. The counts are this process's own."""
    limiter = Limiter(get_remote_address, app=app, storage_uri="memory://")
    view: Any = app.view_functions["sign_in.submit"]
    for key in (get_remote_address, _name):
        view = limiter.limit(FAILURES, key_func=key, deduct_when=_failed)(view)
    app.view_functions["sign_in.submit"] = view


def _name() -> str:
    return "name:" + request.form.get("name", "").strip()


def _failed(response: Response) -> bool:
    return response.status_code == 401
