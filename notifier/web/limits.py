"""How often a sign-in may fail: 10 times a minute from one address, and for one name.

Only failures count, so an operator who knows the password is not locked out by a colleague's
typing; and a one-time link still opens the door while somebody guesses at a name.
"""

from __future__ import annotations

from functools import wraps

from flask import Flask, Response, abort, make_response, request
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

FAILURES = parse("10/minute")


def limit_sign_in(app: Flask) -> None:
    """Limit the sign-in form of `app`. The counts are this process's own."""
    # Flask-Limiter, which is made of this library, would look at every request of `app`: 0.15 ms
    # for each declaration.
    failures = FixedWindowRateLimiter(MemoryStorage())
    submit = app.view_functions["sign_in.submit"]

    @wraps(submit)
    def limited() -> Response:
        sources = (f"address:{request.remote_addr}", f"name:{request.form.get('name', '').strip()}")
        if not all(failures.test(FAILURES, source) for source in sources):
            abort(429)
        response = make_response(submit())
        if response.status_code == 401:
            for source in sources:
                failures.hit(FAILURES, source)
        return response

    app.view_functions["sign_in.submit"] = limited
