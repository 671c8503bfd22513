"""Errors in plain words: a page for people, an RFC 9457 problem for programs."""

from __future__ import annotations

import logging
import secrets
from http import HTTPStatus

from flask import Flask, Response, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from notifier.web.forms import is_field, name_of
from notifier.web.problems import is_for_a_program, problem

_log = logging.getLogger(__name__)

#: status → (heading, what to do next)
WORDS = {
    400: ("We could not read that", "Go back, check what you entered and send it again."),
    401: (
        "You are not signed in any more",
        "Nothing was changed. Sign in, open the page again and repeat it.",
    ),
    403: ("You may not do that", "Ask an administrator if you should be able to."),
    404: ("There is no such page", "Check the address, or start from the front page."),
    405: ("That cannot be done here", "Open the page and use its buttons."),
    413: ("That was too much", "One request may hold 1 MiB. Send less at a time."),
    415: ("We could not read that", "Use the form on the page."),
    429: (
        "Too many failed attempts",
        "Wait a minute, then try again; or sign in by a link made with `notifier users link`.",
    ),
    500: (
        "Something went wrong on our side",
        "If you had pressed a button, look first whether it was carried out.",
    ),
}


def register(app: Flask) -> None:
    """Answer every error of `app` in these words."""
    app.register_error_handler(HTTPException, answer)


def answer(error: HTTPException) -> Response:
    """The page or the problem for an error."""
    status = error.code or 500
    heading, advice = WORDS.get(status, (HTTPStatus(status).phrase, ""))
    if status >= 500:
        advice = f"{advice} Reference for the log: {_logged(error)}."
    elif status not in (404, 405, 429) and error.description != type(error).description:
        advice = error.description or advice
    if is_for_a_program():
        response = problem(status, heading, advice)
    else:
        response = _page(status, heading, advice)
    response.headers.extend(
        (name, value)
        for name, value in error.get_headers()
        if name.lower() in ("allow", "retry-after")
    )
    return response


def _page(status: int, heading: str, advice: str) -> Response:
    page = render_template(
        "web/error.html", status=status, heading=heading, advice=advice, written=_written(status)
    )
    return make_response(page, status)


def _written(status: int) -> list[tuple[str, str]]:
    """What somebody had written into a form that was refused, so that it is not lost."""
    if status not in (401, 403):
        return []
    given = request.form.items(multi=True)
    return [(name_of(name), text) for name, text in given if text and is_field(name)]


def _logged(error: HTTPException) -> str:
    reference = secrets.token_hex(4)
    cause = getattr(error, "original_exception", None) or error
    _log.error("%s: %s %s failed: %r", reference, request.method, request.path, cause)
    return reference
